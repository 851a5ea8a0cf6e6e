import { assert, assertEquals, assertGreater, assertInstanceOf, assertLess } from "@std/assert";
import { test } from "node:test";
import { type Connection, metrics, UnsentError } from "../../mod.ts";
import { insideOf } from "../../src/connection/socket_connection.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { CLOSE_TIMEOUT_MS } from "../../src/core/limits.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { type FakeClock, withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { pairWith, pattern } from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import {
  endOf,
  MUCH,
  sendSome,
  slowPeer,
  SOME,
  takeUntil,
  takeWhatIsThere,
  whenFull,
} from "../support/slow_peer.ts";
import { soon, stateOf, until } from "../support/until.ts";
import { type Receiver, write } from "../support/zero_copy_ends.ts";

const LIMIT = CLOSE_TIMEOUT_MS;

/** A test in which time passes when it says so, and which gives everything back. */
function timed(name: string, run: (clock: FakeClock) => Promise<void>, need = needs()): void {
  test(name, need, () => leaks(() => withFakeClock(run)));
}

/** A connection with so much to send, and its peer, which has taken nothing yet. */
async function sending(bytes: number): Promise<[Connection, Receiver]> {
  const [connection, peer] = await slowPeer();
  write(connection, 0, bytes);
  void connection.writer.flush();
  await whenFull(connection);
  return [connection, peer];
}

/** Returns the reason with which `closed` rejects; fails when it resolves. */
async function failureOf(connection: Connection): Promise<UnsentError> {
  const error = await soon(connection.closed.then(() => null, (error) => error));
  assertInstanceOf(error, UnsentError);
  return error;
}

timed(
  "Draining takes as long as the peer takes some, with the window shut in between",
  async (clock) => {
    const [connection, peer] = await sending(MUCH);
    assertGreater(connection.metrics().unsent.bytes, 0);
    const closing = connection.close();
    let steps = 0;
    for (; (await stateOf(closing)) === "pending"; steps++) {
      assertLess(steps, 1000);
      takeWhatIsThere(peer);
      await clock.advance(0.9 * LIMIT);
    }
    assertGreater(steps, 3, "far longer than the limit");
    assertEquals(await closing, { unsentBytes: 0 });
    assertEquals([await endOf(peer), peer.count], ["end", MUCH]);
    await connection.closed;
    peer.close();
  },
);

timed(
  "Draining gives up a peer that takes nothing for the limit: a reset, and everybody is told",
  async (clock) => {
    const before = metrics().connections;
    const [connection, peer] = await sending(MUCH);
    const flushed = connection.writer.flush().catch((error) => error);
    const closing = connection.close();
    await clock.advance(0.99 * LIMIT);
    assertEquals(await stateOf(closing), "pending");
    await clock.advance(0.1 * LIMIT);
    const { unsentBytes } = await soon(closing);
    const error = await failureOf(connection);
    assertEquals(error.unsentBytes, unsentBytes);
    assertEquals(
      error.message,
      `Cannot send ${unsentBytes} bytes that were flushed: the peer took nothing for 5000 ms`,
    );
    assertEquals((await flushed).cause, error);
    assertEquals(await endOf(peer), "reset");
    assertLess(peer.count, MUCH);
    assertGreater(unsentBytes, 0);
    assert(peer.count + unsentBytes >= MUCH, "what did not arrive was counted");
    assertEquals(connection.metrics().unsent.bytes, unsentBytes);
    const { unsent, unsentBytes: inAll, lost } = metrics().connections;
    assertEquals([unsent - before.unsent, lost - before.lost], [1, 1]);
    assertEquals(inAll - before.unsentBytes, unsentBytes);
    peer.close();
  },
);

timed("Draining asks the kernel before it judges: a busy thread charges nobody", async (clock) => {
  const [connection, peer] = await sending(MUCH);
  const closing = connection.close();
  while ((await stateOf(closing)) === "pending") {
    takeWhatIsThere(peer);
    clock.block(3 * LIMIT);
    await clock.advance(1);
  }
  assertEquals(await closing, { unsentBytes: 0 });
  assertEquals([await endOf(peer), peer.count], ["end", MUCH]);
  peer.close();
});

timed("Draining waits for the peer's kernel, not for ours alone", async (clock) => {
  const [connection, peer] = await sending(SOME);
  assertEquals(connection.metrics().unsent.bytes, 0);
  const closing = connection.close();
  await clock.advance(0.9 * LIMIT);
  assertEquals(await stateOf(closing), "pending");
  assertEquals([await endOf(peer), peer.count], ["end", SOME]);
  assertEquals(await soon(closing), { unsentBytes: 0 });
  await connection.closed;
  peer.close();
});

timed(
  "Draining leaves to the kernel what that has taken when the limit has passed",
  async (clock) => {
    const [connection, peer] = await sending(SOME);
    const closing = connection.close();
    await clock.advance(1.1 * LIMIT);
    assertEquals(await soon(closing), { unsentBytes: 0 });
    await connection.closed;
    assertEquals([await endOf(peer), peer.count], ["end", SOME]);
    peer.close();
  },
);

timed(
  "Draining leaves nothing to the kernel while the peer sends: a reset would drop it unseen",
  async (clock) => {
    const [connection, peer] = await sending(SOME);
    const closing = connection.close();
    for (let i = 0; (await stateOf(closing)) === "pending"; i++) {
      assertLess(i, 100);
      sendSome(peer, 1);
      await clock.advance(LIMIT / 10);
    }
    const { unsentBytes } = await closing;
    assertEquals((await failureOf(connection)).unsentBytes, unsentBytes);
    assertEquals(await endOf(peer), "reset");
    assert(unsentBytes > 0 && peer.count + unsentBytes >= SOME);
    peer.close();
  },
);

timed(
  "close({ timeoutMs }) is a total: bytes that move do not prolong it, a stall does not end it",
  async (clock) => {
    for (const isMoving of [true, false]) {
      const [connection, peer] = await sending(4 * MUCH);
      const closing = connection.close({ timeoutMs: 4 * LIMIT });
      for (let i = 0; i < 9; i++) {
        if (isMoving) takeWhatIsThere(peer);
        await clock.advance(0.42 * LIMIT);
        assertEquals(await stateOf(closing), "pending");
      }
      await clock.advance(LIMIT);
      const { unsentBytes } = await soon(closing);
      const { message } = await failureOf(connection);
      assertEquals(
        message,
        `Cannot send ${unsentBytes} bytes that were flushed: close() had 20000 ms`,
      );
      assertEquals(await endOf(peer), "reset");
      assertGreater(unsentBytes, 0);
      peer.close();
    }
  },
);

test("Draining receives and drops what the peer sends, or both would wait for ever", () =>
  leaks(async () => {
    const [connection, peer] = await sending(MUCH);
    const closing = connection.close();
    // It reads nothing before it has written all of its own.
    let toSend = 8 * MUCH;
    await until(() => (toSend -= sendSome(peer, toSend)) === 0, "the peer has sent everything");
    assertEquals([await endOf(peer), peer.count], ["end", MUCH]);
    assertEquals(await soon(closing), { unsentBytes: 0 });
    peer.close();
  }));

test("close() with input that nobody has read ends in order, sent before it or after it", () =>
  leaks(async () => {
    for (const bytes of [0, 1000, MUCH]) {
      const [connection, peer] = await slowPeer();
      connection.pauseRead();
      sendSome(peer, 1000);
      write(connection, 0, bytes);
      void connection.writer.flush();
      const closing = connection.close();
      sendSome(peer, 1000);
      assertEquals([await endOf(peer), peer.count], ["end", bytes]);
      assertEquals(await soon(closing), { unsentBytes: 0 });
      peer.close();
    }
  }));

test("a reset by a peer that has everything is no failure of a close; before that it is", () =>
  leaks(async () => {
    const [connection, peer] = await sending(1000);
    await peer.takeAll(1000);
    await whenFull(connection);
    void connection.close();
    peer.reset();
    await soon(connection.closed);

    const [other, otherPeer] = await sending(MUCH);
    const closing = other.close();
    otherPeer.reset();
    assertGreater((await soon(closing)).unsentBytes, 0);
    assertEquals(await other.closed.catch((error) => error.name), "EofError");
  }));

for (const bytes of [SOME, MUCH]) {
  faultTest(
    `Draining is over when a read finds the reset before the poller does, with ${bytes} bytes to send`,
    () =>
      leaks(async () => {
        const [connection, peer] = await sending(bytes);
        const gone = new Promise<void>((resolve) => connection.addCloseCallback(() => resolve()));
        void connection.close();
        failWith("recv", ERRNO.ECONNRESET, { fd: connection.fd });
        sendSome(peer, 10);
        await soon(gone, "the close callbacks are called");
        await connection.closed.catch(() => {});
        peer.close();
      }),
  );
}

test("Draining ends in order when all that was still to be sent is taken back", () =>
  leaks(async () => {
    const [connection, peer] = await sending(SOME);
    const controller = new AbortController();
    write(connection, SOME, MUCH);
    const flushed = connection.writer.flush();
    const file = connection.sendFile(`${root}libnetpoll.c`, { signal: controller.signal });
    const closing = connection.close();
    file.catch(() => {});
    await takeUntil(peer, SOME);
    controller.abort();
    assertEquals([await endOf(peer), peer.count], ["end", SOME + MUCH]);
    await soon(flushed);
    assertEquals(await soon(closing), { unsentBytes: 0 });
    await connection.closed;
    peer.close();
  }));

test("closeWrite() behind queued bytes and then close() deliver them, and the end once", () =>
  leaks(async () => {
    const [connection, peer] = await sending(MUCH);
    const ended = connection.closeWrite();
    const closing = connection.close();
    assertEquals([await endOf(peer), peer.count], ["end", MUCH]);
    await soon(ended);
    assertEquals(await soon(closing), { unsentBytes: 0 });
    peer.close();
  }));

timed(
  "Draining of a Unix socket: the peer has what the kernel has taken; the rest ends without a reset",
  async (clock) => {
    const [a, b] = pairWith();
    b.pauseRead();
    a.writer.writeBinary(pattern(4 * MUCH));
    void a.writer.flush();
    const closing = a.close();
    await clock.advance(1.1 * LIMIT);
    const { unsentBytes } = await soon(closing);
    assertEquals((await failureOf(a)).unsentBytes, unsentBytes);
    b.resumeRead();
    await soon(b.reader.wait(4 * MUCH).catch(() => {}));
    assertEquals(b.reader.length + unsentBytes, 4 * MUCH);
    await b.close();
  },
  needs("exact account"),
);

test("close() ends soon whoever sends the last bytes: a deadline that looks for room, too", () =>
  leaks(async () => {
    const [a, peer] = await slowPeer({ writeTimeoutMs: 50_000 });
    write(a, 0, MUCH);
    const flushed = a.writer.flush();
    await whenFull(a);
    const closing = a.close({ timeoutMs: 60_000 });
    const inside = insideOf(a, "look at");
    while (a.metrics().unsent.bytes > 0) { // no turn of the poller comes in between
      takeWhatIsThere(peer);
      inside.lookForRoom(0);
    }
    await soon(flushed);
    assertEquals(await endOf(peer), "end");
    assertEquals([await soon(closing), peer.count], [{ unsentBytes: 0 }, MUCH]);
    peer.close();
  }));
