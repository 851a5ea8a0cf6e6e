import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { test } from "node:test";
import { createListener, socketPair } from "../../mod.ts";
import { acceptQueue, tcpInfo } from "../../src/net/tcp_info.ts";
import { closeAll, receive, send, tcpPair } from "../support/pair.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { until } from "../support/until.ts";

test("tcpInfo() has the bytes of both directions, and the round trip", async () => {
  const [a, b] = await tcpPair();
  await send(b, "hello");
  await receive(a, 5);
  await send(a, "hi");
  await receive(b, 2);
  const there = tcpInfo(a.fd)!;
  assertEquals(there.receivedBytes, 5);
  assertGreater(there.rttMicros, 0);
  assertGreater(there.rttMinMicros, 0);
  assertLessOrEqual(there.rttMinMicros, there.rttMicros);
  assertGreater(there.congestionWindow, 0);
  // The answer to what was sent may still be on its way.
  await until(() => tcpInfo(a.fd)!.ackedBytes >= 2, "the bytes are confirmed");
  await until(() => tcpInfo(a.fd)!.unackedCount === 0, "nothing is under way");
  assertEquals(tcpInfo(b.fd)!.receivedBytes, 2);
  await closeAll(a, b);
});

test("tcpInfo() has what the kernel cannot send, when the peer reads nothing", async () => {
  const [a, b] = await tcpPair();
  b.pauseRead();
  a.writer.writeBinary(new Uint8Array(8 << 20));
  const flushed = a.writer.flush();
  await until(() => tcpInfo(a.fd)!.unsentBytes > 0, "bytes wait in the kernel");
  b.reset();
  await flushed.catch(() => {});
  await closeAll(a, b);
});

test("tcpInfo() is null for what is no TCP socket, and for none", async () => {
  const [a, b] = socketPair();
  assertEquals(tcpInfo(a.fd), null);
  assertEquals(tcpInfo(-1), null);
  await closeAll(a, b);
});

test("acceptQueue() has who waits to be accepted, and how many may", async () => {
  using listener = createListener("tcp", "127.0.0.1:0", { backlog: 7 });
  assertEquals(acceptQueue(listener.fd), { waitingCount: 0, waitingMax: 7 });
  using first = new RawPeer(listener);
  using second = new RawPeer(listener);
  await until(() => acceptQueue(listener.fd)!.waitingCount === 2, "both wait");
  assert(first.fd !== second.fd);
});

test("acceptQueue() is null for a Unix socket", () => {
  using listener = createListener("unix", `@netpoll-queue-${crypto.randomUUID()}`);
  assertEquals(acceptQueue(listener.fd), null);
});
