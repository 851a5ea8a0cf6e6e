import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { configure, type Connection } from "../../mod.ts";
import { insideOf } from "../../src/connection/socket_connection.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { ZeroCopyClose } from "../../src/transport/zero_copy_close.ts";
import type { ZeroCopy } from "../../src/transport/zero_copy.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { soon, until } from "../support/until.ts";
import { assertFree, pinned } from "../support/zero_copy_ends.ts";

const ENOMEM = 12;

function pinnerOf(connection: Connection): ZeroCopy {
  return insideOf(connection, "test").pinner!;
}

test("ZeroCopyClose keeps the descriptor until the last completion has come", () =>
  leaks(async () => {
    const [connection, receiver] = await pinned();
    const pinner = pinnerOf(connection);
    const { watcherCount } = threadPoller();
    const fd = native.eventfd(); // nothing completes by closing it
    const close = new ZeroCopyClose(threadPoller(), fd, pinner, false);
    assertEquals(threadPoller().watcherCount, watcherCount + 1);
    await receiver.takeAll(512 * 1024);
    await until(() => !pinner.isPinning, "the completion");
    close.onEvent();
    assertEquals(threadPoller().watcherCount, watcherCount);
    await soon(connection.close());
    receiver.close();
    await assertFree(connection);
  }));

faultTest("ZeroCopyClose gives up what it can neither watch nor abort", () =>
  leaks(async () => {
    const lines: string[] = [];
    configure({ log: (line) => void lines.push(line) });
    const [connection, receiver] = await pinned();
    const pinner = pinnerOf(connection);
    const fd = native.eventfd(); // nothing completes by aborting it
    failWith("epollCtl", ENOMEM, { fd });
    const close = new ZeroCopyClose(threadPoller(), fd, pinner, false);
    assertEquals(lines, [], "it looks once more when its timer expires");
    close.onTimer();
    configure({ log: (line) => console.error(line) });
    assertEquals(lines.length, 1);
    assertStringIncludes(lines[0]!, "bytes of a zero-copy send stay pinned: ");
    connection.reset();
    await assertFree(connection);
    receiver.close();
  }));

/** Runs what gives up, with what it logs, on a connection of which something is pinned. */
async function givingUp(run: (close: ZeroCopyClose, pinner: ZeroCopy) => number): Promise<void> {
  const lines: string[] = [];
  configure({ log: (line) => void lines.push(line) });
  try {
    const [connection, receiver] = await pinned(768 * 1024); // two sends
    const pinner = pinnerOf(connection);
    // Another descriptor in the place of the connection's: nothing completes by aborting it.
    const close = new ZeroCopyClose(threadPoller(), native.eventfd(), pinner, false);
    const steps = run(close, pinner);
    for (let i = 1; i < steps; i++) {
      close.onTimer();
      assertEquals(lines, [], `after ${i} of ${steps} times`);
    }
    close.onTimer();
    assertEquals(lines.length, 1);
    assertStringIncludes(lines[0]!, "bytes of a zero-copy send stay pinned: ");
    assertGreater(pinner.counts().outstandingBytes, 0);
    connection.reset();
    await assertFree(connection);
    receiver.close();
  } finally {
    configure({ log: (line) => console.error(line) });
  }
}

test("ZeroCopyClose aborts when its time is over, and then gives up: the memory stays pinned", () =>
  leaks(() => givingUp(() => 2)));

test("ZeroCopyClose gets its time anew when something has completed", () =>
  leaks(() => givingUp((_, pinner) => pinner.complete(0, 0, false) + 2)));
