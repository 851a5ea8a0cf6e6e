/**
 * Errors say where they happened, by the properties that `node:net` and `node:dns` have, in every
 * function that reaches an address.
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { rmSync } from "node:fs";
import { test } from "node:test";
import {
  ConnectionPool,
  createDatagramSocket,
  createListener,
  dial,
  dialDatagram,
  EventLoop,
  lengthPrefixed,
  NetpollError,
  reconnecting,
  ResolveError,
  SystemError,
  tagged,
  TimeoutError,
  TlsError,
} from "../mod.ts";
import { leaks } from "./support/leaks.ts";
import { NO_TLS } from "./support/pki.ts";
import { soon } from "./support/until.ts";

/** The error that a function throws, or rejects with. */
async function failureOf(fails: () => unknown): Promise<NetpollError> {
  try {
    await soon(Promise.resolve(fails()), "it fails");
  } catch (error) {
    assertInstanceOf(error, NetpollError);
    return error;
  }
  throw new Error("it did not fail");
}

/** A port of 127.0.0.1 on which nobody listens. */
function freePort(): number {
  using listener = createListener("tcp", "127.0.0.1:0");
  return listener.address.transport === "tcp" ? listener.address.port : 0;
}

function whereOf({ address, port }: NetpollError): [string | undefined, number | undefined] {
  return [address, port];
}

test("dial() that is refused says the address and the port, or the path", () =>
  leaks(async () => {
    const port = freePort();
    for (const hostname of ["127.0.0.1", "localhost"]) {
      const error = await failureOf(() => dial("tcp", `${hostname}:${port}`));
      assertInstanceOf(error, SystemError);
      assertEquals([error.code, error.syscall], ["ECONNREFUSED", "connect"]);
      assertEquals(whereOf(error), ["127.0.0.1", port]);
    }
    const error = await failureOf(() => dial("unix", "@netpoll-nobody"));
    assertEquals(whereOf(error), ["@netpoll-nobody", undefined]);
    assertEquals("port" in error && Object.hasOwn(error, "port"), false);
  }));

test("dial() from an address that this machine does not have says that address", () =>
  leaks(async () => {
    const options = { localAddress: "192.0.2.1:0" };
    for (const call of [dial, dialDatagram] as ((...given: unknown[]) => Promise<unknown>)[]) {
      const error = await failureOf(() => call("127.0.0.1:9", options));
      assertEquals(whereOf(error), ["192.0.2.1", 0]);
    }
  }));

test(
  "dial() whose TLS fails, or does not come, says the address and the port",
  { skip: NO_TLS },
  () =>
    leaks(async () => {
      const listener = createListener("tcp", "127.0.0.1:0");
      const loop = new EventLoop(({ reader, writer }) => {
        const text = reader.readString(1, "latin1");
        reader.skip(reader.length);
        if (!isSilent) writer.writeString(`no TLS here${text}`);
        void writer.flush();
      });
      let isSilent = false;
      const served = loop.serve(listener);
      const { address } = listener;
      assert(address.transport === "tcp");
      const tls = { serverName: "localhost", handshakeTimeoutMs: 300 };
      const refused = await failureOf(() => dial(address, { tls: { serverName: "localhost" } }));
      assertInstanceOf(refused, TlsError);
      assertEquals(whereOf(refused), ["127.0.0.1", address.port]);
      isSilent = true;
      for (const options of [{ tls }, { tls: { serverName: "localhost" }, timeoutMs: 300 }]) {
        const late = await failureOf(() => dial(address, options));
        assertInstanceOf(late, TimeoutError);
        assertEquals(whereOf(late), ["127.0.0.1", address.port]);
      }
      const plain = await dial(address);
      const started = await failureOf(() => plain.startTls("client", tls));
      assertEquals(whereOf(started), ["127.0.0.1", address.port]);
      await loop.shutdown();
      await served;
    }),
);

test("createListener() that cannot bind says the address and the port, or the path", async () => {
  using listener = createListener("tcp", "127.0.0.1:0");
  assert(listener.address.transport === "tcp");
  const { port } = listener.address;
  const taken = await failureOf(() => createListener("tcp", `127.0.0.1:${port}`));
  assertInstanceOf(taken, SystemError);
  assertEquals([taken.code, taken.syscall], ["EADDRINUSE", "listen"]);
  assertEquals(whereOf(taken), ["127.0.0.1", port]);
  const elsewhere = await failureOf(() => createListener("tcp", "192.0.2.1:0"));
  assertEquals(whereOf(elsewhere), ["192.0.2.1", 0]);
  const path = "/tmp/netpoll-places-nowhere/server.sock";
  rmSync("/tmp/netpoll-places-nowhere", { recursive: true, force: true });
  assertEquals(whereOf(await failureOf(() => createListener("unix", path))), [path, undefined]);
});

test("datagram sockets that cannot bind, or whose peer is away, say the address and the port", () =>
  leaks(async () => {
    await using socket = createDatagramSocket("udp", "127.0.0.1:0");
    const { port } = socket.localAddress;
    const taken = await failureOf(() => createDatagramSocket("udp", `127.0.0.1:${port}`));
    assertEquals(whereOf(taken), ["127.0.0.1", port]);
    await using client = await dialDatagram("udp", socket.localAddress);
    await socket.close();
    client.write(Uint8Array.of(1));
    await client.flush();
    const error = await failureOf(() => client.wait());
    assertEquals([...whereOf(error)], ["127.0.0.1", port]);
  }));

test("a pool and a reconnecting client pass on where the dial has failed", () =>
  leaks(async () => {
    const port = freePort();
    const at = `127.0.0.1:${port}`;
    const pool = new ConnectionPool(at);
    const error = await failureOf(() => pool.acquire());
    assertEquals(whereOf(error), ["127.0.0.1", port]);
    await pool.drain();
  }));

/** Every function that looks a name up. */
const LOOKS_UP: Readonly<Record<string, (host: string) => unknown>> = {
  dial: (host) => dial("tcp", `${host}:80`),
  "dial with tcp4": (host) => dial("tcp4", `${host}:80`),
  dialDatagram: (host) => dialDatagram("udp", `${host}:53`),
  createListener: (host) => createListener("tcp", `${host}:0`),
  createDatagramSocket: (host) => createDatagramSocket("udp", `${host}:0`),
  "ConnectionPool.acquire": async (host) => {
    const pool = new ConnectionPool(`${host}:80`);
    try {
      await pool.acquire();
    } finally {
      await pool.drain();
    }
  },
  "reconnecting's onStateChange": (host) =>
    new Promise((_, reject) => {
      const client = reconnecting(`${host}:80`, tagged(lengthPrefixed()), {
        onStateChange(_, error) {
          if (error === undefined) return;
          reject(error);
          void client.close();
        },
      });
    }),
};

for (const [name, look] of Object.entries(LOOKS_UP)) {
  test(`${name} has one error for an unknown host: ENOTFOUND, with its name`, () =>
    leaks(async () => {
      const error = await failureOf(() => look("no-such-host.invalid"));
      assertInstanceOf(error, ResolveError);
      // Where no name server answers, nobody can know.
      assert(error.code === "ENOTFOUND" || error.code === "EAI_AGAIN", error.code);
      assertEquals([error.hostname, error.syscall], ["no-such-host.invalid", "getaddrinfo"]);
      assertEquals(Object.hasOwn(error, "address"), false);
    }));
}
