import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import type { ClosedError } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { serve } from "../support/serve.ts";
import { soon, ticks, until } from "../support/until.ts";

/** A promise, and how to settle it. */
function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

test("shutdown() tells whom it cuts why: `closed`, waits, flushes, and what is tried later", () =>
  leaks(async () => {
    for (const isSignal of [false, true]) {
      const told: unknown[] = [];
      const { loop, listener, served } = serve(async ({ reader, closed }) => {
        closed.catch((error) => told.push(error));
        await reader.wait(4).catch((error) => told.push(error));
        await reader.wait(4).catch((error) => told.push(error));
      });
      using peer = new RawPeer(listener);
      peer.send("pi"); // a message in part: it is under way
      await until(() => loop.metrics({ listedMax: 1 }).connections[0]?.isWaiting === true, "");
      const options = isSignal ? { signal: AbortSignal.timeout(20) } : { timeoutMs: 20 };
      assertEquals(await soon(loop.shutdown(options)), { cut: 1 });
      await soon(served);
      await until(() => told.length === 3 && loop.connectionCount === 0, "everybody is told");
      const why = isSignal ? /the shutdown was aborted/ : /the shutdown had 20 ms/;
      for (const error of told) {
        const { message, cause } = error as ClosedError;
        assertMatch(`${message} ${cause}`, why);
      }
      assert(peer.isReset);
    }
  }));

test("shutdown() cuts nobody whose peer has gone already, although the handler still runs", () =>
  leaks(async () => {
    const { opened, open } = gate();
    const { loop, listener, served } = serve(() => opened);
    const peer = new RawPeer(listener);
    peer.send("x");
    await until(() => loop.connectionCount === 1, "a connection");
    await ticks(3);
    peer.reset();
    await until(() => loop.metrics({ listedMax: 1 }).connections[0]?.fd === -1, "the reset");
    assertEquals(await soon(loop.shutdown({ timeoutMs: 20 })), { cut: 0 });
    await soon(served);
    open();
  }));
