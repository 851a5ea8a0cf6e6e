import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { configure } from "../../mod.ts";
import { threadPoller } from "../../src/poll/poller_pool.ts";
import { ZeroCopyClose } from "../../src/connection/zero_copy_close.ts";
import type { ZeroCopy } from "../../src/connection/zero_copy.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { soon, until } from "../support/until.ts";
import { assertFree, pinned } from "../support/zero_copy_ends.ts";

const ENOMEM = 12;

test("ZeroCopyClose keeps the descriptor until the peer has everything", () =>
  leaks(async () => {
    const [connection, receiver] = await pinned();
    const before = threadPoller().watcherCount;
    await soon(connection.close());
    assertEquals(threadPoller().watcherCount, before); // another watches it now
    await receiver.takeEnd(512 * 1024);
    receiver.close();
    await assertFree(connection);
    assertEquals(threadPoller().watcherCount, before - 1);
  }));

faultTest("ZeroCopyClose aborts what it cannot watch", () =>
  leaks(async () => {
    const [connection, receiver] = await pinned();
    // The next one to be watched is the one that closes.
    failWith("epollCtl", ENOMEM, { fd: connection.fd, skip: 1 });
    await soon(connection.close());
    await assertFree(connection);
    await until(() => {
      while (receiver.take());
      return receiver.wasReset;
    }, "the reset");
    receiver.close();
  }));

/** Runs what gives up, with what it logs, on a connection of which something is pinned. */
async function givingUp(run: (close: ZeroCopyClose, pinner: ZeroCopy) => number): Promise<void> {
  const lines: string[] = [];
  configure({ log: (line) => void lines.push(line) });
  try {
    const [connection, receiver] = await pinned(768 * 1024); // two sends
    const { pinner } = connection as unknown as { pinner: ZeroCopy };
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
