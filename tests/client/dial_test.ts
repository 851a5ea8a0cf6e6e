import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import {
  type Connection,
  createListener,
  dial,
  type DialOptions,
  EventLoop,
  NetpollError,
  type Network,
  SystemError,
  type TcpAddress,
  TimeoutError,
} from "../../mod.ts";
import { rawAddress, rawFromNumeric } from "../../src/net/address.ts";
import { run } from "../support/child.ts";
import { echoServer } from "../support/echo_server.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { root, withDirectory } from "../support/library.ts";
import { receive, send } from "../support/pair.ts";
import { tlsTest } from "../support/pki.ts";
import { soon, stateOf, until } from "../support/until.ts";

/** A port of 127.0.0.1 that nobody listens on. */
function freePort(): number {
  const listener = createListener("tcp", "127.0.0.1:0");
  const { address } = listener;
  listener.close();
  return address.transport === "tcp" ? address.port : 0;
}

/** A listener whose queue is full: who dials it waits for ever. */
function fullListener() {
  const fd = native.socket(2);
  native.bind(fd, rawFromNumeric("127.0.0.1", 0));
  native.listen(fd, 0);
  const raw = rawAddress();
  native.name(fd, 0, raw);
  const filling = Array.from({ length: 3 }, () => {
    const client = native.socket(2);
    native.connect(client, raw);
    return client;
  });
  return {
    at: `127.0.0.1:${raw[1]}`,
    [Symbol.dispose]: () => [fd, ...filling].forEach((each) => native.close(each)),
  };
}

async function echoes(connection: Connection): Promise<void> {
  await send(connection, "hello");
  assertEquals(await soon(receive(connection, 5)), "hello");
}

test("dial() connects, and says where both ends are (netpoll 160)", () =>
  leaks(async () => {
    await using server = echoServer();
    await using connection = await dial("tcp", server.at);
    assertEquals(connection.remoteAddress, {
      transport: "tcp",
      hostname: "127.0.0.1",
      port: server.port,
    });
    const local = connection.localAddress;
    assert(local.transport === "tcp" && local.hostname === "127.0.0.1" && local.port > 0);
    assertEquals(native.getsockopt(connection.fd, 6, 1, new Int32Array(1), 4), 4);
    await echoes(connection);
  }));

test("dial() does what its options said when it was called", () =>
  leaks(async () => {
    await using server = echoServer();
    const heard: string[] = [];
    const handler = (name: string) => ({ reader }: Connection) => {
      heard.push(name);
      reader.skip(reader.length);
      reader.release();
    };
    // One object for several connections, which becomes another meanwhile.
    const options: DialOptions = { onRequest: handler("first") };
    const first = dial("tcp", server.at, options);
    options.onRequest = handler("second");
    const second = dial("tcp", server.at, options);
    options.onRequest = undefined;
    for (const dialling of [first, second]) {
      await using connection = await dialling;
      await send(connection, "hello");
      const { length } = heard;
      await until(() => heard.length > length, "its handler was called");
    }
    assertEquals([...new Set(heard)], ["first", "second"]);
  }));

test("dial() sets noDelay unless told otherwise (netpoll 98)", () =>
  leaks(async () => {
    await using server = echoServer();
    for (const noDelay of [undefined, false] as const) {
      await using connection = await dial("tcp", server.at, { noDelay });
      const value = new Int32Array(1);
      native.getsockopt(connection.fd, 6, 1, value, 4);
      assertEquals(value[0], noDelay === false ? 0 : 1);
    }
  }));

test("dial() where nobody listens is ECONNREFUSED (netpoll 159 x)", () =>
  leaks(async () => {
    const error = await assertRejects(() => dial("tcp", `127.0.0.1:${freePort()}`), SystemError);
    assertEquals(error.code, "ECONNREFUSED");
    assertStringIncludes(error.message, "127.0.0.1:");
  }));

test("dial() to where there is no way says so", () =>
  leaks(async () => {
    // A broadcast address has no stream to it; no packet leaves the machine.
    const error = await assertRejects(() => dial("tcp", "255.255.255.255:9"), SystemError);
    assert(["ENETUNREACH", "EACCES", "EHOSTUNREACH"].includes(error.code), error.code);
  }));

test("dial() takes no longer than timeoutMs (netpoll 166 x)", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
      using full = fullListener();
      const dialling = dial("tcp", full.at, { timeoutMs: 30 });
      dialling.catch(() => {});
      await clock.advance(29.9);
      assertEquals(await stateOf(dialling), "pending");
      await clock.advance(1.2);
      const error = await assertRejects(() => soon(dialling), TimeoutError);
      assertEquals(error.operation, "dial");
    })
  ));

test("dial() many times with 1 ms each is a connection or a TimeoutError (netpoll 165)", () =>
  leaks(async () => {
    await using server = echoServer();
    const outcomes = await soon(Promise.allSettled(
      Array.from({ length: 100 }, () => dial("tcp", server.at, { timeoutMs: 1 })),
    ));
    for (const outcome of outcomes) {
      if (outcome.status === "fulfilled") await outcome.value.close();
      else assertInstanceOf(outcome.reason, TimeoutError);
    }
  }));

test("dial() ends when its signal says so, with the signal's reason", () =>
  leaks(async () => {
    using full = fullListener();
    const controller = new AbortController();
    const dialling = dial("tcp", full.at, { signal: controller.signal });
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 10);
    assertEquals(await soon(dialling.catch((error) => error)), reason);
    assertEquals(
      await dial("tcp", full.at, { signal: controller.signal }).catch((error) => error),
      reason,
    );
  }));

test("dial() leaks nothing when it is aborted just as it connects", () =>
  leaks(() =>
    withDirectory(async (directory) => {
      const path = join(directory, "s");
      const loop = new EventLoop(null);
      const served = loop.serve(createListener("unix", path));
      for (let after = 0; after < 30; after++) {
        const controller = new AbortController();
        const dialling = dial("unix", path, { signal: controller.signal });
        for (let i = 0; i < after; i++) await Promise.resolve();
        controller.abort();
        await dialling.then((connection) => connection.close(), () => {});
      }
      await loop.shutdown();
      await served;
    })
  ));

tlsTest(
  "dial() with TLS that is aborted as it connects says nothing, and leaves nothing",
  () =>
    leaks(() =>
      withDirectory(async (directory) => {
        const path = join(directory, "s");
        const heard: number[] = [];
        const onDisconnect = (connection: Connection) => {
          heard.push(connection.reader.length);
          connection.reset();
        };
        const loop = new EventLoop(null, { onDisconnect });
        const served = loop.serve(createListener("unix", path));
        const tls = { serverName: "localhost", verify: false };
        for (let after = 0; after < 20; after++) {
          const controller = new AbortController();
          const dialling = dial("unix", path, { tls, signal: controller.signal });
          for (let i = 0; i < after; i++) await Promise.resolve();
          controller.abort(after);
          assertEquals(await dialling.catch((error) => error), after);
          await until(() => heard.length === after + 1, "the server has seen the end");
        }
        assertEquals(heard[0], 0); // it had connected, and the dial had not heard of it
        assertGreater(heard[19]!, 0);
        await loop.shutdown();
        await served;
      })
    ),
);

test("dial() to an unknown host is a NetpollError that names it", () =>
  leaks(async () => {
    const error = await assertRejects(() => dial("tcp", "nowhere.invalid:80"), NetpollError);
    assertStringIncludes(error.message, "nowhere.invalid");
  }));

for (const [only, network] of [["127.0.0.1", "tcp4"], ["[::1]", "tcp6"]] as const) {
  test(`dial() tries all addresses: localhost, when only ${only} listens`, async (t) => {
    let listener;
    try {
      listener = createListener(network, `${only}:0`);
    } catch (error) {
      return t.skip(`this machine has no ${only}: ${(error as Error).message}`);
    }
    const { address } = listener;
    const loop = new EventLoop(({ reader, writer }) => {
      writer.writeBinary(reader.next(reader.length));
      writer.flush();
      reader.release();
    });
    const served = loop.serve(listener);
    const port = address.transport === "tcp" ? address.port : 0;
    const connection = await dial("tcp", `localhost:${port}`).catch((error) => error);
    if (connection instanceof Error && network === "tcp6") {
      const { lookup } = await import("node:dns/promises");
      const found = await lookup("localhost", { all: true });
      if (!found.some((each) => each.family === 6)) {
        t.skip("localhost has no IPv6 address here");
      } else throw connection;
    } else {
      await echoes(connection);
      await connection.close();
    }
    await loop.shutdown();
    await served;
  });
}

test("dial() to a port of its own is refused, not connected to itself", () =>
  leaks(async () => {
    const at = `127.0.0.1:${freePort()}`;
    const error = await assertRejects(() => dial("tcp", at, { localAddress: at }), SystemError);
    assertEquals(error.code, "ECONNREFUSED");
  }));

test("dial() from a local address", () =>
  leaks(async () => {
    await using server = echoServer();
    await using connection = await dial("tcp", server.at, { localAddress: "127.0.0.9:0" });
    const local = connection.localAddress;
    assertEquals(local.transport === "tcp" && local.hostname, "127.0.0.9");
    await echoes(connection);
    await assertRejects(() => dial("tcp", server.at, { localAddress: "localhost:0" }), TypeError);
    const taken = await assertRejects(
      () => dial("tcp", server.at, { localAddress: server.at }),
      SystemError,
    );
    assertEquals(taken.code, "EADDRINUSE");
  }));

test("dial() connects to a Unix socket, by path and by abstract name (netpoll 161)", () =>
  leaks(() =>
    withDirectory(async (directory) => {
      for (const path of [join(directory, "s"), `@netpoll-test-${freePort()}`]) {
        const missing = await assertRejects(() => dial("unix", path), SystemError);
        assert(["ENOENT", "ECONNREFUSED"].includes(missing.code));
        const loop = new EventLoop(({ reader, writer }) => {
          writer.writeBinary(reader.next(reader.length));
          writer.flush();
          reader.release();
        });
        const served = loop.serve(createListener("unix", path));
        const connection = await dial("unix", path);
        assertEquals(connection.remoteAddress, { transport: "unix", path });
        assertEquals(connection.localAddress, { transport: "unix", path: "" });
        await echoes(connection);
        await connection.close();
        await loop.shutdown();
        await served;
      }
    })
  ));

test("dial() refuses what is malformed with a TypeError (netpoll 167)", async () => {
  const cases: [string, string][] = [
    ["udp", "127.0.0.1:1"],
    ["constructor", "127.0.0.1:1"],
    ["tcp", "127.0.0.1"],
    ["tcp", "127.0.0.1:0"],
    ["tcp", "127.0.0.1:65536"],
    ["tcp", "::1:80"],
    ["unix", ""],
    ["unix", "/" + "x".repeat(200)],
  ];
  for (const [network, address] of cases) {
    await assertRejects(
      () => dial(network as Network, address),
      TypeError,
      "",
      `${network} ${address}`,
    );
  }
  await assertRejects(() => dial("tcp4", "[::1]:80"), NetpollError, "no such address");
  for (const timeoutMs of [-1, NaN]) {
    await assertRejects(() => dial("tcp", "127.0.0.1:1", { timeoutMs }), RangeError);
  }
});

test("dial() 100 times to a server that closes at once touches no other descriptor (netpoll 162)", () =>
  leaks(async () => {
    const loop = new EventLoop(null, { onConnect: (each) => void each.close() });
    const listener = createListener("tcp", "127.0.0.1:0");
    const served = loop.serve(listener);
    const { address } = listener;
    const port = address.transport === "tcp" ? address.port : 0;
    await using other = echoServer();
    await using witness = await dial("tcp", other.at);
    for (let i = 0; i < 100; i++) {
      const connection = await dial("tcp", `127.0.0.1:${port}`);
      await connection.reader.wait(1).catch(() => {});
      await connection.close();
      if (i % 10 === 0) await echoes(witness);
    }
    await loop.shutdown();
    await served;
  }));

faultTest(
  "dial() without descriptors or memory says so, and leaks nothing",
  () =>
    leaks(async () => {
      await using server = echoServer();
      for (
        const [call, errno, code] of [["socket", 24, "EMFILE"], ["epollCtl", 12, "ENOMEM"]] as const
      ) {
        failWith(call, errno);
        const error = await assertRejects(() => dial("tcp", server.at), SystemError);
        assertEquals(error.code, code);
      }
      await until(() => server.loop.connectionCount === 0, "nothing is left");
    }),
);

test("dial() finds localhost in both versions of IP, whatever a resolver knows", async () => {
  for (const [network, hostname] of [["tcp6", "::1"], ["tcp4", "127.0.0.1"]] as const) {
    const listener = createListener(network, "localhost:0");
    const { port } = listener.address as TcpAddress;
    for (const to of [network, "tcp"] as const) {
      const connection = await dial(to, `localhost:${port}`);
      assertEquals(connection.remoteAddress, { transport: "tcp", hostname, port });
      await connection.close();
    }
    listener.close();
  }
});

test("dial() goes where a relative path was when it was called", () =>
  withDirectory(async (directory) => {
    const from = process.cwd();
    try {
      process.chdir(directory);
      const listener = createListener("unix", "socket");
      const dialling = dial("unix", "socket");
      process.chdir(from);
      await (await dialling).close();
      listener.close();
    } finally {
      process.chdir(from);
    }
  }));

test("dial() and createListener() keep Deno's permissions, with its own error", async (t) => {
  if (host.name !== "deno") return t.skip("only Deno has permissions");
  const [allowed, forbidden] = [freePort(), freePort()];
  const ended = await run(join(root, "tests/support/dial_at.ts"), {
    permissions: ["--allow-ffi", "--allow-read", "--allow-env", `--allow-net=127.0.0.1:${allowed}`],
    args: [String(allowed), String(forbidden)],
  });
  assertEquals(ended.stdout.trim().split("\n"), [
    "listens",
    "SystemError",
    "NotCapable",
    "NotCapable",
  ], ended.stderr);
});

test("dial() and createListener() by name need Deno's permission for the one port alone", async (t) => {
  if (host.name !== "deno") return t.skip("only Deno has permissions");
  const [allowed, forbidden] = [freePort(), freePort()];
  const ended = await run(join(root, "tests/support/dial_at.ts"), {
    permissions: ["--allow-ffi", "--allow-read", "--allow-env", `--allow-net=localhost:${allowed}`],
    args: [String(allowed), String(forbidden), "localhost"],
  });
  assertEquals(ended.stdout.trim().split("\n"), [
    "listens",
    "SystemError",
    "NotCapable",
    "NotCapable",
  ], ended.stderr);
});
