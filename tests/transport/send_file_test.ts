import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { closeSync, openSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  ClosedError,
  Connection,
  EofError,
  SendFileError,
  socketPair,
  SystemError,
  TimeoutError,
} from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import { FILES_UNSENT_MAX } from "../../src/core/limits.ts";
import { getOption, Option } from "../../src/net/socket.ts";
import { blocks } from "../../src/buffer/block.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { descriptorCount, leaks } from "../support/leaks.ts";
import {
  assertBytes,
  closeAll,
  pairWith,
  pattern,
  receive,
  send,
  tcpPair,
} from "../support/pair.ts";
import { take, withFile } from "../support/sent_file.ts";
import { soon, stateOf, tick, until } from "../support/until.ts";

test("sendFile() sends a file behind what was written, and before what is written next", () =>
  withFile(5000, async (path, bytes) => {
    for (const [a, b] of [socketPair(), await tcpPair()]) {
      a.writer.writeString("head");
      const sent = a.sendFile(path);
      a.writer.writeString("tail");
      const flushed = a.writer.flush();
      assertEquals(await soon(sent), 5000);
      await soon(flushed);
      assertEquals(await receive(b, 4), "head");
      assertBytes(await take(b, 5000), bytes);
      assertEquals(await receive(b, 4), "tail");
      await closeAll(a, b);
    }
  }));

test("sendFile() sends what `offset` and `length` say", () =>
  withFile(1000, async (path, bytes) => {
    const [a, b] = socketPair();
    for (const [offset, length] of [[0, 1], [999, 1], [10, 500]] as const) {
      assertEquals(await soon(a.sendFile(path, { offset, length })), length);
      assertBytes(await take(b, length), bytes.subarray(offset, offset + length));
    }
    assertEquals(await soon(a.sendFile(path, { offset: 990 })), 10);
    assertBytes(await take(b, 10), bytes.subarray(990));
    await closeAll(a, b);
  }));

test("sendFile() of nothing resolves to 0, behind what was flushed before", () =>
  withFile(1000, async (path) => {
    const [a, b] = socketPair();
    a.writer.writeString("before");
    assertEquals(await soon(a.sendFile(path, { length: 0 })), 0);
    assertEquals(await soon(a.sendFile(path, { offset: 1000 })), 0);
    assertEquals(await soon(receive(b, 6)), "before");
    await closeAll(a, b);
  }));

test("sendFile() throws a RangeError for a piece that the file does not have, and sends nothing", () =>
  withFile(1000, async (path) => {
    const [a, b] = socketPair();
    const wrong = [
      { offset: 1001 },
      { offset: 1, length: 1000 },
      { length: 1001 },
      { offset: -1 },
      { offset: 0.5 },
      { length: NaN },
      { length: -1 },
    ];
    for (const options of wrong) await assertRejects(() => a.sendFile(path, options), RangeError);
    await send(a, "next");
    assertEquals(await soon(receive(b, 4)), "next");
    await closeAll(a, b);
  }));

test("sendFile() throws for what is no file, and the connection goes on", () =>
  withFile(1, async (path) => {
    const [a, b] = socketPair();
    const codes: Record<string, string> = {
      [`${path}.none`]: "ENOENT",
      [path.slice(0, path.lastIndexOf("/"))]: "EISDIR",
      [`${path}/below`]: "ENOTDIR",
      "/dev/null": "ESPIPE",
    };
    for (const [wrong, code] of Object.entries(codes)) {
      const error = await assertRejects(() => a.sendFile(wrong), SystemError);
      assertEquals(error.code, code);
    }
    for (const wrong of [-1, 0.5, "a\0b"]) {
      await assertRejects(() => a.sendFile(wrong), TypeError);
    }
    assertEquals((await assertRejects(() => a.sendFile(a.fd), SystemError)).code, "ESPIPE");
    assertEquals(await soon(a.sendFile(path)), 1);
    assertEquals((await take(b, 1)).length, 1);
    await closeAll(a, b);
  }));

test("sendFile() of a descriptor leaves it open, and its position where it was", () =>
  withFile(1000, async (path, bytes) => {
    const [a, b] = socketPair();
    const fd = openSync(path, "r");
    try {
      for (let i = 0; i < 2; i++) {
        assertEquals(await soon(a.sendFile(fd, { offset: 100 })), 900);
        assertBytes(await take(b, 900), bytes.subarray(100));
      }
    } finally {
      closeSync(fd);
    }
    await closeAll(a, b);
  }));

test("sendFile() waits for a slow peer, with files and bytes in the order in which they came", () =>
  withFile(12 << 20, async (path, bytes) => {
    for (const [a, b] of [socketPair(), await tcpPair()]) {
      const rest = bytes.length - (1 << 20);
      b.pauseRead();
      const before = pattern(300_000, 7);
      a.writer.writeBinary(before);
      const progress: number[] = [];
      const first = a.sendFile(path, { onProgress: (count) => void progress.push(count) });
      a.writer.writeString("between");
      const between = a.writer.flush();
      const second = a.sendFile(path, { offset: 1 << 20 });
      const last = send(a, "last");
      assertEquals(await stateOf(first), "pending");
      assertEquals(await stateOf(last), "pending");
      b.resumeRead();
      assertBytes(await take(b, before.length), before);
      assertBytes(await take(b, bytes.length), bytes);
      assertEquals(await receive(b, 7), "between");
      assertBytes(await take(b, rest), bytes.subarray(1 << 20));
      assertEquals(await receive(b, 4), "last");
      assertEquals(await soon(first), bytes.length);
      assertEquals(await soon(second), rest);
      await soon(Promise.all([between, last]));
      assertEquals(progress.at(-1), bytes.length);
      assertEquals(progress, [...progress].sort((x, y) => x - y));
      await closeAll(a, b);
    }
  }));

test("sendFile() leaves in full packets while it waits for its peer, and then in any", () =>
  withFile(16 << 20, async (path) => {
    const [a, b] = await tcpPair();
    const isCorked = () => getOption(a.fd, Option.CORK) === 1;
    b.pauseRead();
    const sent = a.sendFile(path, { length: 100 });
    assertEquals(await soon(sent), 100);
    assert(!isCorked(), "what leaves at once is not worth a call");
    const long = a.sendFile(path);
    assertEquals(await stateOf(long), "pending");
    assert(isCorked());
    b.resumeRead();
    await take(b, 100 + (16 << 20));
    await soon(long);
    assert(!isCorked());
    await closeAll(a, b);
  }));

test("detach() while a file is under way gives a descriptor that sends packets of any length", () =>
  withFile(16 << 20, async (path) => {
    const [a, b] = await tcpPair();
    b.pauseRead();
    const sent = a.sendFile(path);
    assertEquals(await stateOf(sent), "pending");
    const fd = a.detach();
    assertEquals(getOption(fd, Option.CORK), 0);
    await assertRejects(() => soon(sent), ClosedError);
    assertEquals(native.close(fd), 0);
    await closeAll(b);
  }));

test("flush() of nothing new waits for the file before it", () =>
  withFile(4 << 20, async (path, bytes) => {
    const [a, b] = socketPair();
    b.pauseRead();
    const sent = a.sendFile(path);
    const flushed = a.writer.flush();
    assertEquals(await stateOf(flushed), "pending");
    b.resumeRead();
    assertBytes(await take(b, bytes.length), bytes);
    await soon(Promise.all([sent, flushed]));
    await closeAll(a, b);
  }));

test("close() and closeWrite() send a queued file to its end first", () =>
  withFile(4 << 20, async (path, bytes) => {
    for (const end of ["close", "closeWrite"] as const) {
      const [a, b] = await tcpPair();
      const sent = a.sendFile(path);
      const ended: Promise<unknown> = a[end]();
      assertBytes(await take(b, bytes.length), bytes);
      await assertRejects(() => soon(b.reader.wait(1)), EofError);
      assertEquals(await soon(sent), bytes.length);
      await soon(ended);
      await closeAll(a, b);
    }
  }));

test("close() without time drops the rest of a file, and counts it", () =>
  withFile(8 << 20, async (path, bytes) => {
    const [a, b] = socketPair();
    b.pauseRead();
    let count = 0;
    const sent = a.sendFile(path, { onProgress: (sentBytes) => count = sentBytes });
    await until(() => count > 0, "a part");
    const { unsentBytes } = await soon(a.close({ timeoutMs: 0 }));
    assertEquals(unsentBytes, bytes.length - count);
    await assertRejects(() => soon(sent), ClosedError);
    await closeAll(b);
  }));

test("sendFile() rejects on a connection that is closed, and leaves no descriptor behind", () =>
  withFile(1000, async (path) => {
    const [a, b] = socketPair();
    await a.close();
    const before = descriptorCount();
    await assertRejects(() => a.sendFile(path), ClosedError);
    assertEquals(descriptorCount(), before);
    await b.closeWrite();
    await assertRejects(() => b.sendFile(path), ClosedError);
    await closeAll(b);
  }));

test("sendFile() rejects with the signal's reason, before it begins and when a part has left", () =>
  withFile(8 << 20, async (path) => {
    const reason = new Error("on purpose");
    const [a, b] = await tcpPair();
    await assertRejects(() => a.sendFile(path, { signal: AbortSignal.abort(reason) }), Error, "on");
    b.pauseRead();
    let count = 0;
    const controller = new AbortController();
    const { signal } = controller;
    const sent = a.sendFile(path, { signal, onProgress: (sentBytes) => count = sentBytes });
    const behind = send(a, "never sent");
    await until(() => count > 0, "a part");
    controller.abort(reason);
    assertEquals(await sent.catch((error) => error), reason);
    assertInstanceOf(await behind.catch((error) => error), SendFileError);
    const closed = await assertRejects(() => soon(a.closed), SendFileError);
    assertEquals([closed.sentBytes, closed.cause], [count, reason]);
    // The bytes that the peer had not taken are dropped: it learns that it has no whole file.
    b.resumeRead();
    await assertRejects(async () => await take(b, 8 << 20), EofError);
    await closeAll(a, b);
  }));

test("sendFile() that is taken back before its turn leaves the stream as if it had not been", () =>
  withFile(1000, async (path) => {
    const [a, b] = socketPair();
    b.pauseRead();
    const before = pattern(2 << 20);
    a.writer.writeBinary(before);
    const controller = new AbortController();
    const sent = a.sendFile(path, { signal: controller.signal });
    const flushed = a.writer.flush(); // of what was before the file, too
    const behind = send(a, "behind");
    controller.abort();
    await assertRejects(() => soon(sent), DOMException);
    b.resumeRead();
    assertBytes(await take(b, before.length), before);
    assertEquals(await receive(b, 6), "behind");
    await soon(Promise.all([flushed, behind]));
    await closeAll(a, b);
  }));

test("sendFile() rejects with a TimeoutError when nothing of it leaves; what is queued stays so", () =>
  withFile(8 << 20, async (path, bytes) => {
    const [a, b] = socketPair();
    b.pauseRead();
    a.writeTimeoutMs = 20;
    const error = await assertRejects(() => soon(a.sendFile(path)), TimeoutError);
    assertEquals(error.operation, "write");
    assert(a.isActive);
    a.writeTimeoutMs = 0;
    const behind = send(a, "behind");
    b.resumeRead();
    assertBytes(await take(b, bytes.length), bytes);
    assertEquals(await receive(b, 6), "behind");
    await soon(behind);
    await closeAll(a, b);
  }));

test("sendFile() has its write timeout anew whenever some of it has left", () =>
  withFile(16 << 20, (path, bytes) =>
    withFakeClock(async (clock) => {
      const [a, b] = socketPair();
      a.writeTimeoutMs = 60;
      const sent = a.sendFile(path);
      // In all it takes several times as long.
      assertBytes(await take(b, bytes.length, () => clock.advance(50)), bytes);
      assertEquals(await soon(sent), bytes.length);
      await closeAll(a, b);
    })));

test("sendFile() has its write timeout anew while the peer takes what the kernel holds", () =>
  withFile(16 << 20, (path) =>
    withFakeClock(async (clock) => {
      const [a, b] = socketPair();
      a.writeTimeoutMs = 60;
      const fd = b.detach();
      const sent = a.sendFile(path);
      assertEquals(await stateOf(sent), "pending");
      const block = blocks.take(65536);
      for (let i = 0; i < 10; i++) {
        await clock.advance(50);
        assertEquals(await stateOf(sent), "pending");
        native.recv(fd, block.slab.id, block.offset, 65536);
      }
      block.release();
      await clock.advance(200);
      await assertRejects(() => soon(sent), TimeoutError);
      await closeAll(a);
      native.close(fd);
    })));

test("sendFile() sends to what is no socket", () =>
  withFile(300_000, async (path, bytes) => {
    const ends = new Int32Array(2);
    assertEquals(native.pipe(ends), 0);
    const [a, b] = [Connection.fromFd(ends[1]!), Connection.fromFd(ends[0]!)];
    a.writer.writeString("head");
    const sent = a.sendFile(path);
    assertEquals(await receive(b, 4), "head");
    assertBytes(await take(b, bytes.length), bytes);
    assertEquals(await soon(sent), bytes.length);
    await closeAll(a, b);
  }));

test("sendFile() says how much was sent of a file that became shorter, and resets", () =>
  withFile(16 << 20, async (path) => {
    const [a, b] = await tcpPair();
    b.pauseRead();
    let count = 0;
    const sent = a.sendFile(path, { onProgress: (sentBytes) => count = sentBytes });
    await until(() => count > 0, "a part");
    truncateSync(path, 0);
    b.resumeRead();
    await assertRejects(async () => await take(b, 16 << 20), EofError);
    const error = await assertRejects(() => soon(sent), SendFileError);
    assert(error.sentBytes >= count && error.sentBytes < 16 << 20);
    await assertRejects(() => soon(a.closed), SendFileError, "it ended");
    await closeAll(a, b);
  }));

test("sendFile() rejects with an EofError when the peer resets", () =>
  withFile(8 << 20, async (path) => {
    const [a, b] = await tcpPair();
    b.pauseRead();
    const sent = a.sendFile(path);
    assertEquals(await stateOf(sent), "pending");
    b.reset();
    await assertRejects(() => soon(sent), EofError);
    await closeAll(a, b);
  }));

test("sendFile() is ended by an onProgress that throws", () =>
  withFile(8 << 20, async (path) => {
    const [a, b] = socketPair();
    b.pauseRead();
    const onProgress = () => {
      throw new RangeError("on purpose");
    };
    await assertRejects(() => soon(a.sendFile(path, { onProgress })), RangeError, "on purpose");
    await assertRejects(() => soon(a.closed), SendFileError);
    await closeAll(a, b);
  }));

test("sendFile() that nobody awaits is not served without end to a peer that never reads", () =>
  withFile(100_000, async (path) => {
    const [a, b] = pairWith({
      onRequest: (connection) => {
        connection.reader.skip(1);
        connection.reader.release();
        void connection.sendFile(path);
      },
    });
    b.pauseRead();
    const before = descriptorCount();
    await send(b, "x".repeat(100));
    await until(() => a.isReadPaused, "the pause");
    assert(!a.writer.isWritable);
    assertLessOrEqual(descriptorCount() - before, FILES_UNSENT_MAX + 1);
    b.resumeRead();
    await take(b, 100 * 100_000);
    assert(a.writer.isWritable && !a.isReadPaused);
    await closeAll(a, b);
  }));

test("an ignored rejection of sendFile() is no unhandled one", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    void a.sendFile("/nowhere/at/all");
    await tick();
    await closeAll(a, b);
  }));

test("sendFile() sends the file that it was given, when its descriptor is closed after the call", () =>
  leaks(() =>
    withFile(5000, async (path, bytes) => {
      const [a, b] = await tcpPair({ writeTimeoutMs: 1 });
      const before = pattern(48 << 20); // more than the buffers of the kernel grow to
      a.writer.writeBinary(before);
      const flushed = a.writer.flush();
      const fd = openSync(path, "r");
      const sent = a.sendFile(fd);
      closeSync(fd);
      // The peer reads nothing: whoever waits gives up, and what is queued stays queued.
      await assertRejects(() => soon(flushed), TimeoutError);
      await assertRejects(() => soon(sent), TimeoutError);
      await withFile(0, async (other) => {
        writeFileSync(other, new Uint8Array(5000));
        const reused = openSync(other, "r");
        assertEquals(reused, fd, "the number is another file's by now");
        assertBytes(await take(b, before.length), before);
        assertBytes(await take(b, 5000), bytes);
        closeSync(reused);
      });
      await closeAll(a, b);
    })
  ));
