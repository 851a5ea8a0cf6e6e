import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { closeSync } from "node:fs";
import { test } from "node:test";
import { Connection, EofError, type SystemError } from "../../mod.ts";
import { openFifo } from "../support/fifo.ts";
import { leaks } from "../support/leaks.ts";
import { pattern, receive, send } from "../support/pair.ts";
import { soon } from "../support/until.ts";

/** Asserts that a promise rejects with the error of the kernel for a reader that has gone. */
async function assertGone(promise: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => soon(promise), EofError, "the peer has closed");
  assertEquals((error.cause as SystemError).code, "EPIPE");
}

test("Connection.fromFd() of a pipe's ends: the wrong way is a TypeError where it is tried", () =>
  leaks(async () => {
    const { reading, writing } = openFifo();
    const from = Connection.fromFd(reading);
    const to = Connection.fromFd(writing);
    assertThrows(() => from.writer.writeString("x"), TypeError, "is open for reading only");
    await assertRejects(() => from.writer.flush(), TypeError, "is open for reading only");
    await assertRejects(() => soon(to.reader.wait(1)), TypeError, "is open for writing only");
    await send(to, "hello");
    assertEquals(await soon(receive(from, 5)), "hello");
    await soon(to.close());
    await assertRejects(() => soon(from.reader.wait(1)), EofError);
    await soon(from.close());
  }));

test("a writing end whose reader goes while it is idle says that the peer has closed", () =>
  leaks(async () => {
    const { reading, writing } = openFifo();
    const calls: string[] = [];
    const to = Connection.fromFd(writing, { onDisconnect: () => void calls.push("disconnect") });
    closeSync(reading);
    await assertGone(to.closed);
    assertEquals(calls, ["disconnect"]);
    assert(!to.isActive);
    assertThrows(() => to.writer.writeString("x"), EofError, "the peer has closed");
  }));

test("a writing end whose reader goes while a flush is under way says the same", () =>
  leaks(async () => {
    const { reading, writing } = openFifo();
    const to = Connection.fromFd(writing);
    to.writer.writeBinary(pattern(1 << 20));
    const flushed = to.writer.flush();
    closeSync(reading);
    await assertGone(flushed);
    await assertGone(to.closed);
  }));
