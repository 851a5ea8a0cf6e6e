/**
 * Sessions in the wrong place: of another server, of before a reload, under another name, or with a demand
 * that they would pass by.
 */
import { assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { createListener, dial, EventLoop, TlsError, type TlsServerOptions } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, identity, serverIdentity, tlsTest } from "../support/pki.ts";
import { echoBack, type Secure, serveSecure } from "../support/secure.ts";
import { strangeTalk } from "../support/strangers.ts";

const plain = ({ certificate, key }: ReturnType<typeof identity>) => ({ certificate, key });
const demanding = (): Partial<TlsServerOptions> => ({
  authorities: authority().certificate,
  clientCertificate: "require",
});
const shown = () => {
  const { certificateFile, keyFile } = identity("client", { names: "DNS:client" });
  return ["-cert", certificateFile, "-key", keyFile];
};

/** Runs with a file for a session, for each version of TLS. */
function sessionTest(
  name: string,
  run: (version: string, file: string) => Promise<void>,
): void {
  for (const version of ["-tls1_2", "-tls1_3"]) {
    tlsTest(`${name} (${version})`, () =>
      leaks(async () => {
        const folder = mkdtempSync(`${tmpdir()}/netpoll-session-`);
        try {
          await run(version, `${folder}/session`);
        } finally {
          rmSync(folder, { recursive: true });
        }
      }));
  }
}

/** Whether a client of OpenSSL's went on with a session: "New", "Reused", or null when it was refused. */
async function how(secure: Secure, args: readonly string[]): Promise<string | null> {
  const output = await strangeTalk(secure.at, args);
  return output.includes("hello") ? /^(New|Reused), TLS/m.exec(output)![1]! : null;
}

sessionTest("a session goes on where it was made", async (version, file) => {
  await using secure = serveSecure();
  assertEquals(await how(secure, [version, "-sess_out", file]), "New");
  assertEquals(await how(secure, [version, "-sess_in", file]), "Reused");
});

sessionTest(
  "a session of another listener is none, be the certificate the same",
  async (version, file) => {
    await using one = serveSecure();
    await using two = serveSecure();
    assertEquals(await how(one, [version, "-sess_out", file]), "New");
    assertEquals(await how(two, [version, "-sess_in", file]), "New");
  },
);

sessionTest("a session of before a reload is none", async (version, file) => {
  await using secure = serveSecure();
  assertEquals(await how(secure, [version, "-sess_out", file]), "New");
  secure.listener.reloadTls(serverIdentity());
  assertEquals(await how(secure, [version, "-sess_in", file]), "New");
});

sessionTest(
  "a session passes by no demand for a certificate that came later",
  async (version, file) => {
    await using secure = serveSecure();
    assertEquals(await how(secure, [version, "-sess_out", file]), "New");
    secure.listener.reloadTls({ ...serverIdentity(), ...demanding() } as TlsServerOptions);
    assertEquals(await how(secure, [version, "-sess_in", file]), null);
    assertEquals(await how(secure, [version, "-sess_in", file, ...shown()]), "New");
  },
);

sessionTest(
  "a session of a client without a certificate is none where one is required",
  async (version, file) => {
    await using open = serveSecure(echoBack, {
      authorities: authority().certificate,
      clientCertificate: "request",
    });
    await using strict = serveSecure(echoBack, demanding());
    assertEquals(await how(open, [version, "-sess_out", file]), "New");
    assertEquals(await how(strict, [version, "-sess_in", file]), null);
  },
);

sessionTest("a session of a client with a certificate tells who it is", async (version, file) => {
  const seen: unknown[] = [];
  await using secure = serveSecure(echoBack, demanding(), {
    onConnect: ({ tls }) => void seen.push([tls!.isResumed, tls!.peerCertificate?.subject]),
  });
  assertEquals(await how(secure, [version, "-sess_out", file, ...shown()]), "New");
  assertEquals(await how(secure, [version, "-sess_in", file]), "Reused");
  assertEquals(seen, [[false, "CN=client"], [true, "CN=client"]]);
});

sessionTest("a session is for the server name that it was made with", async (version, file) => {
  const seen: unknown[] = [];
  const names = { "b.example.org": plain(identity("b", { names: "DNS:b.example.org" })) };
  await using secure = serveSecure(echoBack, { names }, {
    onConnect: ({ tls }) => void seen.push(tls!.serverName),
  });
  const [a, b] = [["-servername", "a.example.org"], ["-servername", "b.example.org"]] as const;
  assertEquals(await how(secure, [version, "-sess_out", file, ...a]), "New");
  assertEquals(await how(secure, [version, "-sess_in", file, ...b]), "New");
  assertEquals(await how(secure, [version, "-sess_in", file, "-noservername"]), "New");
  assertEquals(await how(secure, [version, "-sess_in", file, ...a]), "Reused");
  assertEquals(seen, ["a.example.org", "b.example.org", null, "a.example.org"]);
});

tlsTest(
  "data before the end of a handshake is taken by no server: it could be sent twice",
  () =>
    leaks(async () => {
      const folder = mkdtempSync(`${tmpdir()}/netpoll-early-`);
      try {
        writeFileSync(`${folder}/data`, "early");
        await using secure = serveSecure();
        await how(secure, ["-sess_out", `${folder}/session`]);
        const early = ["-sess_in", `${folder}/session`, "-early_data", `${folder}/data`];
        const output = await strangeTalk(secure.at, early);
        assertMatch(output, /Early data was (not sent|rejected)/);
        assertEquals(output.includes("\nearly"), false);
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
);

tlsTest("a client that negotiates anew is refused, and others are served", () =>
  leaks(async () => {
    await using secure = serveSecure();
    const other = await secure.dial();
    assertMatch(await strangeTalk(secure.at, ["-tls1_2"], "R"), /no renegotiation/);
    await send(other, "hello");
    assertEquals(await receive(other, 5), "hello");
    await other.close();
  }));

tlsTest(
  "a client's session with a server that nobody verified is none for who verifies",
  () =>
    leaks(async () => {
      await using secure = serveSecure(echoBack, plain(identity("itself", { by: "itself" })));
      for (let n = 0; n < 2; n++) {
        const careless = await secure.dial({ verify: false });
        await send(careless, "hello");
        await receive(careless, 5);
        await careless.close();
        const authorities = authority().certificate;
        const error = await assertRejects(() => secure.dial({ authorities }), TlsError);
        assertEquals(error.reason, "certificate");
      }
    }),
);

tlsTest("a client's session is for one name and one address", () =>
  leaks(async () => {
    const secure = serveSecure();
    const { at, port } = secure;
    const authorities = authority().certificate;
    const options = { authorities };
    const first = await secure.dial(options);
    await send(first, "hello");
    await receive(first, 5);
    await first.close();
    await secure[Symbol.asyncDispose]();
    // Somebody else listens there now.
    const tls = plain(identity("itself", { by: "itself" }));
    const listener = createListener("tcp", `127.0.0.1:${port}`, { tls });
    const loop = new EventLoop(null);
    const served = loop.serve(listener);
    const error = await dial("tcp", at, { tls: options, timeoutMs: 5000 }).catch((error) => error);
    await loop.shutdown({ timeoutMs: 0 });
    await served;
    assertInstanceOf(error, TlsError);
    assertEquals(error.reason, "certificate");
  }));
