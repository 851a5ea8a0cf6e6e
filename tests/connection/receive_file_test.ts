/**
 * Files that are received, over every transport: what the file gets, and what is left to the reader.
 */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  BusyError,
  ClosedError,
  type Connection,
  EofError,
  ReceiveFileError,
  type TimeoutError,
} from "../../mod.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { assertBytes, closeAll, pairWith, pattern, receive, send } from "../support/pair.ts";
import { assertFile, pour, withPath } from "../support/received_file.ts";
import { soon, stateOf, until } from "../support/until.ts";

/** Fewer than are worth a splice, as many as that, and more than one event may bring. */
const SIZES = [0, 1, 1000, 8192, 300_000, 3_000_000];

test("receiveFile() takes the next bytes, and leaves what follows to the reader", () =>
  withPath(async (path) => {
    for (const size of SIZES) {
      const [a, b] = pairWith();
      const bytes = pattern(size);
      const poured = pour(a, "head", bytes, "tail");
      assertEquals(await receive(b, 4), "head");
      assertEquals(await soon(b.receiveFile(path, size)), size);
      assertFile(path, bytes);
      assertEquals(await soon(receive(b, 4)), "tail");
      await soon(poured);
      await closeAll(a, b);
    }
  }));

test("receiveFile() takes what is here first, and then what comes", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    const bytes = pattern(400_000);
    await pour(a, "", bytes.subarray(0, 1000), "");
    await b.reader.wait(1000);
    const received = b.receiveFile(path, bytes.length);
    assertEquals([b.reader.length, readFileSync(path).length], [0, 1000]);
    assertEquals(await stateOf(received), "pending");
    for (let at = 1000; at < bytes.length; at += 57_000) {
      await pour(a, "", bytes.subarray(at, at + 57_000), "");
    }
    assertEquals(await soon(received), bytes.length);
    assertFile(path, bytes);
    await closeAll(a, b);
  }));

test("receiveFile() leaves lent views as they are", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    const bytes = pattern(500_000);
    const poured = pour(a, "header", bytes, "tail");
    await b.reader.wait(6);
    const view = b.reader.next(6);
    await soon(b.receiveFile(path, bytes.length));
    assertEquals(new TextDecoder().decode(view), "header");
    b.reader.release();
    assertEquals(await soon(receive(b, 4)), "tail");
    assertFile(path, bytes);
    await poured;
    await closeAll(a, b);
  }));

test("receiveFile() shows each byte once, in order, when it has been written", () =>
  withPath(async (path) => {
    for (const size of SIZES) {
      const [a, b] = pairWith();
      const bytes = pattern(size);
      const poured = pour(a, "", bytes, "tail");
      const [hash, counts] = [createHash("sha256"), [0]];
      const onBytes = (view: Uint8Array) => {
        hash.update(view);
        counts.push(counts.at(-1)! + view.length);
        assert(readFileSync(path).length >= counts.at(-1)!);
      };
      await soon(b.receiveFile(path, size, { onBytes }));
      assertEquals(counts.at(-1), size);
      assertEquals(hash.digest("hex"), createHash("sha256").update(bytes).digest("hex"));
      assertEquals(await soon(receive(b, 4)), "tail");
      await poured;
      await closeAll(a, b);
    }
  }));

test("receiveFile() rejects with what `onBytes` throws; what was not written stays readable", () =>
  withPath(async (path) => {
    for (const thrown of [new Error("on purpose"), undefined]) {
      const [a, b] = pairWith();
      const bytes = pattern(600_000);
      const poured = pour(a, "", bytes, "");
      let count = 0;
      const onBytes = (view: Uint8Array) => {
        if ((count += view.length) > 100_000) throw thrown;
      };
      const error = await b.receiveFile(path, bytes.length, { onBytes }).then(
        () => "resolved",
        (reason) => reason,
      );
      assertEquals(error, thrown);
      assertFile(path, bytes.subarray(0, count));
      await soon(b.reader.wait(bytes.length - count));
      assertBytes(b.reader.next(bytes.length - count), bytes.subarray(count));
      await poured;
      await closeAll(a, b);
    }
  }));

test("receiveFile() refuses an `onBytes` that returns a promise, and hears of its rejection", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    const bytes = pattern(1000);
    const poured = pour(a, "", bytes, "");
    const onBytes = () => Promise.reject(new Error("nobody waits for this"));
    await assertRejects(() => b.receiveFile(path, 1000, { onBytes }), TypeError, "onBytes");
    await poured;
    await closeAll(a, b);
  }));

test("receiveFile() may be ended within `onBytes`, in any way", () =>
  withPath(async (path) => {
    const bytes = pattern(300_000);
    for (const way of ["close", "reset", "abort"] as const) {
      for (const isHere of [true, false]) {
        const [a, b] = pairWith();
        void b.closed.catch(() => {});
        const controller = new AbortController();
        const poured = pour(a, "", bytes, "");
        if (isHere) await b.reader.wait(1000);
        let count = 0;
        const onBytes = (view: Uint8Array) => {
          count += view.length;
          if (way === "abort") controller.abort();
          else void b[way]();
        };
        const received = b.receiveFile(path, bytes.length, { onBytes, signal: controller.signal });
        const error = await soon(received.catch((reason) => reason));
        assertFile(path, bytes.subarray(0, count));
        if (way === "abort" && count < bytes.length) {
          assertEquals(error, controller.signal.reason);
          await soon(b.reader.wait(bytes.length - count));
          assertBytes(b.reader.next(bytes.length - count), bytes.subarray(count));
        } else if (way !== "abort") {
          assertInstanceOf(error, ReceiveFileError);
          assertInstanceOf(error.cause, ClosedError);
          assertEquals(error.writtenBytes, count);
        }
        await closeAll(a, b);
        await poured;
      }
    }
  }));

test("receiveFile() rejects when the peer ends early, and says how many bytes the file has", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    const bytes = pattern(100_000);
    await pour(a, "", bytes, "");
    const received = b.receiveFile(path, 100_001);
    await a.closeWrite();
    const error = await assertRejects(() => soon(received), ReceiveFileError);
    assertEquals(error.writtenBytes, 100_000);
    assertInstanceOf(error.cause, EofError);
    assertFile(path, bytes);
    const again = await assertRejects(() => b.receiveFile(path, 1), ReceiveFileError);
    assertEquals(again.writtenBytes, 0);
    await closeAll(a, b);
  }));

test("receiveFile() takes what is here already when the peer has ended", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    await send(a, "0123456789");
    await a.closeWrite();
    await b.reader.wait(10);
    await assertRejects(() => soon(b.reader.wait(11)), EofError);
    assertEquals(await soon(b.receiveFile(path, 4)), 4);
    assertEquals(readFileSync(path, "utf8"), "0123");
    assertEquals(b.reader.readString(6), "456789");
    await closeAll(a, b);
  }));

test("receiveFile() rejects when the connection is closed in the middle", () =>
  withPath(async (path) => {
    for (const way of ["close", "reset"] as const) {
      const [a, b] = pairWith();
      await pour(a, "", pattern(50_000), "");
      const received = b.receiveFile(path, 60_000);
      await until(() => readFileSync(path).length === 50_000, "what came");
      void b[way]();
      const error = await assertRejects(() => soon(received), ReceiveFileError);
      assertEquals(error.writtenBytes, 50_000);
      assertInstanceOf(error.cause, ClosedError);
      await assertRejects(() => b.receiveFile(`${path}.other`, 1), ClosedError);
      assert(!existsSync(`${path}.other`));
      await closeAll(a, b);
    }
  }));

test("receiveFile() ends with its signal's reason; the rest stays readable", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    const controller = new AbortController();
    await send(a, "part");
    const received = b.receiveFile(path, 100_000, { signal: controller.signal });
    await until(() => readFileSync(path).length === 4, "what came");
    const reason = new Error("on purpose");
    controller.abort(reason);
    assertEquals(await received.catch((error) => error), reason);
    await send(a, "rest");
    assertEquals(await soon(receive(b, 4)), "rest");
    writeFileSync(path, "kept");
    const { signal } = controller;
    assertEquals(await b.receiveFile(path, 1, { signal }).catch((error) => error), reason);
    assertEquals(readFileSync(path, "utf8"), "kept");
    await closeAll(a, b);
  }));

test("receiveFile() has `readTimeoutMs` for each piece, and can go on after it", () =>
  withPath((path) =>
    withFakeClock(async (clock) => {
      const [a, b] = pairWith(undefined, { readTimeoutMs: 60 });
      const received = b.receiveFile(path, 20_000);
      for (let n = 1; n <= 8; n++) {
        await clock.advance(50);
        await pour(a, "", pattern(1000, (n - 1) * 1000), "");
        await until(() => readFileSync(path).length === n * 1000, "a piece");
      }
      assertEquals(await stateOf(received), "pending");
      await clock.advance(70);
      const error = await assertRejects(() => soon(received), ReceiveFileError);
      assertEquals(error.writtenBytes, 8000);
      assertEquals((error.cause as TimeoutError).operation, "read");
      assert(b.isActive);
      const rest = b.receiveFile(path, 12_000, { offset: error.writtenBytes });
      await pour(a, "", pattern(12_000, 8000), "");
      assertEquals(await soon(rest), 12_000);
      assertFile(path, pattern(20_000));
      await closeAll(a, b);
    })
  ));

test("receiveFile() is a wait: only one is under way, of whatever kind", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    const received = b.receiveFile(path, 10);
    await assertRejects(() => b.receiveFile(`${path}.other`, 10), BusyError);
    assert(!existsSync(`${path}.other`));
    await assertRejects(() => b.reader.wait(1), BusyError);
    await send(a, "0123456789abc");
    assertEquals(await soon(received), 10);
    const waited = b.reader.wait(10);
    await assertRejects(() => b.receiveFile(path, 1), BusyError);
    await send(a, "defghij");
    await soon(waited);
    assertEquals(readFileSync(path, "utf8"), "0123456789");
    await closeAll(a, b);
  }));

test("receiveFile() waits while reading is paused", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    b.pauseRead();
    const received = b.receiveFile(path, 30_000);
    const poured = pour(a, "", pattern(30_000), "");
    assertEquals(await stateOf(received), "pending");
    b.resumeRead();
    assertEquals(await soon(received), 30_000);
    assertFile(path, pattern(30_000));
    await poured;
    await closeAll(a, b);
  }));

test("a handler that receives files is called for what follows, and for nothing of them", () =>
  withPath(async (path) => {
    const seen: string[] = [];
    let count = 0;
    const onRequest = async (connection: Connection) => {
      const { reader, writer } = connection;
      const line = Buffer.from(reader.next(await reader.waitUntil(10))).toString().trim();
      seen.push(line);
      const size = Number(line);
      await connection.receiveFile(`${path}${count++}`, size);
      reader.release();
      writer.writeString(".");
      await writer.flush();
    };
    const [a] = pairWith(undefined, { onRequest });
    const sizes = [5, 0, 70_000, 1, 1_500_000, 9000];
    const all = Promise.all(sizes.map((size) => pour(a, `${size}\n`, pattern(size), "")));
    assertEquals(await soon(receive(a, sizes.length)), ".".repeat(sizes.length));
    assertEquals(seen, sizes.map(String));
    for (const [n, size] of sizes.entries()) assertFile(`${path}${n}`, pattern(size));
    await all;
    await closeAll(a);
  }));

test("a handler that does not await a file is not called with its bytes", () =>
  withPath(async (path) => {
    const seen: number[] = [];
    const received: Promise<number>[] = [];
    const [a, b] = pairWith(undefined, {
      onRequest: (connection: Connection) => {
        const { reader } = connection;
        seen.push(reader.readByte());
        received.push(connection.receiveFile(`${path}${seen.length}`, 200_000));
        reader.release();
      },
    });
    for (const head of ["1", "2"]) await pour(a, head, pattern(200_000), "");
    await until(() => seen.length === 2, "both heads");
    await soon(Promise.all(received));
    assertEquals(seen, [49, 50]);
    for (const n of [1, 2]) assertFile(`${path}${n}`, pattern(200_000));
    await closeAll(a, b);
  }));

test("a connection whose time is over finishes the file that it receives", () =>
  withPath((path) =>
    withFakeClock(async (clock) => {
      const [a, b] = pairWith({ lifetimeMs: 30 });
      const received = a.receiveFile(path, 100_000);
      await pour(b, "", pattern(40_000), "");
      await until(() => readFileSync(path).length === 40_000, "a part");
      await clock.advance(50);
      assertEquals(await stateOf(received), "pending");
      await pour(b, "", pattern(60_000, 40_000), "");
      assertEquals(await soon(received), 100_000);
      assertFile(path, pattern(100_000));
      await closeAll(a, b);
    })
  ));

test("metrics() counts the bytes of a file as read", () =>
  withPath(async (path) => {
    const [a, b] = pairWith();
    await pour(a, "head", pattern(100_000), "tail");
    await receive(b, 4);
    await b.receiveFile(path, 100_000);
    await b.reader.wait(4);
    assertEquals(b.metrics().receivedBytes, 100_008);
    await closeAll(a, b);
  }));
