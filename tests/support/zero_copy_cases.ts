/**
 * The promises of zero copy. Each is a case that runs where it is asked for: in a test, or in a
 * bed (zero_copy_bed.ts). Their numbers stand in the names of the tests.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { Program } from "../../scripts/program.ts";
import type { Connection } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { assertCalm } from "./calm.ts";
import { clearFaults, copied, failWith, shorten } from "./faults.ts";
import { root } from "./library.ts";
import { pattern } from "./pair.ts";
import { seededRandom } from "./random.ts";
import { delay, soon, stateOf, tick, until } from "./until.ts";
import { ENDINGS } from "./zero_copy_endings.ts";
import {
  ends,
  finish,
  pinned,
  type Receiver,
  scribbling,
  sendMany,
  stream,
  tcpInfo,
  TIGHT,
  useCubic,
  write,
} from "./zero_copy_ends.ts";

const KIB = 1024;
const EAGAIN = 11;
const ENOBUFS = 105;
const OPTMEM = "/proc/sys/net/core/optmem_max";

/**
 * Two ends with addresses that are neither loopback's nor the same, so that `"auto"` takes them for
 * two machines. For beds: loopback gets another network.
 */
async function otherMachine(): Promise<[Connection, Receiver]> {
  const { status } = spawnSync("ip", ["address", "replace", "10.77.0.1/24", "dev", "lo"]);
  assertEquals(status, 0, "ip(8) gives loopback another network");
  return await ends({ zeroCopy: "auto", localAddress: "10.77.0.2:0" }, { host: "10.77.0.1" });
}

/** Ways in which a receiver reads: as fast as it can, a little at a time, in bursts with pauses. */
const READERS: Record<string, (receiver: Receiver, count: number) => Promise<void>> = {
  fast: (receiver, count) => receiver.takeAll(count),
  async slow(receiver, count) {
    while (receiver.count < count && !receiver.wasReset) {
      receiver.take(48 * KIB);
      await tick();
    }
  },
  async stopAndGo(receiver, count) {
    while (receiver.count < count && !receiver.wasReset) {
      for (let i = 0; i < 8 && receiver.take(64 * KIB); i++);
      await delay(2);
    }
  },
};

async function scribble(reader: string): Promise<void> {
  await scribbling(async () => {
    const random = seededRandom(16);
    const [connection, receiver] = await ends();
    const sizes = Array.from({ length: 60 }, () => 1 + random.below(400 * KIB));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const received = READERS[reader]!(receiver, total);
    received.catch(() => {}); // told below, when the sender is done
    let at = 0;
    for (const size of sizes) {
      write(connection, at, size);
      await soon(Promise.race([connection.writer.flush(), received]));
      at += size;
    }
    await received;
    await finish(connection, receiver, total);
  });
}

/** The promises of sending, and of ending. */
export const CASES: Record<string, () => Promise<void>> = {
  ...ENDINGS,

  async oneWrite() {
    const [connection, receiver] = await pinned(200 * KIB);
    const released = connection.writer.released();
    assertEquals(connection.zeroCopyCounts.calls, 1);
    assertEquals(await stateOf(released), "pending");
    await receiver.takeAll(200 * KIB);
    await soon(released);
    assertEquals(blocks.pinnedBytes, 0);
    assertEquals([connection.zeroCopyCounts.completions, connection.zeroCopyCounts.copied], [1, 0]);
    await finish(connection, receiver, 200 * KIB);
  },

  async copiedIsTold() {
    const [connection, receiver] = await ends();
    await stream(connection, receiver, 1, 200 * KIB);
    await soon(connection.writer.released());
    assertGreater(connection.zeroCopyCounts.copied, 0);
    await finish(connection, receiver, 200 * KIB);
  },

  async idsAfterFailures() {
    const [connection, receiver] = await ends({}, TIGHT);
    let at = 0;
    for (let i = 0; i < 4; i++) {
      failWith("sendZeroCopy", EAGAIN, { fd: connection.fd });
      at = await stream(connection, receiver, 1, 100 * KIB, at);
      write(connection, at, 256 * KIB);
      const flushed = connection.writer.flush();
      // While something is under way: the next completion ends what ENOBUFS began.
      failWith("sendZeroCopy", ENOBUFS, { fd: connection.fd, count: 2 });
      write(connection, at + 256 * KIB, 100 * KIB);
      void connection.writer.flush();
      at += 356 * KIB;
      await receiver.takeAll(at);
      await soon(flushed);
      await soon(connection.writer.released());
      clearFaults();
    }
    assertGreater(connection.zeroCopyCounts.noBuffers, 0);
    assertGreater(connection.zeroCopyCounts.calls, 3);
    await finish(connection, receiver, at);
  },

  async partialSends() {
    const [connection, receiver] = await ends({}, TIGHT);
    shorten("sendZeroCopy", 10_000, { fd: connection.fd, count: 5 });
    write(connection, 0, 100 * KIB);
    const flushed = connection.writer.flush();
    await until(() => connection.zeroCopyCounts.calls >= 6, "a send for each part");
    const released = connection.writer.released();
    await soon(flushed);
    assertGreater(blocks.pinnedBytes, 0);
    assertEquals(await stateOf(released), "pending");
    await receiver.takeAll(100 * KIB);
    await soon(released);
    assertEquals(connection.zeroCopyCounts.calls, 6);
    await finish(connection, receiver, 100 * KIB);
  },

  async mixed() {
    const [connection, receiver] = await ends();
    let at = 0;
    for (let i = 0; i < 40; i++) {
      for (const size of [100, 60 * KIB, 3000, 20 * KIB]) {
        write(connection, at, size);
        at += size;
        if (i % 3 === 0) await connection.writer.flush();
      }
      await connection.writer.flush();
      await receiver.takeAll(at);
    }
    assertGreater(connection.zeroCopyCounts.calls, 3);
    await finish(connection, receiver, at);
  },

  scribbleFast: () => scribble("fast"),

  scribbleSlow: () => scribble("slow"),

  scribbleStopAndGo: () => scribble("stopAndGo"),

  async noMemoryEver() {
    const [connection, receiver] = await ends();
    await stream(connection, receiver, 300, 8 * KIB);
    const { calls, noBuffers, fallBacks, obstacle } = connection.zeroCopyCounts;
    // Asked at first, and again after 200 sends: never twice for one write.
    assertEquals([calls, noBuffers, fallBacks, obstacle], [0, 2, 300, "no buffers"]);
    await finish(connection, receiver, 300 * 8 * KIB);
  },

  async memoryForOne() {
    const [connection, receiver] = await ends({}, TIGHT);
    const at = await stream(connection, receiver, 60, 100 * KIB);
    const { calls, noBuffers, fallBacks } = connection.zeroCopyCounts;
    assertGreater(calls, 1);
    assertGreater(noBuffers, 0);
    assertGreater(fallBacks, 0);
    await finish(connection, receiver, at);
  },

  async memoryLater() {
    writeFileSync(OPTMEM, "0");
    const [connection, receiver] = await ends();
    let at = await stream(connection, receiver, 1, 8 * KIB);
    assertEquals(connection.zeroCopyCounts.obstacle, "no buffers");
    writeFileSync(OPTMEM, "131072");
    at = await stream(connection, receiver, 210, 8 * KIB, at);
    assertGreater(connection.zeroCopyCounts.calls, 0);
    assertEquals(connection.zeroCopyCounts.obstacle, null);
    await finish(connection, receiver, at);
  },

  /** Zero copy of a peer that has ended its side goes on after a drain that left no event. */
  async spuriousError() {
    const [connection, receiver] = await ends({}, TIGHT);
    receiver.end();
    await soon(connection.reader.wait(1).catch(() => {}));
    const at = await stream(connection, receiver, 60, 100 * KIB);
    assert(connection.isActive);
    assertEquals(await stateOf(connection.closed), "pending");
    await finish(connection, receiver, at);
  },

  async littleLocked() {
    const [connection, receiver] = await ends({}, TIGHT);
    const [other, otherReceiver] = await ends();
    const at = await stream(connection, receiver, 8, 1024 * KIB);
    const { calls, bytes, noBuffers } = connection.zeroCopyCounts;
    assertGreater(calls, 0);
    assertGreater(noBuffers, 0);
    assert(bytes <= calls * 128 * KIB, "half of what may be locked is the most of a call");
    await stream(other, otherReceiver, 2, 100 * KIB);
    await finish(connection, receiver, at);
    await finish(other, otherReceiver, 200 * KIB);
  },

  async nothingLocked() {
    const [connection, receiver] = await ends();
    await stream(connection, receiver, 2, 100 * KIB);
    const { calls, obstacle } = connection.zeroCopyCounts;
    assertEquals([calls, obstacle], [0, "locked memory"]);
    await finish(connection, receiver, 200 * KIB);
  },

  async copiedStops() {
    const [connection, receiver] = await ends();
    let at = 0;
    for (let i = 0; connection.zeroCopyCounts.obstacle !== "copied"; i++) {
      assert(i < 20, "three completions that say so are enough");
      at = await stream(connection, receiver, 1, 64 * KIB, at);
      await soon(connection.writer.released());
    }
    const { calls, copied } = connection.zeroCopyCounts;
    assertEquals(copied, 3);
    at = await stream(connection, receiver, 20, 64 * KIB, at);
    assertEquals(connection.zeroCopyCounts.calls, calls);
    await finish(connection, receiver, at);
  },

  async copiedForAWhile() {
    const [connection, receiver] = await ends();
    copied({ fd: connection.fd, count: 3 });
    let at = 0;
    for (let i = 0; i < 3; i++) {
      at = await stream(connection, receiver, 1, 8 * KIB, at);
      await soon(connection.writer.released());
    }
    assertEquals(connection.zeroCopyCounts.obstacle, "copied");
    at = await stream(connection, receiver, 1010, 4 * KIB, at);
    assertEquals(connection.zeroCopyCounts.obstacle, null);
    assertGreater(connection.zeroCopyCounts.calls, 3);
    await finish(connection, receiver, at);
  },

  async copiedWhileWatched() {
    const [connection, receiver] = await ends();
    let at = await stream(connection, receiver, 5, 64 * KIB);
    await soon(connection.writer.released());
    assertEquals(connection.zeroCopyCounts.copied, 0);
    const sniff = new Program({ argv: [`${root}tests/native/build/sniff`], hasInput: true });
    try {
      await sniff.find(/./); // it is ready
      for (let i = 0; connection.zeroCopyCounts.obstacle !== "copied"; i++) {
        assert(i < 20, "three completions that say so are enough");
        at = await stream(connection, receiver, 1, 64 * KIB, at);
        await soon(connection.writer.released());
      }
    } finally {
      sniff.endInput();
      await sniff.ended;
    }
    const { calls, copied } = connection.zeroCopyCounts;
    at = await stream(connection, receiver, 1010, 4 * KIB, at);
    await soon(connection.writer.released());
    assertEquals(connection.zeroCopyCounts.obstacle, null);
    assertEquals(connection.zeroCopyCounts.copied, copied);
    assertGreater(connection.zeroCopyCounts.calls, calls);
    await finish(connection, receiver, at);
  },

  async completionsAreNoErrors() {
    const errors: unknown[] = [];
    const [connection, receiver] = await ends({ onError: (error) => void errors.push(error) });
    const at = await stream(connection, receiver, 30, 100 * KIB);
    connection.pauseRead(); // no interest is left: they are told all the same
    await stream(connection, receiver, 3, 100 * KIB, at);
    await soon(connection.writer.released());
    assert(connection.isActive);
    assertEquals(errors, []);
    await finish(connection, receiver, at + 300 * KIB);
  },

  async overIPv6() {
    const [connection, receiver] = await ends({}, { host: "::1" });
    await stream(connection, receiver, 3, 100 * KIB);
    assertGreater(connection.zeroCopyCounts.calls, 0);
    await finish(connection, receiver, 300 * KIB);
  },

  async smallPieces() {
    const [connection, receiver] = await ends();
    const bytes = pattern(64 * KIB);
    for (let at = 0; at < bytes.length; at += 64) {
      connection.writer.writeDirect(bytes.subarray(at, at + 64)); // a node of its own
    }
    await connection.writer.flush();
    await receiver.takeAll(64 * KIB);
    assertEquals(connection.zeroCopyCounts.calls, 0);
    assert(tcpInfo(connection.fd).dataSegments <= 16 + 2, "64 pieces to a send");
    await finish(connection, receiver, 64 * KIB);
  },

  async headerAndTrailer() {
    const [connection, receiver] = await ends();
    write(connection, 0, 100);
    write(connection, 100, 64 * KIB); // fills its block
    write(connection, 100 + 64 * KIB, 100);
    await connection.writer.flush();
    const { calls, bytes } = connection.zeroCopyCounts;
    assertEquals([calls, bytes], [1, 100 + 64 * KIB]);
    await finish(connection, receiver, 200 + 64 * KIB);
  },

  async oneHugeWrite() {
    const [connection, receiver] = await ends();
    const total = 100 * 1024 * KIB;
    write(connection, 0, total);
    const flushed = connection.writer.flush();
    let most = 0;
    while (receiver.count < total) {
      receiver.take();
      most = Math.max(most, connection.zeroCopyCounts.outstandingBytes);
      await tick();
    }
    await soon(flushed);
    const { calls, bytes } = connection.zeroCopyCounts;
    assert(calls > 0 && bytes <= calls * 512 * KIB);
    assert(most <= 4.5 * 1024 * KIB, `${most} bytes were pinned`);
    await finish(connection, receiver, total);
  },

  async ringIsFull() {
    const [connection, receiver] = await ends({}, TIGHT);
    let at = await sendMany(connection, 300, 4 * KIB);
    const full = connection.zeroCopyCounts;
    assertEquals([full.outstandingCalls, full.obstacle], [256, "full"]);
    assertGreater(full.fallBacks, 0);
    await receiver.takeAll(at);
    await soon(connection.writer.released());
    at = await stream(connection, receiver, 3, 4 * KIB, at);
    assertGreater(connection.zeroCopyCounts.calls, 256);
    await finish(connection, receiver, at);
  },

  async receiverStops() {
    const [connection, receiver] = await ends({}, TIGHT);
    const total = 16 * 1024 * KIB;
    write(connection, 0, total);
    const flushed = connection.writer.flush();
    await tick();
    await assertCalm();
    assertEquals(await stateOf(flushed), "pending");
    await receiver.takeAll(total);
    await soon(flushed);
    await finish(connection, receiver, total);
  },

  async flushDoesNotWait() {
    const [connection, receiver] = await pinned(100 * KIB); // its flush has resolved
    assertEquals(await stateOf(connection.writer.released()), "pending");
    await finish(connection, receiver, 100 * KIB);
  },

  async ownArrays() {
    const [connection, receiver] = await ends({}, TIGHT);
    for (let i = 0; i < 8; i++) {
      const bytes = pattern(128 * KIB);
      connection.writer.writeBinary(bytes);
      // It was copied when it was written: it may change, vanish or be collected.
      if (i % 2 === 0) bytes.fill(0xee);
      else structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] });
      void connection.writer.flush();
    }
    await receiver.takeAll(1024 * KIB);
    assertGreater(connection.zeroCopyCounts.calls, 0);
    await finish(connection, receiver, 1024 * KIB);
  },

  async borrowedIsNeverPinned() {
    const [connection, receiver] = await otherMachine();
    for (let i = 0; i < 8; i++) {
      connection.writer.writeBinary(pattern(256 * KIB));
      await Promise.all([connection.writer.flush(), receiver.takeAll((i + 1) * 256 * KIB)]);
    }
    assertEquals(connection.zeroCopyCounts.calls, 0);
    await stream(connection, receiver, 1, 256 * KIB, 2048 * KIB);
    assertGreater(connection.zeroCopyCounts.calls, 0);
    await finish(connection, receiver, 2304 * KIB);
  },

  async streamsLowerTheThreshold() {
    const [connection, receiver] = await otherMachine();
    let at = 0;
    for (let i = 0; connection.zeroCopyCounts.thresholdBytes > 16 * KIB; i++) {
      assert(i < 2000, "a stream lowers the threshold to 16 KiB");
      // Nobody but `receiver` and the bound of what is pinned takes time: notifications merge.
      for (let n = 0; n < 8; n++, at += 128 * KIB) {
        write(connection, at, 128 * KIB);
        void connection.writer.flush();
        while (receiver.take());
      }
      await tick();
    }
    await finish(connection, receiver, at);
  },

  async answersRaiseTheThreshold() {
    const [connection, receiver] = await otherMachine();
    let at = 0;
    for (let i = 0; connection.zeroCopyCounts.thresholdBytes < 256 * KIB; i++) {
      assert(i < 1000, "sends that complete alone raise the threshold to 256 KiB");
      at = await stream(connection, receiver, 1, 256 * KIB, at);
      await soon(connection.writer.released());
    }
    assertEquals(connection.zeroCopyCounts.obstacle, null);
    await finish(connection, receiver, at);
  },

  async nothingIsHeldBack() {
    const [connection, receiver] = await ends();
    useCubic(connection.fd);
    write(connection, 0, 64 * KIB);
    write(connection, 64 * KIB, 100);
    await connection.writer.flush();
    // MSG_MORE on the last call would leave the trailer unsent for 200 ms.
    assertEquals(tcpInfo(connection.fd).notSentBytes, 0);
    await finish(connection, receiver, 64 * KIB + 100);
  },

  async copiesBetween() {
    const [connection, receiver] = await ends({ sendBufferBytes: 64 * KIB }, TIGHT);
    let at = 0;
    const sent = (async () => {
      for (let i = 0; i < 30; i++) {
        shorten("send", 1000, { fd: connection.fd, count: 2 });
        for (const size of [3000, 100 * KIB, 2000]) {
          write(connection, at, size);
          at += size;
        }
        await connection.writer.flush();
      }
    })();
    await receiver.takeAll(30 * (5000 + 100 * KIB));
    await sent;
    await finish(connection, receiver, at);
  },
};
