/**
 * The machine that is simulated: a clock that stands while the program computes, and what the world
 * outside the program does next. All chance comes from one seed.
 */
import { type Random, seededRandom } from "../support/random.ts";

/** Something that is found to be wrong. */
export class Violation extends Error {}

interface Entry {
  readonly at: number;
  readonly run: () => void;
  readonly isNews: boolean;
}

/** A clock, and what happens when. */
export class Machine {
  /** Microseconds since the machine was started. */
  nowMicros = 0;
  random: Random = seededRandom(0);
  /** The first thing that was found to be wrong. */
  violation: Violation | null = null;
  /** What happened so far, counted. */
  happenings = 0;
  /** How often somebody else has the CPU during a call: a probability. */
  interruptions = 0;
  /** Told of every call and step; null for nobody. */
  trace: ((line: string) => void) | null = null;
  /** The latest comes first. */
  readonly #agenda: Entry[] = [];
  #isHappening = false;

  /** Begins anew. Schedules begin at times far apart: no clock goes back. */
  start(seed: number): void {
    this.random = seededRandom(seed);
    this.violation = null;
    this.happenings = 0;
    this.interruptions = 0;
    this.#agenda.length = 0;
    this.#isHappening = false;
    // At the same place of every slot of a timer wheel up to half a minute.
    this.nowMicros = (Math.floor(this.nowMicros / EPOCH_MICROS) + 1) * EPOCH_MICROS;
  }

  /** What is left to happen. */
  get agendaCount(): number {
    return this.#agenda.length;
  }

  /**
   * Lets something happen in so many microseconds. No news is what the program has set itself: a timer
   * that only wakes it.
   */
  after(micros: number, run: () => void, isNews = true): void {
    const at = this.nowMicros + Math.max(1, micros);
    const agenda = this.#agenda;
    let index = agenda.length;
    const entry = { at, run, isNews };
    agenda.push(entry);
    for (; index > 0 && agenda[index - 1]!.at <= at; index--) agenda[index] = agenda[index - 1]!;
    agenda[index] = entry;
  }

  /** Time passes while the program computes: what is due happens. */
  pass(micros: number): void {
    this.nowMicros += micros;
    this.#happen();
  }

  /** A call into the kernel: for as long as it takes, or as somebody else has the CPU. */
  call(): void {
    const isLong = this.interruptions > 0 && this.random.chance(this.interruptions);
    this.pass(isLong ? this.random.below(INTERRUPTION_MICROS) : 1);
  }

  /** The program sleeps until something happens. False: nothing ever will. */
  sleep(): boolean {
    const next = this.#agenda.at(-1);
    if (next === undefined) return false;
    this.nowMicros = Math.max(this.nowMicros, next.at);
    this.#happen();
    return true;
  }

  #happen(): void {
    if (this.#isHappening) return;
    this.#isHappening = true;
    const agenda = this.#agenda;
    while (agenda.length > 0 && agenda.at(-1)!.at <= this.nowMicros) {
      const { run, isNews } = agenda.pop()!;
      if (isNews) this.happenings += 1;
      run();
    }
    this.#isHappening = false;
  }

  /** Notes what is wrong: the first thing counts. */
  violate(message: string): void {
    this.trace?.(`VIOLATION ${message}`);
    this.violation ??= new Violation(message);
  }

  /** Notes what is wrong unless it holds. */
  check(holds: boolean, message: string): void {
    if (!holds) this.violate(message);
  }
}

/** How long somebody else has the CPU, at most. */
const INTERRUPTION_MICROS = 400;
/** 32^3 ms. */
const EPOCH_MICROS = 32_768_000;

/** The one machine of this thread. */
export const machine: Machine = new Machine();
