import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { LinkChain } from "../../src/buffer/link_chain.ts";
import { test } from "node:test";
import { Connection, dial, type NetpollError, socketPair } from "../../mod.ts";
import { insideOf } from "../../src/connection/socket_connection.ts";
import { fileTransport, socketTransport } from "../../src/transport/descriptor.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { ZeroCopy } from "../../src/transport/zero_copy.ts";
import { Option, setOption } from "../../src/net/socket.ts";
import { copied, failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, tcpPair } from "../support/pair.ts";
import { serveHandler } from "../support/echo_server.ts";
import { soon, stateOf, until } from "../support/until.ts";
import { CASES } from "../support/zero_copy_cases.ts";
import { ends, finish, stream, write } from "../support/zero_copy_ends.ts";

const KIB = 1024;
const ENOBUFS = 105;

/** Promises that hold everywhere: here, on loopback as it is, where the kernel copies on arrival. */
const ANYWHERE: readonly [name: string, promise: string][] = [
  ["mixed", "send() keeps the order of small and large pieces (zero copy 8, 49)"],
  ["scribbleFast", "send() pins: a fast peer sees no freed memory (zero copy 16)"],
  ["scribbleStopAndGo", "send() pins: a peer in bursts sees no freed memory (zero copy 16)"],
  ["smallPieces", "send() copies pieces of 64 B, 64 at a time (zero copy 36)"],
  ["headerAndTrailer", "send() joins a header to its body, not a trailer (zero copy 36)"],
  ["closeGivesUp", "close() resets a peer that never reads, in the end (zero copy 15)"],
  ["completionsAreNoErrors", "completions are no errors (zero copy 29)"],
  ["ownArrays", "arrays of the user's may change, vanish, be collected (zero copy 41, 42, 43)"],
  ["childProcess", "a child process inherits nothing (zero copy 44)"],
];

for (const [name, promise] of ANYWHERE) test(`zeroCopy: ${promise}`, CASES[name]!);

faultTest("zeroCopy: failed sends take no number (zero copy 6)", CASES["idsAfterFailures"]!);
faultTest(
  "zeroCopy: each part of a send is a send of its own (zero copy 7)",
  CASES["partialSends"]!,
);

test("zeroCopy is off unless asked for, and then there is no object for it", () =>
  leaks(async () => {
    const [connection, receiver] = await ends({ zeroCopy: undefined });
    await stream(connection, receiver, 3, 200 * KIB);
    assertEquals(connection.zeroCopy, "off");
    assertEquals(connection.zeroCopyCounts.obstacle, "off");
    assertEquals(insideOf(connection, "test").pinner, null);
    await finish(connection, receiver, 600 * KIB);
  }));

test('zeroCopy "auto" stays off for peers on this machine, "always" does not (zero copy 27)', () =>
  leaks(async () => {
    const [connection, receiver] = await ends({ zeroCopy: "auto" });
    await stream(connection, receiver, 2, 200 * KIB);
    assertEquals([connection.zeroCopyCounts.calls, connection.zeroCopyCounts.obstacle], [
      0,
      "local",
    ]);
    connection.zeroCopy = "always";
    await stream(connection, receiver, 1, 200 * KIB, 400 * KIB);
    assertGreater(connection.zeroCopyCounts.calls, 0);
    await soon(connection.writer.released());
    const { calls } = connection.zeroCopyCounts;
    connection.zeroCopy = "auto";
    await stream(connection, receiver, 1, 200 * KIB, 600 * KIB);
    connection.zeroCopy = "off";
    await stream(connection, receiver, 1, 200 * KIB, 800 * KIB);
    assertEquals(connection.zeroCopyCounts.calls, calls);
    await finish(connection, receiver, 1000 * KIB);
  }));

/** Sends what zero copy would be worth, if it were possible: it arrives, and an obstacle is named. */
async function assertObstacle(a: Connection, b: Connection, obstacle: string): Promise<void> {
  write(a, 0, 100 * KIB);
  const flushed = a.writer.flush();
  await b.reader.wait(100 * KIB);
  await soon(flushed);
  assertEquals(a.zeroCopyCounts.obstacle, obstacle);
  b.reader.release();
  await closeAll(a, b);
}

test("zeroCopy is not for Unix sockets: they work, and say so (zero copy 2, 3, 27)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    a.zeroCopy = "always";
    await assertObstacle(a, b, "unsupported");
  }));

test("zeroCopy of a socket whose sends somebody else has numbered stays off", () =>
  leaks(async () => {
    const [a, b] = await tcpPair();
    const fd = a.detach();
    setOption(fd, Option.ZERO_COPY, 1);
    const again = Connection.fromFd(fd, { zeroCopy: "always" });
    await assertObstacle(again, b, "numbered");
  }));

test("zeroCopy refuses a mode that there is none of", async () => {
  const [a, b] = socketPair();
  assertThrows(() => a.zeroCopy = "yes" as "auto", TypeError, "zeroCopy");
  assertEquals(a.zeroCopy, "off");
  await closeAll(a, b);
});

test("zeroCopy of an EventLoop is that of its connections", () =>
  leaks(async () => {
    const seen: string[] = [];
    await using server = serveHandler((connection) => {
      seen.push(connection.zeroCopy);
      connection.reader.skip(connection.reader.length);
    }, { zeroCopy: "auto" });
    await using client = await dial("tcp", server.at);
    client.writer.writeString("x");
    await client.writer.flush();
    await until(() => seen.length > 0, "the handler");
    assertEquals(seen, ["auto"]);
  }));

/** Zero copy of which nothing is under way, over no socket. */
function alone(io: Transport = socketTransport) {
  const address = { transport: "tcp", hostname: "192.0.2.1", port: 1 } as const;
  const remote = { ...address, hostname: "192.0.2.2" };
  return new ZeroCopy(io, {
    nearAddress: address,
    farAddress: remote,
    output: new LinkChain(),
    onZeroCopyBegin() {},
  });
}

test("ZeroCopy.transport is itself for sockets only", () => {
  const [forSockets, forFiles] = [alone(), alone(fileTransport)];
  assertEquals(forSockets.transport, socketTransport);
  forSockets.mode = "auto";
  forFiles.mode = "auto";
  assertEquals([forSockets.transport, forFiles.transport], [forSockets, fileTransport]);
});

faultTest(
  "ZeroCopy.complete() of a connection that ends is no sample (zero copy 26)",
  () =>
    leaks(async () => {
      const [connection, receiver] = await ends({}, { receiveBufferBytes: 16 * KIB });
      copied({ fd: connection.fd, count: 100 });
      write(connection, 0, 512 * KIB);
      await connection.writer.flush();
      connection.reset();
      await until(() => connection.zeroCopyCounts.outstandingCalls === 0, "the completions");
      const { completions, copied: copiedCount } = connection.zeroCopyCounts;
      assertGreater(completions, 0);
      assertEquals(copiedCount, 0);
      receiver.close();
    }),
);

faultTest(
  "released() resolves when a connection is lost, and after a flush that took too long",
  () =>
    leaks(async () => {
      const [connection, receiver] = await ends({ writeTimeoutMs: 20 }, {
        receiveBufferBytes: 16 * KIB,
      });
      write(connection, 0, 8 * 1024 * KIB);
      const failed = await connection.writer.flush().catch((error: NetpollError) => error.name);
      assertEquals(failed, "TimeoutError");
      const released = connection.writer.released();
      assertEquals(await stateOf(released), "pending");
      connection.reset();
      await soon(released);
      receiver.close();
    }),
);

faultTest(
  "ENOBUFS is answered by copying at once, in the same flush (zero copy 19)",
  () =>
    leaks(async () => {
      const [connection, receiver] = await ends();
      failWith("sendZeroCopy", ENOBUFS, { fd: connection.fd, count: 1000 });
      write(connection, 0, 100 * KIB);
      await soon(connection.writer.flush());
      const { calls, noBuffers, fallBacks, obstacle } = connection.zeroCopyCounts;
      assertEquals([calls, noBuffers, fallBacks, obstacle], [0, 1, 1, "no buffers"]);
      await finish(connection, receiver, 100 * KIB);
      assert(!connection.isActive);
    }),
);
