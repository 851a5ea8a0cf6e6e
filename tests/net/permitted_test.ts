import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { createListener, dial, type TcpAddress } from "../../mod.ts";
import { Family, rawAddress, rawFromNumeric } from "../../src/net/address.ts";
import { bind, checkPermitted, connect } from "../../src/net/permitted.ts";
import { ERRNO } from "../../src/core/errno.ts";

test("checkPermitted() lets a program pass that may do everything", () => {
  for (const hostname of ["127.0.0.1", "::1", "fe80::1%1", "::ffff:127.0.0.1"]) {
    checkPermitted(rawFromNumeric(hostname, 80), "written");
    checkPermitted(rawFromNumeric(hostname, 80), "stands for what was granted");
  }
});

test("bind() and connect() return what the kernel says", () => {
  const [server, client] = [native.socket(Family.IPV4), native.socket(Family.IPV4)];
  try {
    assertEquals(bind(server, rawFromNumeric("127.0.0.1", 0), "written"), 0);
    const raw = rawAddress();
    native.name(server, 0, raw);
    assertEquals(bind(client, raw, "written"), -ERRNO.EADDRINUSE);
    assertEquals(native.listen(server, 1), 0);
    const begun = connect(client, raw, "written");
    assertEquals(begun === 0 || begun === -ERRNO.EINPROGRESS, true, String(begun));
  } finally {
    native.close(server);
    native.close(client);
  }
});

test("createListener() and dial() read an option once, whatever it says the next time", async () => {
  const reads: Record<string, number> = {};
  const once = <T extends object>(options: T): T =>
    new Proxy(options, {
      get(target, name, receiver) {
        reads[String(name)] = (reads[String(name)] ?? 0) + 1;
        return Reflect.get(target, name, receiver);
      },
    });
  using listener = createListener("tcp", "127.0.0.1:0", once({ backlog: 5, v6Only: true }));
  const { port } = listener.address as TcpAddress;
  const connection = await dial(
    "tcp",
    `127.0.0.1:${port}`,
    once({ localAddress: "127.0.0.1:0", timeoutMs: 5000 }),
  );
  await connection.close();
  const told = ["backlog", "v6Only", "localAddress", "timeoutMs"].map((name) => reads[name]);
  assertEquals(told, [1, 1, 1, 1]);
});
