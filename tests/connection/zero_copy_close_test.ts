import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { configure } from "../../mod.ts";
import { threadPoller } from "../../src/poll/poller_pool.ts";
import { ZeroCopyClose } from "../../src/connection/zero_copy_close.ts";
import type { ZeroCopy } from "../../src/connection/zero_copy.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll } from "../support/pair.ts";
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

test("ZeroCopyClose waits for as long as something completes", () =>
  leaks(async () => {
    const [connection, receiver] = await pinned();
    await soon(connection.close({ timeoutMs: 500 }));
    while (receiver.count < 512 * 1024) {
      receiver.take(64 * 1024);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await receiver.takeEnd(512 * 1024);
    receiver.close();
    await assertFree(connection);
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

test("ZeroCopyClose.onFailure() leaves pinned what it gives up, and says so", async () => {
  const lines: string[] = [];
  configure({ log: (line) => void lines.push(line) });
  try {
    const [connection, receiver] = await pinned();
    const { pinner } = connection as unknown as { pinner: ZeroCopy };
    const fd = connection.fd;
    const close = new ZeroCopyClose(threadPoller(), native.eventfd(), pinner, false);
    close.onFailure(new Error("a bug"));
    assertEquals(lines.length, 1);
    assertStringIncludes(lines[0]!, "bytes of a zero-copy send stay pinned: Error: a bug");
    assertGreater(pinner.counts().outstandingBytes, 0);
    assertEquals(connection.fd, fd);
    connection.reset();
    await assertFree(connection);
    receiver.close();
    await closeAll(connection);
  } finally {
    configure({ log: (line) => console.error(line) });
  }
});
