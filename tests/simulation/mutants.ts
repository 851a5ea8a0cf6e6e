/**
 * Faults that are planted in a copy of the library, each of a kind that was found here or that others
 * had. A simulation that does not find them looks at nothing.
 */
import type { Patch } from "./copy.ts";
import { simulate } from "./simulate.ts";

/** A fault, and what it does. */
export interface Mutant extends Patch {
  readonly name: string;
  /** A second change, where two places keep the library from the fault. */
  readonly also?: Patch;
}

/** Takes a statement out. */
const without = (name: string, search: string): Mutant => ({ name, search, replacement: "" });
const instead = (name: string, search: string, replacement: string): Mutant => ({
  name,
  search,
  replacement,
});

/** The faults. A search text that no longer stands in the sources once is an error. */
export const MUTANTS: readonly Mutant[] = [
  // ---- wake-ups ---------------------------------------------------------------------------------
  without("a watcher that has more to do wakes nobody", "    this.pace.wake();"),
  instead(
    "the waker is not armed when a poller goes to sleep",
    "return this.#waker.arm();",
    "return true;",
  ),
  without("a byte of the waker counts for ever", "    this.#isRung = false;"),
  instead(
    "events that a turn had no time for are forgotten",
    "if (this.untoldCount === 0) told += this.#wait(micros);",
    "told += this.#wait(micros);",
  ),
  without("reading is not wanted again after a pause", "    this.unstop(Stop.PAUSED);"),
  without("a hang-up that nobody acts on is reported for ever", "    this.#isHushed = true;"),
  without("what asks for more is asked for ever", "      this.#again.delete(watcher);"),
  // ---- descriptors and tokens -------------------------------------------------------------------
  instead(
    "an event of a descriptor that was closed is told to the next one",
    "if (watcher == null || this.#generations[slot] !== token >>> SLOT_BITS) return 0;",
    "if (watcher == null) return 0;",
  ),
  instead(
    "a pipe is closed twice",
    "    native.close(this.reading);",
    "    native.close(this.reading);\n    native.close(this.reading);",
  ),
  without(
    "a dial that is given up leaves its sockets",
    "    for (const attempt of this.#running) attempt.cancel();",
  ),
  // ---- bytes ------------------------------------------------------------------------------------
  instead(
    "a short send counts as a whole one",
    "if (count > 0) {\n    chain.consume(count);",
    "if (count > 0) {\n    chain.consume(sending.offeredBytes);",
  ),
  instead(
    "not ready counts as broken",
    "return count === NOT_READY || count === -ERRNO.ENOBUFS",
    "return count === -ERRNO.ENOBUFS",
  ),
  instead(
    "a flush is done when something has left",
    "if (left === 0) return RESOLVED;",
    "if (left >= 0) return RESOLVED;",
  ),
  instead(
    "a wait is met one byte early",
    "waiting.count <= this.#owner.input.length)",
    "waiting.count <= this.#owner.input.length + 1)",
  ),
  without("a pipe forgets what has left it", "    if (count > 0) this.heldBytes -= count;"),
  without(
    "the end of the peer closes before what came is served",
    "    if (this.handler !== null && this.isDue) return;",
  ),
  // ---- ends -------------------------------------------------------------------------------------
  instead(
    "a close does not look whether the peer has everything",
    "const isDone = dropped === 0 ? owner.unackedBytes === 0 : owner.isEndAcked;",
    "const isDone = true;",
  ),
  instead(
    "half a close closes both sides",
    "return native.shutdown(fd, WRITE_SIDE);",
    "return native.shutdown(fd, 2);",
  ),
  without(
    "a reset that a send met reads as an end",
    '    if (this.state !== "closed" && writeSide.end(this.writer) !== null) return;',
  ),
  without("a pipe passes a reset on as an end", "    if (aToB.isBroken) return;"),
  instead(
    "a lost connection with bytes that nobody serves is never torn down",
    "this.callbacks?.isRunning || this.isToServe) return;",
    "this.callbacks?.isRunning || this.isDue) return;",
  ),
  without(
    "nobody goes on after an end",
    "    queueMicrotask(() => this.goOn()); // wherever it ended, in whoever's call",
  ),
  // ---- deadlines --------------------------------------------------------------------------------
  {
    name: "a deadline is judged before data that came in time",
    search: "    turn.begin(deadline, this.nowMicros);",
    replacement: "    turn.begin(deadline, this.nowMicros);\n" +
      "    if (this.#wheel.dueMs * 1000 <= clock.now()) this.#expire();",
    also: { search: "= this.#owner.lookForInput();", replacement: "= false;" },
  },
  instead("a timer far away expires early", "if (timer.expiryMs > nowMs) {", "if (false) {"),
  without(
    "timers of a closed connection stay",
    "this.deadlines?.close();\n    this.ending?.draining?.close();",
  ),
  // ---- handlers ---------------------------------------------------------------------------------
  instead("a handler runs twice at a time", ' && this.#phase === "idle" && readBan', " && readBan"),
  without(
    "a handler that waited elsewhere is thought to wait for ever",
    '    if (this.#phase === "outside") this.setOutside(false);',
  ),
  // ---- zero copy --------------------------------------------------------------------------------
  without("memory is not pinned", "      if (part > 0) pinned.push(node!.block!.pin());"),
  instead("a merged range is one send", "const span = (hi - lo) >>> 0;", "const span = 0;"),
  instead(
    "a descriptor is closed while the kernel sends from memory",
    "if (!this.pinner?.isPinning) return this.io",
    "return this.io",
  ),
  without("released() does not wait for pins", "    await this.#owner.pinner?.released(target);"),
];

/** The changes that make a mutant. */
export function changesOf(mutant: Mutant): Patch[] {
  return mutant.also === undefined ? [mutant] : [mutant, mutant.also];
}

/** How to look for mutants. */
export interface MutantOptions {
  readonly seed: number;
  readonly endMs: number;
  /** Mutants whose names have this in them. */
  readonly only: string;
  readonly log: (line: string) => void;
}

/** A mutant that so many schedules do not find is missed. */
const SCHEDULES_MAX = 200_000;

/** Plants each fault, and looks for it. How many were missed. */
export async function catchMutants({ seed, endMs, only, log }: MutantOptions): Promise<number> {
  let [missed, tried] = [0, 0];
  const mutants = MUTANTS.filter(({ name }) => name.includes(only));
  for (const mutant of mutants) {
    if (performance.now() >= endMs) break;
    const plan = { seed, count: SCHEDULES_MAX, endMs, findingsMax: 1 };
    const { count, findings: [finding] } = await simulate(plan, changesOf(mutant));
    tried += 1;
    if (finding === undefined) missed += 1;
    const how = finding === undefined
      ? `MISSED in ${count} schedules`
      : `found after ${count}: ${finding.violation.message.split("\n", 1)[0]}`;
    log(`${mutant.name}: ${how}`);
  }
  log(`${tried - missed} of ${tried} planted faults were found`);
  return missed;
}
