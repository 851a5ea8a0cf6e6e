/**
 * True when the poller finds its rest.
 */
import { assertLessOrEqual } from "@std/assert";
import type { Poller } from "../../src/poll/poller.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { delay, ticks } from "./until.ts";

/** A test watches so long that nothing happens. A storm has thousands of turns in that time. */
export const CALM_MS = 100;
/** Turns and waits on the way to cold, and a few for what else goes on. */
const CALM_COUNT_MAX = 20;

/** Fails when the poller finds no rest. */
export async function assertCalm({ counts, pace }: Poller = threadPoller()): Promise<void> {
  await ticks(10); // what is under way
  const waits = counts.waits;
  const turns = pace.counts.turns;
  await delay(CALM_MS);
  assertLessOrEqual(counts.waits - waits, CALM_COUNT_MAX, "waits");
  assertLessOrEqual(pace.counts.turns - turns, CALM_COUNT_MAX, "turns");
}
