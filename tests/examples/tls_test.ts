import { assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { connect } from "node:tls";
import { certificateIn } from "../support/certificate.ts";
import { dial, NetpollError, type TlsIdentity } from "../../mod.ts";
import { authority, identity, NO_TLS, tlsTest } from "../support/pki.ts";
import { receive, send } from "../support/pair.ts";
import { soon } from "../support/until.ts";
import { portOf, withExample } from "../support/example.ts";
import { withDirectory } from "../support/library.ts";

test(
  "examples/tls_echo.ts echoes over TLS",
  { skip: NO_TLS },
  () =>
    withDirectory(async (directory) => {
      const [key, certificate] = certificateIn(directory);
      const line = `${"x".repeat(60_000)}\n`;
      const ended = await withExample("examples/tls_echo.ts", "127.0.0.1:0", async (at) => {
        const socket = connect({
          port: portOf(at),
          host: "127.0.0.1",
          servername: "localhost",
          ca: readFileSync(certificate),
        });
        let received = "";
        socket.setEncoding("latin1").on("data", (text) => received += text);
        await once(socket, "secureConnect");
        socket.write(line.repeat(20));
        while (received.length < 20 * line.length) await once(socket, "data");
        assertEquals(received, line.repeat(20));
        socket.end();
        await once(socket, "close");
      }, { args: [key, certificate] });
      assertEquals(ended, { code: 0, signal: null, stderr: "" });
    }),
);

tlsTest(
  "examples/runtime_tls.ts echoes over the runtime's TLS, to clients that it knows",
  async () => {
    const server = identity("server");
    const known = identity("client");
    const stranger = identity("stranger", { by: "itself" });
    const args = [server.keyFile, server.certificateFile, authority().certificateFile];
    const ended = await withExample("examples/runtime_tls.ts", "127.0.0.1:0", async (at) => {
      const echo = async ({ certificate, key }: TlsIdentity) => {
        const authorities = authority().certificate;
        const tls = { authorities, serverName: "localhost", certificate, key };
        await using connection = await dial("tcp", at, { tls });
        await send(connection, "ping");
        return await soon(receive(connection, 4));
      };
      assertEquals(await echo(known), "ping");
      await assertRejects(() => echo(stranger), NetpollError);
    }, { args });
    assertEquals([ended.code, ended.signal], [0, null]);
  },
);
