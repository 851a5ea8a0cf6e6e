/**
 * Endings of all kinds against peers of all kinds: who reads an end has everything, and who has a
 * part only sees a reset, of which everybody is told.
 */
import { assert, assertEquals } from "@std/assert";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import type { Connection } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";
import { pattern } from "../support/pair.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { serve } from "../support/serve.ts";
import { connectSlowly, NARROW, sendSome } from "../support/slow_peer.ts";
import { delay, soon, tick } from "../support/until.ts";
import { type Receiver, write } from "../support/zero_copy_ends.ts";

const ROUNDS = 15;
const AT_ONCE = 10;
const PIECE_BYTES_MAX = 256 * 1024;
/**
 * A peer is slow for so long, by the clock. Then it takes without a pause: some ends have no limit but the peer,
 * and the test waits for each step 4 s.
 */
const SLOW_MS_MAX = 1000;
/** After so many bytes the stream of `write` begins again. */
const PERIOD_BYTES = 2048;

/** A case: the bytes that are sent, the side that ends, and the behaviour of the peer. */
interface Plan {
  readonly pieces: readonly { bytes: number; isFile: boolean }[];
  readonly end: "the peer" | "close" | "closeWrite" | "shutdown" | "lifetime" | "total";
  readonly isZeroCopy: boolean;
  /** True when the peer may have too little time. */
  readonly isHurried: boolean;
  readonly peerEnds: "before" | "amid" | "never";
  /** Bytes that the peer takes at a time, and milliseconds until it takes more. */
  readonly takesBytes: number;
  readonly pausesMs: number;
  /** Bytes that it sends before it takes any. */
  readonly sendsBytes: number;
}

function planOf(random: Random): Plan {
  const isHurried = random.chance(0.3);
  const ends = ["the peer", "close", "closeWrite", "shutdown", "lifetime"] as const;
  const end = isHurried && random.chance(0.5) ? "total" : random.pick(ends);
  const peerEnds = end === "the peer"
    ? random.pick(["before", "amid"] as const)
    : random.pick(["before", "amid", "never"] as const);
  const pieces = Array.from({ length: 1 + random.below(4) }, () => ({
    bytes: 1 + random.below(PIECE_BYTES_MAX),
    isFile: random.chance(0.3),
  }));
  return {
    pieces,
    end,
    isZeroCopy: random.chance(0.25),
    isHurried,
    peerEnds,
    takesBytes: random.pick([8 * 1024, 100_000, 1 << 20]),
    pausesMs: random.pick([0, 0, 2, isHurried ? 60 : 5]),
    sendsBytes: peerEnds === "before" ? 0 : random.pick([0, 1000, 1 << 20]),
  };
}

/** Sends what is planned. How many bytes. */
function sendAll(connection: Connection, { pieces }: Plan, file: string): number {
  let at = 0;
  for (const { bytes, isFile } of pieces) {
    if (isFile) {
      void connection.sendFile(file, { offset: at % PERIOD_BYTES, length: bytes });
    } else {
      write(connection, at, bytes);
      void connection.writer.flush();
    }
    at += bytes;
  }
  return at;
}

/** The peer from its request to the end that it sees. */
async function behave(peer: Receiver, plan: Plan): Promise<"end" | "reset"> {
  sendSome(peer, 1);
  if (plan.peerEnds === "before") peer.end();
  for (let left = plan.sendsBytes, i = 0; left > 0 && i < 1000; i++) {
    try {
      left -= sendSome(peer, left);
    } catch {
      break; // it was cut already
    }
    await tick();
  }
  const slowUntil = performance.now() + SLOW_MS_MAX;
  for (let isFirst = true; !peer.isEnded && !peer.wasReset; isFirst = false) {
    peer.take(plan.takesBytes);
    if (isFirst && plan.peerEnds === "amid" && !peer.wasReset) peer.end();
    const isSlow = plan.pausesMs > 0 && performance.now() < slowUntil;
    await (isSlow ? delay(plan.pausesMs) : tick());
  }
  return peer.wasReset ? "reset" : "end";
}

/** One connection from its request to the end, which is what its peer saw. */
async function run(plan: Plan, file: string): Promise<"end" | "reset"> {
  let total = 0;
  const { promise: asked, resolve } = Promise.withResolvers<Connection>();
  const { loop, listener } = serve((connection) => {
    connection.reader.skip(connection.reader.length);
    connection.reader.release();
    if (total > 0) return; // what else the peer sends
    if (plan.isZeroCopy) connection.zeroCopy = "always";
    total = sendAll(connection, plan, file);
    resolve(connection);
    if (plan.end === "close") void connection.close();
    if (plan.end === "total") void connection.close({ timeoutMs: 5 });
    if (plan.end === "closeWrite") void connection.closeWrite().then(() => connection.close());
  }, {
    lifetimeMs: plan.end === "lifetime" ? 2 : 0,
    closeTimeoutMs: plan.isHurried ? 40 : 5000,
  }, NARROW);
  const peer = connectSlowly(listener);
  const seen = behave(peer, plan);
  const connection = await soon(asked);
  const ended = plan.end === "shutdown" ? loop.shutdown() : null;
  const failure = await soon(connection.closed.then(() => null, (error) => error));
  const { unsentBytes } = await soon(connection.close());
  const end = await soon(seen);
  const isTold = failure?.name === "UnsentError" && failure.unsentBytes === unsentBytes;
  assert(
    unsentBytes === 0 ? failure === null : isTold && plan.isHurried,
    `${unsentBytes} ${failure}`,
  );
  assertEquals(connection.metrics().unsent.bytes, unsentBytes);
  if (end === "end") assertEquals(peer.count, total);
  // Bytes that are not acknowledged may have arrived all the same, and so may the end.
  else assert(unsentBytes > 0 && peer.count + unsentBytes >= total, `${peer.count} ${unsentBytes}`);
  const { cut } = await soon(ended ?? loop.shutdown());
  if (ended !== null) assertEquals(cut, unsentBytes === 0 ? 0 : 1);
  peer.close();
  return end;
}

test("whoever reads an end has everything that was flushed; who does not sees a reset, and all are told", () =>
  leaks(() =>
    withDirectory(async (directory) => {
      const file = `${directory}/file`;
      writeFileSync(file, pattern(PIECE_BYTES_MAX + PERIOD_BYTES));
      const random = seededRandom(process.env["NETPOLL_SEED"]);
      console.log(`seed ${random.seed}`);
      const seen = { end: 0, reset: 0 };
      for (let i = 0; i < ROUNDS; i++) {
        const plans = Array.from({ length: AT_ONCE }, () => planOf(random));
        await Promise.all(plans.map(async (plan) => {
          try {
            seen[await run(plan, file)] += 1;
          } catch (error) {
            throw new Error(`seed ${random.seed}: ${JSON.stringify(plan)}`, { cause: error });
          }
        }));
      }
      assert(seen.end > 0 && seen.reset > 0, JSON.stringify(seen));
    })
  ));
