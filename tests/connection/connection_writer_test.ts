import { assert, assertEquals, assertRejects } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { ClosedError, EofError, metrics, TimeoutError } from "../../mod.ts";
import { failWith, faultTest, shorten } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, receive, send } from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import { soon, stateOf, ticks } from "../support/until.ts";

const LARGE = 4 * 1024 * 1024;

test("Writer.flush() of what fits resolves at once, with one and the same promise", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const first = send(a, "x");
    assert(first === send(a, "y") && first === a.writer.flush());
    assertEquals(await soon(receive(b, 2)), "xy");
    await closeAll(a, b);
  }));

test("Writer sends nothing before flush() (netpoll 109)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    a.writer.writeString("kept");
    await ticks(5);
    assertEquals(b.reader.length, 0);
    a.writer.flush();
    assertEquals(await soon(receive(b, 4)), "kept");
    await closeAll(a, b);
  }));

test("Writer.flush() during a flush queues, and each settles when its bytes have left (netpoll 112 x)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const order: number[] = [];
    const flushes = [0, 1, 2].map((i) => {
      a.writer.writeBinary(pattern(LARGE, i * LARGE));
      return a.writer.flush().then(() => order.push(i));
    });
    for (let i = 0; i < 3; i++) {
      await soon(b.reader.wait(LARGE));
      assertBytes(b.reader.readBinary(LARGE), pattern(LARGE, i * LARGE));
      b.reader.release();
      await soon(flushes[i]!);
    }
    assertEquals(order, [0, 1, 2]);
    await closeAll(a, b);
  }));

test("Writer.flush() that is aborted rejects with the reason; the bytes stay queued, others wait on", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    b.pauseRead();
    a.writer.writeBinary(pattern(LARGE));
    const controller = new AbortController();
    const aborted = a.writer.flush({ signal: controller.signal }).catch((error) => error);
    const other = a.writer.flush();
    const reason = new Error("enough");
    controller.abort(reason);
    assertEquals(await soon(aborted), reason);
    assertEquals(await a.writer.flush({ signal: controller.signal }).catch((e) => e), reason);
    assertEquals(await stateOf(other), "pending");
    b.resumeRead();
    await soon(b.reader.wait(LARGE));
    await soon(other);
    await closeAll(a, b);
  }));

test(
  "Writer.flush() that blocks rejects when we close, or the peer does (netpoll 113)",
  needs("exact account"),
  () =>
    leaks(async () => {
      const [a, b] = pairWith();
      b.pauseRead();
      a.writer.writeBinary(pattern(LARGE));
      const ours = assertRejects(() => soon(a.writer.flush()), ClosedError);
      await a.close({ timeoutMs: 0 });
      assert(!((await ours) instanceof EofError));
      await b.close();

      const [c, d] = pairWith();
      d.pauseRead();
      c.writer.writeBinary(pattern(LARGE));
      const theirs = assertRejects(() => soon(c.writer.flush()), EofError);
      await d.close();
      await theirs;
      await c.close();
    }),
);

test("an ignored rejection of flush() is no unhandled rejection, with a signal or without", () =>
  leaks(async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown) => void unhandled.push(error);
    process.on("unhandledRejection", onUnhandled);
    try {
      const [a, b] = pairWith();
      b.pauseRead();
      a.writer.writeBinary(pattern(LARGE));
      const controller = new AbortController();
      a.writer.flush();
      a.writer.flush({ signal: controller.signal });
      controller.abort(new Error("ignored"));
      a.writer.flush({ signal: controller.signal });
      await ticks(3);
      await a.close({ timeoutMs: 0 });
      a.writer.flush();
      void a.closed;
      await b.close();
      await ticks(5);
      assertEquals(unhandled, []);
    } finally {
      process.off("unhandledRejection", onUnhandled);
    }
  }));

test("Writer.isWritable says when enough is unsent", () =>
  leaks(async () => {
    const [a, b] = pairWith({ writeBufferBytesMax: 64 * 1024 });
    b.pauseRead();
    assert(a.writer.isWritable);
    a.writer.writeBinary(pattern(2 * LARGE));
    const flushed = a.writer.flush();
    assert(!a.writer.isWritable);
    b.resumeRead();
    await soon(b.reader.wait(2 * LARGE));
    await soon(flushed);
    assert(a.writer.isWritable);
    await a.closeWrite();
    assert(!a.writer.isWritable);
    await closeAll(a, b);
  }));

faultTest(
  "Writer.flush() sends everything over short sends and full buffers",
  () =>
    leaks(async () => {
      const [a, b] = pairWith();
      const total = 50_000;
      for (let at = 0; at < total; at += 5000) a.writer.writeBinary(pattern(5000, at));
      shorten("send", 700, { fd: a.fd, count: 30 });
      const flushed = a.writer.flush();
      await ticks(3);
      failWith("send", 11, { fd: a.fd, count: 5 });
      await soon(b.reader.wait(total));
      assertBytes(b.reader.readBinary(total), pattern(total));
      await soon(flushed);
      await closeAll(a, b);
    }),
);

faultTest(
  "Writer.flush() that fails later rejects all who wait, and says ECONNRESET",
  () =>
    leaks(async () => {
      const [a, b] = pairWith();
      b.pauseRead();
      a.writer.writeBinary(pattern(LARGE));
      failWith("send", 104, { fd: a.fd, skip: 1 });
      const flushes = [a.writer.flush(), a.writer.flush()];
      b.resumeRead();
      for (const flushed of flushes) {
        const error = await assertRejects(() => soon(flushed), EofError);
        assertEquals((error.cause as { code?: string }).code, "ECONNRESET");
      }
      await closeAll(a, b);
    }),
);

test("Writer.released() of what is not pinned resolves with the flush, and at once without one", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await soon(a.writer.released());
    a.writer.writeBinary(pattern(LARGE));
    const flushed = a.writer.flush();
    const released = a.writer.released();
    assertEquals(await stateOf(released), "pending");
    await b.reader.wait(LARGE);
    await soon(Promise.all([flushed, released]));
    b.reader.skip(LARGE);
    b.reader.release();
    await closeAll(a, b);
    await soon(a.writer.released());
  }));

test("Writer.released() has no deadline: after the flush has failed, no timer is set", () =>
  leaks(async () => {
    const [a, b] = pairWith({ writeTimeoutMs: 1 });
    const { timerCount } = metrics().poller;
    a.writer.writeBinary(pattern(LARGE));
    const flushed = a.writer.flush();
    const released = [a.writer.released()];
    await assertRejects(() => soon(flushed), TimeoutError);
    a.writer.writeByte(1);
    await assertRejects(() => soon(a.writer.flush()), TimeoutError);
    released.push(a.writer.released());
    assertEquals(metrics().poller.timerCount, timerCount);
    assertEquals(await Promise.all(released.map(stateOf)), ["pending", "pending"]);
    await soon(b.reader.wait(LARGE + 1));
    await soon(Promise.all(released));
    b.reader.skip(LARGE + 1);
    b.reader.release();
    await closeAll(a, b);
  }));

test("Writer.released() resolves for all who wait, when the connection closes or is lost", () =>
  leaks(async () => {
    for (const end of ["close", "reset", "lost"]) {
      const [a, b] = pairWith();
      a.writer.writeBinary(pattern(LARGE));
      const failed = a.writer.flush().catch(() => "failed");
      const first = a.writer.released();
      a.writer.writeByte(1);
      void a.writer.flush();
      const second = a.writer.released();
      if (end === "close") void a.close({ timeoutMs: 0 });
      else (end === "reset" ? a : b).reset();
      await soon(Promise.all([first, second]));
      assertEquals(await soon(failed), "failed");
      await closeAll(a, b);
    }
  }));

test('Writer with zeroCopy "always" copies arrays when they are written, inserted ones too', () =>
  leaks(async () => {
    const [a, b] = pairWith();
    a.zeroCopy = "always";
    const [first, second] = [pattern(10_000), pattern(10_000, 10_000)];
    a.writer.writeBinary(second);
    a.writer.writeDirect(first, 10_000);
    first.fill(0);
    second.fill(0);
    void a.writer.flush();
    await soon(b.reader.wait(20_000));
    assertBytes(b.reader.next(20_000), pattern(20_000));
    b.reader.release();
    await closeAll(a, b);
  }));
