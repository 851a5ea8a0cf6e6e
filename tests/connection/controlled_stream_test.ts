import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { EventLoop } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { until } from "../support/until.ts";
import { pairWith } from "../support/pair.ts";

test("ControlledStream reads nothing between pauseRead() and resumeRead(), and loses nothing", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    b.pauseRead();
    assert(b.isReadPaused);
    a.writer.writeString("held back");
    await a.writer.flush();
    // The poller has turned, and told of other streams meanwhile.
    const [c, d] = pairWith();
    c.writer.writeString("!");
    await c.writer.flush();
    await d.reader.wait(1);
    assertEquals(b.reader.length, 0);
    b.resumeRead();
    assert(!b.isReadPaused);
    await b.reader.wait(9);
    assertEquals(b.reader.readString(9), "held back");
    await Promise.all([a, b, c, d].map((each) => each.close()));
  }));

test("ControlledStream keeps the timeouts that it is given, and refuses what is none", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    for (const name of ["readTimeoutMs", "writeTimeoutMs", "idleTimeoutMs"] as const) {
      assertEquals(a[name], 0);
      a[name] = 60_000;
      assertEquals(a[name], 60_000);
      for (const wrong of [-1, NaN, Infinity]) assertThrows(() => (a[name] = wrong), RangeError);
      assertEquals(a[name], 60_000);
    }
    await Promise.all([a.close(), b.close()]);
  }));

test("ControlledStream pauses by itself when more is held than readBufferBytesMax, until half is released", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const bytes = new Uint8Array(4 << 20).map((_, i) => i * 7);
    a.writer.writeBinary(bytes);
    const sent = a.writer.flush();
    await until(() => b.isReadPaused, "the pause");
    let received = 0;
    while (received < bytes.length) {
      await b.reader.wait(1);
      const part = b.reader.next(b.reader.length);
      for (let i = 0; i < part.length; i += 97) assertEquals(part[i], bytes[received + i]);
      received += part.length;
      b.reader.release();
    }
    await sent;
    assert(!b.isReadPaused);
    await Promise.all([a.close(), b.close()]);
  }));

test("new EventLoop() refuses deadlines and bounds that are none", () => {
  assertThrows(() => new EventLoop(null, { readTimeoutMs: -1 }), RangeError);
  assertThrows(() => new EventLoop(null, { readBufferBytesMax: 0 }), RangeError);
});

test("ControlledStream arms no timer, when a timeout is set after it is closed", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await a.close();
    a.idleTimeoutMs = 1;
    await until(() => b.reader.length === 0 && !a.isActive, "the close");
    await a.closed; // and not a TimeoutError
    await b.close();
  }));
