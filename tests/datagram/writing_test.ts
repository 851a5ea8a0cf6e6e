import {
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "node:test";
import { setTimeout } from "node:timers";
import {
  ClosedError,
  type DatagramOptions,
  type DatagramSocket,
  packPeer,
  TimeoutError,
} from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { DatagramCore } from "../../src/datagram/core.ts";
import { openBound } from "../../src/datagram/create.ts";
import { nameOf } from "../../src/datagram/open.ts";
import { datagramSettings } from "../../src/datagram/options.ts";
import { putPeer, recordTable, Word } from "../../src/datagram/record.ts";
import { Tally } from "../../src/datagram/tally.ts";
import { Writing, type WritingOwner } from "../../src/datagram/writing.ts";
import { Family } from "../../src/net/address.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { bound, bytes, dialled, textOf, texts } from "../support/datagrams.ts";
import { clearFaults, failWith, faultTest } from "../support/faults.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

test("write() takes a copy: what becomes of the array afterwards changes nothing", async () => {
  await using receiver = bound({ readTimeoutMs: 3000 });
  await using sender = await dialled(receiver);
  const array = bytes("before");
  sender.write(array);
  array.fill(0);
  sender.write(bytes("xxafterxx").subarray(2, 7));
  await sender.flush();
  assertEquals(await texts(receiver, 2), ["before", "after"]);
});

test("flush() in a loop leaves the thread to others, though the kernel always has room", async () => {
  await using receiver = bound();
  await using sender = bound();
  const peer = packPeer(textOf(receiver));
  let heard = 0;
  await using other = bound({ onDatagram: () => void (heard += 1) });
  let isOver = false;
  setTimeout(() => isOver = true, 1);
  sender.writeTo(packPeer(textOf(other)), bytes("x"));
  let sent = 0;
  for (; sent < 1_000_000 && !(isOver && heard > 0); sent++) {
    sender.writeTo(peer, bytes("x"));
    await sender.flush();
  }
  assertLess(sent, 1_000_000, "nothing else ran");
  // Whoever awaits none of them makes no promise of each.
  const flushes = Array.from({ length: 10_000 }, () => sender.flush());
  assertLess(new Set(flushes).size, 3);
  await Promise.all(flushes);
});

test("write() refuses more bytes than a datagram has, and what is none or gone, at once", async () => {
  for (const [network, most] of [["udp4", 65_507], ["udp6", 65_527]] as const) {
    await using receiver = bound({ readTimeoutMs: 3000, receiveBufferBytes: 1 << 20 }, network);
    await using sender = await dialled(receiver);
    assertThrows(() => sender.write(new Uint8Array(most + 1)), RangeError, `at most ${most}`);
    assertThrows(() => sender.mallocTo(null, most + 1), RangeError);
    assertThrows(() => sender.write("text" as unknown as Uint8Array), TypeError);
    const gone = new Uint8Array(8);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    assertThrows(() => sender.write(gone), TypeError, "taken away");
    assertThrows(() => sender.write(bytes("x"), { ecn: 4 }), RangeError);
    assertThrows(() => sender.write(bytes("x"), { tos: 4 } as never), TypeError, "Unknown option");
    assertEquals(sender.queuedCount, 0);
    sender.write(new Uint8Array(most));
    await sender.flush();
    await receiver.wait();
    assertEquals(receiver.datagrams.at(0).length, most);
    receiver.release();
  }
});

test("mallocTo() lends bytes of the datagram, and mallocAck() shortens it", async () => {
  await using receiver = bound({ readTimeoutMs: 3000 });
  await using sender = bound();
  const to = packPeer(textOf(receiver));
  const lent = sender.mallocTo(to, 100)!;
  lent.set(bytes("hello"));
  sender.mallocAck(5);
  assertThrows(() => sender.mallocAck(5), RangeError, "nothing is lent");
  sender.mallocTo(to, 3)!.set(bytes("all"));
  assertThrows(() => sender.mallocAck(4), RangeError, "3 are lent");
  sender.writeTo(to, bytes("next"));
  for (const wrong of [-1, 0.5, NaN]) assertThrows(() => sender.mallocTo(to, wrong), TypeError);
  await sender.flush();
  assertEquals(await texts(receiver, 3), ["hello", "all", "next"]);
});

const ENDS: [what: string, end: (sender: DatagramSocket) => unknown, follow: string[]][] = [
  ["write", (sender) => sender.write(bytes("next")), ["next"]],
  ["a train", (sender) => sender.writeTrain(null, bytes("aab"), 2), ["aa", "b"]],
  ["a flush that waits", (sender) => sender.flush(), []],
  ["a write that is refused", (sender) => sender.write(new Uint8Array(1000)), []],
  ["mallocTo that is refused", (sender) => sender.mallocTo(null, 1000), []],
];
for (const [what, end, follow] of ENDS) {
  faultTest(`mallocAck() shortens nothing any more after ${what}`, async () => {
    await using receiver = bound({ readTimeoutMs: 3000 });
    await using sender = await dialled(receiver, { queueBytesMax: 100 });
    failWith("send", ERRNO.ENOBUFS, { fd: sender.fd, count: 1_000_000 });
    sender.mallocTo(null, 3)!.set(bytes("own"));
    end(sender);
    assertThrows(() => sender.mallocAck(1), RangeError, "nothing is lent");
    clearFaults();
    await sender.flush();
    assertEquals(await texts(receiver, 1 + follow.length), ["own", ...follow]);
  });
}

test("writeTrain() after longer datagrams of the same peer is still a train", async () => {
  await using receiver = bound({ readTimeoutMs: 3000 });
  await using sender = await dialled(receiver);
  sender.write(bytes("longer"));
  sender.writeTrain(null, bytes("aabb"), 2);
  sender.writeTrain(null, bytes("ccc"), 1);
  await sender.flush();
  assertEquals(await texts(receiver, 6), ["longer", "aa", "bb", "c", "c", "c"]);
  assertEquals([sender.queuedCount, sender.queuedBytes], [0, 0]);
});

test("write() makes a train, whatever the queue had before: records are used again", async () => {
  await using receiver = bound({ readTimeoutMs: 3000 });
  await using before = bound();
  const peers = [receiver.localAddress, { ...receiver.localAddress, hostname: "127.0.0.2" }];
  for (let i = 0; i < 10; i++) before.writeTo(packPeer(peers[i % 2]!), bytes(`${i}`));
  await before.flush();
  assertEquals(before.metrics().sent.messages, 10);
  await using sender = await dialled(receiver);
  for (let i = 0; i < 10; i++) sender.write(bytes("x"));
  await sender.flush();
  assertEquals(sender.metrics().sent.messages, 1);
});

test("writeTrain() writes datagrams of one size, the last one shorter, of any length", async () => {
  await using receiver = bound({ readTimeoutMs: 3000, receiveBufferBytes: 4 << 20 });
  await using sender = bound();
  const all = new Uint8Array(150_050).map((_, i) => i / 100);
  assertEquals(sender.writeTrain(packPeer(textOf(receiver)), all, 100), 1501);
  await sender.flush();
  let count = 0;
  while (count < 1501) {
    await receiver.wait();
    for (const { bytes, length } of receiver.datagrams) {
      assertEquals([length, bytes[0]], [count === 1500 ? 50 : 100, count & 0xff]);
      count += 1;
    }
  }
  receiver.release();
  for (const wrong of [0, -1, 0.5, NaN]) {
    assertThrows(() => sender.writeTrain(packPeer("127.0.0.1:1"), all, wrong), RangeError);
  }
  assertEquals(sender.writeTrain(packPeer("127.0.0.1:1"), new Uint8Array(0), 100), 0);
});

faultTest("writeTrain() says how many were taken where the queue is full", async () => {
  await using receiver = bound({ readTimeoutMs: 3000 });
  await using sender = await dialled(receiver, { queueCountMax: 5 });
  failWith("send", ERRNO.EAGAIN, { fd: sender.fd });
  assertEquals(sender.writeTrain(null, new Uint8Array(100), 10), 5);
  assertEquals(sender.mallocTo(null, 1), null);
  assertEquals(sender.metrics().dropped.full, 6);
  await sender.flush();
});

faultTest(
  "flush() ends with its deadline, or its signal; what is queued stays, and leaves",
  async () => {
    await using receiver = bound({ readTimeoutMs: 3000 });
    await using sender = await dialled(receiver, { writeTimeoutMs: 20 });
    failWith("send", ERRNO.ENOBUFS, { fd: sender.fd, count: 60 });
    sender.write(bytes("x"));
    const controller = new AbortController();
    const signalled = sender.flush({ signal: controller.signal });
    const both = sender.flush();
    controller.abort(new Error("enough"));
    await assertRejects(() => signalled, Error, "enough");
    const late = await soon(both.catch((error) => error));
    assertInstanceOf(late, TimeoutError);
    assertEquals([late.operation, sender.queuedCount], ["write", 1]);
    clearFaults();
    assertEquals(await texts(receiver, 1), ["x"]);
    await sender.flush();
  },
);

faultTest(
  "flush() waits for what was written before it, not for what was written since",
  async () => {
    await using receiver = bound({ readTimeoutMs: 3000 });
    await using sender = await dialled(receiver);
    failWith("send", ERRNO.ENOBUFS, { fd: sender.fd });
    sender.write(bytes("own"));
    const flushed = sender.flush();
    sender.write(bytes("later"));
    failWith("send", ERRNO.ENOBUFS, { fd: sender.fd, skip: 1, count: 1_000_000 });
    await soon(flushed);
    assertEquals([await texts(receiver, 1), sender.queuedCount], [["own"], 1]);
    clearFaults();
    await sender.flush();
  },
);

faultTest(
  "flush() has a writeTimeoutMs of its own, whichever others wait",
  () =>
    withFakeClock(async (fake) => {
      await using receiver = bound({ readTimeoutMs: 3000 });
      await using sender = await dialled(receiver, { writeTimeoutMs: 10 });
      failWith("send", ERRNO.ENOBUFS, { fd: sender.fd, count: 1_000_000 });
      const ends: unknown[] = [];
      const flush = () => sender.flush().then(() => ends.push("left"), (e) => ends.push(e.name));
      sender.write(bytes("first"));
      void flush();
      await fake.advance(6);
      sender.write(bytes("second"));
      const second = flush();
      await fake.advance(6);
      assertEquals(ends, ["TimeoutError"]);
      clearFaults();
      await fake.advance(2);
      await soon(second);
      assertEquals([ends, await texts(receiver, 2)], [["TimeoutError", "left"], [
        "first",
        "second",
      ]]);
    }),
);

faultTest(
  "flush() has a writeTimeoutMs of its own, also where nothing was written since another one",
  () =>
    withFakeClock(async (fake) => {
      await using receiver = bound({ readTimeoutMs: 3000 });
      await using sender = await dialled(receiver, { writeTimeoutMs: 10 });
      failWith("send", ERRNO.ENOBUFS, { fd: sender.fd, count: 1_000_000 });
      const ends: string[] = [];
      const flush = (name: string) => sender.flush().catch((e) => ends.push(`${name} ${e.name}`));
      sender.write(bytes("x"));
      void flush("first");
      await fake.advance(6);
      void flush("second");
      await fake.advance(6);
      assertEquals(ends, ["first TimeoutError"]);
      await fake.advance(6);
      assertEquals(ends, ["first TimeoutError", "second TimeoutError"]);
      await sender.close({ timeoutMs: 0 }); // by this clock its time to leave would never pass
    }),
);

/** A socket whose kernel has no room, and that none of its events tells of any. */
function blocked(options: DatagramOptions): DatagramCore {
  const fd = openBound("udp4", "127.0.0.1:0", options);
  const core = new DatagramCore(fd, {
    poller: threadPoller(),
    callbacks: {},
    settings: datagramSettings(options),
    family: Family.IPV4,
    isIPv6Only: false,
    local: nameOf(fd),
    remoteAddress: null,
  });
  core.writing.outgoing.isBlocked = true;
  return core;
}

test("flush() in a later batch of handlers waits and times out for itself, without room", () =>
  withFakeClock(async (fake) => {
    await using receiver = bound({ readTimeoutMs: 3000 });
    const peer = packPeer(textOf(receiver));
    const core = blocked({ writeTimeoutMs: 300 });
    const ends: string[] = [];
    let count = 0;
    await using server = bound({
      onDatagram() {
        const name = `${++count}`;
        core.joined.write(peer, bytes(name));
        core.flush(undefined).then(
          () => ends.push(`${name} left`),
          () => ends.push(`${name} late`),
        );
      },
    });
    await using client = await dialled(server);
    const ask = async () => {
      const before = count;
      client.write(bytes("x"));
      await client.flush();
      await until(() => count > before, "the handler is called");
      await fake.advance(100);
    };
    for (let i = 0; i < 3; i++) await ask();
    await fake.advance(10);
    assertEquals(ends, ["1 late"]);
    await fake.advance(100);
    assertEquals(ends, ["1 late", "2 late"]);
    core.writing.outgoing.onRoom();
    await fake.advance(100);
    assertEquals(ends, ["1 late", "2 late", "3 left"]);
    assertEquals(core.writing.isAwaited, false);
    assertEquals(await texts(receiver, 3), ["1", "2", "3"]);
    core.end(null);
  }));

test("flush() ends when all that it waits for was dropped, though the kernel has no room", async () => {
  const peer = packPeer("127.0.0.1:1");
  const core = blocked({ onQueueFull: "drop-old", queueCountMax: 4 });
  let done = 0;
  for (let i = 0; i < 1000; i++) {
    core.joined.write(peer, bytes("x"));
    core.flush(undefined).then(() => done += 1, () => {});
  }
  await ticks(1);
  assertEquals([done, core.queuedCount, core.writing.isAwaited], [996, 4, true]);
  core.end(null);
});

test("flush() ends when what it waits for has expired, though there is no room for the next", () =>
  withFakeClock(async (fake) => {
    const peer = packPeer("127.0.0.1:1");
    const core = blocked({ queueLifetimeMs: 30_000, queueBytesMax: 100 });
    core.joined.write(peer, new Uint8Array(60));
    const first = core.flush(undefined);
    fake.block(20_000);
    core.joined.write(peer, new Uint8Array(40));
    const second = core.flush(undefined).catch(() => {});
    fake.block(20_000);
    assertEquals(core.joined.write(peer, new Uint8Array(61)), false);
    assertEquals([await stateOf(first), await stateOf(second)], ["done", "pending"]);
    assertEquals([core.tally.own.droppedExpired, core.tally.own.droppedFull], [1, 1]);
    core.end(null);
  }));

test("reply() in a handler leaves after the batch: flush() there waits for that", async () => {
  const flushes: Promise<void>[] = [];
  await using server = bound({
    onDatagram(datagram) {
      datagram.reply(datagram.bytes);
      flushes.push(server.flush());
    },
  });
  await using client = await dialled(server);
  for (let i = 0; i < 10; i++) client.write(bytes(`${i}`));
  await client.flush();
  assertEquals(await texts(client, 10), Array.from({ length: 10 }, (_, i) => `${i}`));
  await Promise.all(flushes);
  assertEquals([flushes.length, server.metrics().sent.messages], [10, 1]);
});

test("flush() in the handler of another socket leaves with what the next calls write", async () => {
  await using origin = bound({ readTimeoutMs: 3000 });
  await using upstream = await dialled(origin);
  await using server = bound({
    onDatagram({ bytes }) {
      upstream.write(bytes);
      upstream.flush();
    },
  });
  await using client = await dialled(server);
  for (let i = 0; i < 10; i++) client.write(bytes(`${i}`));
  await client.flush();
  assertEquals((await texts(origin, 10)).length, 10);
  assertEquals(upstream.metrics().sent.messages, 1);
});

test("what a handler writes to other sockets leaves after the batch, without flush()", async () => {
  await using origin = bound({ readTimeoutMs: 3000 });
  const peer = packPeer(textOf(origin));
  await using one = await dialled(origin);
  await using other = bound();
  await using server = bound({
    onDatagram() {
      one.write(bytes("write"));
      one.mallocTo(null, 8)!.set(bytes("mallocTo"));
      one.writeTrain(null, bytes("train"), 5);
      other.writeTo(peer, bytes("writeTo"));
      other.mallocTo(peer, 10)!.set(bytes("mallocTo 2"));
      other.writeTrain(peer, bytes("train 2"), 7);
    },
  });
  await using client = await dialled(server);
  for (let round = 0; round < 2; round++) {
    client.write(bytes("x"));
    await client.flush();
    const expected = ["mallocTo", "mallocTo 2", "train", "train 2", "write", "writeTo"];
    assertEquals((await texts(origin, expected.length)).sort(), expected);
  }
});

test("flush() after close() tells whoever waits, and ends no process where nobody does", async () => {
  const socket = bound();
  await socket.close();
  socket.flush();
  await new Promise((resolve) => setImmediate(resolve)); // a runtime ends the process by now
  await assertRejects(() => socket.flush(), ClosedError);
});

test("flush() with a signal that is aborted ends no process where nobody waits", async () => {
  await using socket = bound();
  const signal = AbortSignal.abort("given up");
  void socket.flush({ signal });
  await new Promise((resolve) => setImmediate(resolve)); // a runtime ends the process by now
  assertEquals(await socket.flush({ signal }).catch((reason) => reason), "given up");
});

test("a batch answered with more than the queue holds loses nothing", async () => {
  await using server = bound({
    queueCountMax: 2,
    receiveBufferBytes: 1 << 20,
    onDatagram: (datagram) => void datagram.reply(datagram.bytes),
  });
  await using client = await dialled(server, { receiveBufferBytes: 1 << 20 });
  for (let i = 0; i < 60; i++) client.write(bytes(`${i}`));
  await client.flush();
  assertEquals((await texts(client, 60)).length, 60);
  assertEquals(server.metrics().dropped.full, 0);
});

faultTest("reply() refuses what is too long at once, and says that the queue is full", async () => {
  const said: unknown[] = [];
  await using server = bound({
    queueCountMax: 2,
    onDatagram(datagram) {
      assertThrows(() => datagram.reply(new Uint8Array(65_508)), RangeError, "at most 65507");
      failWith("send", ERRNO.EAGAIN, { fd: server.fd, count: 3 });
      for (let i = 0; i < 3; i++) said.push(datagram.reply(bytes(`${i}`)));
      clearFaults();
    },
  });
  await using client = await dialled(server);
  client.write(bytes("x"));
  await client.flush();
  assertEquals(await texts(client, 2), ["0", "1"]);
  assertEquals([said, server.metrics().dropped.full], [[true, true, false], 1]);
});

test("flush() ends with its signal, however late that comes, and what was written leaves", async () => {
  await using receiver = bound({ readTimeoutMs: 3000 });
  await using sender = await dialled(receiver);
  await sender.flush(); // nothing was written yet
  sender.write(bytes("x"));
  const signal = AbortSignal.abort("mine");
  assertEquals(await sender.flush({ signal }).catch((reason) => reason), "mine");
  assertEquals(sender.queuedCount, 1);
  await sender.flush();
  assertEquals(await texts(receiver, 1), ["x"]);
});

test("reply() makes nothing of a forged source that has no port, and counts it", async () => {
  await using socket = bound();
  const owner = {
    fd: socket.fd,
    tally: new Tally(),
    settings: datagramSettings({}),
    remoteAddress: null,
  } as Partial<WritingOwner> as WritingOwner; // nothing else is asked for
  const writing = new Writing(owner, threadPoller());
  const forged = recordTable(1);
  putPeer(forged, 0, packPeer("127.0.0.1:1"));
  forged[Word.END] = Family.IPV4 << 16;
  assertEquals(writing.reply(forged, 0, bytes("x"), undefined), false);
  assertEquals([owner.tally.own.droppedRefused, writing.outgoing.queue.count], [1, 0]);
});
