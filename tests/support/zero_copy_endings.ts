/**
 * The ends of connections that still have pinned bytes: cases of zero_copy_cases.ts.
 */
import { assertEquals, assertGreater, assertLessOrEqual, assertRejects } from "@std/assert";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { type Connection, createListener, EofError, type SystemError } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { rawAddress } from "../../src/net/address.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import { start } from "./child.ts";
import { leaks } from "./leaks.ts";
import { type Random, seededRandom } from "./random.ts";
import { soon, stateOf, tick, until } from "./until.ts";
import {
  assertFree,
  ends,
  endsAt,
  finish,
  listenFor,
  pinned,
  Receiver,
  scribbling,
  SOAK_SECONDS,
  stream,
  TIGHT,
  write,
} from "./zero_copy_ends.ts";

const KIB = 1024;
const SOAK_AT_ONCE = 20;
/** V8 reserves up to 70 MiB more by itself, and then no more; 1 000 pieces that were kept are 100. */
const RSS_GROWTH_MAX = 128 * 1024 * KIB;

/** The connection is aborted in a state that `reach` brings about. */
function abort(reach: (ours: Connection, theirs: Receiver) => unknown): Promise<void> {
  return leaks(async () => {
    const [connection, receiver] = await pinned();
    await reach(connection, receiver);
    assertGreater(connection.zeroCopyCounts.outstandingCalls, 0);
    connection.reset();
    await assertFree(connection);
    receiver.close();
  });
}

/** Each ending by its name. */
export const ENDINGS: Record<string, () => Promise<void>> = {
  async resetByPeer() {
    const [connection, receiver] = await ends({}, TIGHT);
    for (let i = 0; i < 8; i++) {
      write(connection, i * 200 * KIB, 200 * KIB);
      void connection.writer.flush();
    }
    assertGreater(connection.zeroCopyCounts.outstandingCalls, 3);
    receiver.close(); // with bytes unread
    const error = await assertRejects(() => soon(connection.closed), EofError);
    assertEquals((error.cause as SystemError).code, "ECONNRESET");
    await assertFree(connection);
    await connection.close();
  },

  abortEstablished: () => abort(() => {}),

  abortCloseWait: () =>
    abort(async (connection, receiver) => {
      receiver.end();
      const ended = connection.reader.wait(1).catch(() => "ended");
      assertEquals(await soon(ended), "ended");
    }),

  abortFinWait: () => abort((connection) => connection.closeWrite()),

  abortLastAck: () =>
    abort(async (connection, receiver) => {
      receiver.end();
      await soon(connection.reader.wait(1).catch(() => {}));
      await connection.closeWrite();
    }),

  closeGracefully: () =>
    leaks(async () => {
      const [connection, receiver] = await pinned();
      let isTold = false;
      connection.addCloseCallback(() => isTold = true);
      const closing = connection.close();
      while (receiver.count < 256 * KIB) {
        receiver.take(32 * KIB);
        await tick();
      }
      assertGreater(connection.zeroCopyCounts.outstandingCalls, 0);
      assertEquals([await stateOf(closing), isTold], ["pending", false]);
      await receiver.takeEnd(512 * KIB);
      assertEquals(await soon(closing), { unsentBytes: 0 });
      await until(() => isTold, "the close callback");
      receiver.close();
      await assertFree(connection);
    }),

  closeGivesUp: () =>
    leaks(async () => {
      const [connection, receiver] = await pinned();
      await soon(connection.close({ timeoutMs: 50 }));
      await assertFree(connection); // the receiver has not read
      await until(() => {
        while (receiver.take());
        return receiver.wasReset;
      }, "the reset");
      receiver.close();
    }),

  closeAndReuse: () =>
    scribbling(async () => {
      const [connection, receiver] = await pinned();
      void connection.close();
      for (let i = 0; i < 20; i++) {
        const [other, otherReceiver] = await ends();
        await stream(other, otherReceiver, 2, 200 * KIB);
        await finishOne(other, otherReceiver, 400 * KIB);
      }
      await receiver.takeEnd(512 * KIB);
      receiver.close();
      await assertFree(connection);
    }),

  async descriptorReuse() {
    const [first, receiver] = await pinned();
    using listener = listenFor();
    const { fd } = first;
    first.reset();
    await assertFree(first);
    const { completions } = first.zeroCopyCounts;
    const [second, secondReceiver] = await endsAt(listener);
    assertEquals(second.fd, fd);
    await stream(second, secondReceiver, 1, 200 * KIB);
    await finish(second, secondReceiver, 200 * KIB);
    assertEquals(first.zeroCopyCounts.completions, completions);
    receiver.close();
  },

  async childProcess() {
    const [connection, receiver] = await pinned();
    const { stdout } = spawnSync("sh", [
      "-c",
      'test -e "/proc/self/fd/$0"; echo $?',
      `${connection.fd}`,
    ], {
      encoding: "utf8",
    });
    assertEquals(stdout, "1\n"); // it has not inherited the descriptor
    await finish(connection, receiver, 512 * KIB);
  },

  async processExit() {
    using listener = createListener("tcp", "127.0.0.1:0", TIGHT);
    const port = listener.address.transport === "tcp" ? listener.address.port : 0;
    const child = start("tests/support/zero_copy_exit.ts", {
      args: [`${port}`],
      env: { NETPOLL_LIB: process.env["NETPOLL_LIB"] },
    });
    let fd = -1;
    await until(() => (fd = listenerSocket(listener).accept(rawAddress())) >= 0, "the connection");
    const { stdout } = await soon(child.ended);
    const receiver = new Receiver(fd);
    assertEquals(JSON.parse(stdout).outstandingCalls > 0, true);
    await receiver.takeEnd(512 * KIB);
    receiver.close();
  },

  soak: () => leaks(() => soakMany(seededRandom(47), 200, 0)),

  async soakLong() {
    const random = seededRandom(47);
    await leaks(async () => {
      await soakMany(random, 400, 0); // as much memory as this takes, it keeps for the next
      const before = process.memoryUsage().rss;
      await soakMany(random, 1000, SOAK_SECONDS);
      const grown = process.memoryUsage().rss - before;
      assertLessOrEqual(grown, RSS_GROWTH_MAX, "the memory of connections that ended");
    });
  },

  async detachIsRefused() {
    const [connection, receiver] = await pinned();
    let message = "";
    try {
      connection.detach();
    } catch (error) {
      message = (error as Error).message;
    }
    assertEquals(message.startsWith("Cannot detach: "), true);
    await finish(connection, receiver, 512 * KIB);
  },
};

/** As `finish`, where others are pinned. */
async function finishOne(connection: Connection, receiver: Receiver, count: number): Promise<void> {
  await connection.close();
  await receiver.takeEnd(count);
  receiver.close();
}

/** So many connections, and for so long. */
async function soakMany(random: Random, count: number, seconds: number): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  for (let done = 0; done < count || performance.now() < end; done += SOAK_AT_ONCE) {
    await Promise.all(Array.from({ length: SOAK_AT_ONCE }, () => soakOne(random)));
  }
  await until(() => blocks.pinnedBytes === 0, "nothing is pinned");
}

/** One connection with random sizes, that ends in one of four ways. */
async function soakOne(random: Random): Promise<void> {
  const [connection, receiver] = await ends({}, random.below(2) === 0 ? TIGHT : {});
  let at = 0;
  for (let i = random.below(6); i >= 0; i--) {
    const size = 1 + random.below(200 * KIB);
    write(connection, at, size);
    void connection.writer.flush();
    at += size;
  }
  const end = random.below(4);
  if (end === 0) connection.reset();
  else if (end === 1) receiver.reset();
  else if (end === 2) void connection.close({ timeoutMs: 20 });
  else return finishOne(...await received(connection, receiver, at));
  await soon(connection.closed.catch(() => {}));
  receiver.close();
  await connection.close();
}

async function received(
  connection: Connection,
  receiver: Receiver,
  count: number,
): Promise<[Connection, Receiver, number]> {
  await receiver.takeAll(count);
  return [connection, receiver, count];
}
