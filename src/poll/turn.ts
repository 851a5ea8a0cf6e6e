/**
 * The time of a turn, looked at by whatever does one thing after the other for a peer.
 */
import { STEPS_PER_CLOCK } from "../core/limits.ts";
import { clock } from "./clock.ts";

/** A step as long as this is worth a look at the clock of its own. */
const STEP_MICROS_LONG = 50;

/** The longest time that code has outside a turn: as much as a turn. */
const OUTSIDE_MICROS = 1000;

/** Never equal to the number of a step. */
const NO_STEP = -1;

/** Until when this thread is ours. Outside a turn that counts from the first look at the clock. */
export class Turn {
  #deadline = Infinity;
  #lookedAt = 0;
  /** Steps between two looks: fewer where steps are long. */
  #stride = 1;
  #left = 1;
  /** Watchers are told one after the other, and nothing else runs between two of them. */
  isTelling = false;
  /** The number of this step. */
  #stepCount = 0;
  /** The number of the step that is known to begin at {@linkcode #stepMicros}. */
  #knownStep = NO_STEP;
  #stepMicros = 0;

  /** A batch of a turn begins, which lasts until then. */
  begin(deadline: number, nowMicros: number): void {
    this.isTelling = true;
    this.#stepMicros = nowMicros;
    this.#knownStep = this.#stepCount;
    if (this.#deadline === deadline) return;
    this.#deadline = deadline;
    this.#lookedAt = nowMicros;
    this.#left = this.#stride - 1;
  }

  /** The thread is the runtime's. */
  end(): void {
    this.isTelling = false;
    this.#deadline = Infinity;
  }

  /**
   * Takes a step: one call of a handler, one frame, one message. Whether the time is over; then the
   * rest is for the next turn. The clock costs a tenth of what the cheapest step does, so it is
   * looked at every few steps.
   */
  step(): boolean {
    this.#stepCount += 1;
    return this.#left-- <= 0 && this.#look();
  }

  /** The work that follows may take long: the next step looks at the clock. */
  hurry(): void {
    this.#left = 0;
  }

  /**
   * When this step began, in microseconds. That is when the one before it ended, if somebody has
   * looked at the clock then; otherwise it is now. So steps that are measured one after the other take
   * one look each.
   */
  since(): number {
    const isKnown = this.isTelling && this.#knownStep === this.#stepCount;
    this.#knownStep = NO_STEP;
    return isKnown ? this.#stepMicros : clock.now();
  }

  /** This step has ended then, and the next one begins. */
  endStep(micros: number): void {
    this.#stepMicros = micros;
    this.#knownStep = this.#stepCount + 1;
  }

  /** This step begins now, and not with the batch. Now. */
  beginStep(): number {
    this.#knownStep = this.#stepCount;
    return this.#stepMicros = clock.now();
  }

  /** Something has run in this step that is no part of the next one. */
  spoilStep(): void {
    this.#knownStep = NO_STEP;
  }

  #look(): boolean {
    const now = clock.now();
    if (this.#deadline === Infinity) {
      // Whoever was called by the runtime may go on for as long, and puts the rest off until a turn.
      this.#deadline = now + OUTSIDE_MICROS;
      this.#lookedAt = now;
      this.#left = this.#stride - 1;
      return false;
    }
    const micros = (now - this.#lookedAt) / this.#stride;
    this.#lookedAt = now;
    this.#stride = micros > STEP_MICROS_LONG ? 1 : Math.min(2 * this.#stride, STEPS_PER_CLOCK);
    this.#left = this.#stride - 1;
    if (now <= this.#deadline && !clock.stands) return false;
    this.#left = 0; // and so is every step from now on
    return true;
  }
}

/** The turn of this thread. */
export const turn: Turn = new Turn();
