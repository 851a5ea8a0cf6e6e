/**
 * Timers: thousands of deadlines, most of which never pass.
 *
 * A hierarchical wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987): each
 * level has 32 slots, each of which spans a whole turn of the level below. Setting and cancelling a
 * timer is a few writes. A bit a slot says which are occupied, so that the next time something is
 * due is found without ticking: an idle wheel costs nothing.
 */
import { assert } from "../core/assert.ts";
import { LATE_MS_MIN } from "../core/limits.ts";
import { ignore } from "../core/promises.ts";

const SLOT_BITS = 5;
const SLOTS = 1 << SLOT_BITS;
const SLOT_MASK = SLOTS - 1;
const LEVELS = 6; // 32^6 ms are 12 days; what is further away is looked at again then
const SPAN_MS = SLOTS ** LEVELS;
/** The milliseconds that a slot of each level spans. */
const WIDTHS_MS: readonly number[] = Array.from({ length: LEVELS }, (_, level) => SLOTS ** level);

/** Told when a timer expires. */
export interface TimerOwner {
  /** The time of one of its timers has come. */
  onTimer(timer: Timer): void;
}

/** One deadline at a time. */
export class Timer {
  /** When it expires, in milliseconds of the wheel's clock. */
  expiryMs = 0;
  /** The time that it was set for: the most that it is put off when the thread was busy; 0 for never. */
  spanMs = 0;
  /** Whether it is set. */
  isSet = false;
  /** The owner, which is told. */
  readonly owner: TimerOwner;
  /** Whether the process stays alive while it is set. */
  readonly keepsAlive: boolean;
  /** The slot it is in. */
  slot = 0;
  /** Neighbours in the slot. */
  previous: Timer | null = null;
  /** The timer after it in its slot. */
  next: Timer | null = null;

  /** A timer that is not set. */
  constructor(owner: TimerOwner, keepsAlive = false) {
    this.owner = owner;
    this.keepsAlive = keepsAlive;
  }
}

/**
 * The thread was busy until long after a timer was due. So perhaps it had not sent what an answer is
 * awaited to, and others in it could not answer: nobody is charged for that.
 */
function excuse(timer: Timer, nowMs: number): void {
  const lateMs = nowMs - timer.expiryMs;
  if (lateMs < LATE_MS_MIN || timer.spanMs === 0) return;
  timer.expiryMs = Math.ceil(nowMs + Math.min(lateMs, timer.spanMs));
  timer.spanMs = 0;
}

/** All timers of a poller. Its clock is whoever advances it. */
export class TimerWheel {
  /** Told when something is due earlier than was known. */
  readonly #onNext: (dueMs: number) => void;
  /** Told when a timer that keeps the process alive is set (1), and when it is set no more (-1). */
  readonly #onKept: (change: 1 | -1) => void;
  readonly #slots: (Timer | null)[] = new Array<Timer | null>(LEVELS * SLOTS).fill(null);
  /** One bit a slot, for each level. */
  readonly #occupied = new Int32Array(LEVELS);
  #nowMs: number;
  #count = 0;
  #dueMs = Infinity;
  #isAdvancing = false;

  /** A wheel without timers. */
  constructor(
    nowMs: number,
    onNext: (dueMs: number) => void,
    onKept: (change: 1 | -1) => void = ignore,
  ) {
    this.#nowMs = Math.floor(nowMs);
    this.#onNext = onNext;
    this.#onKept = onKept;
  }

  /** The number of timers that are set. */
  get count(): number {
    return this.#count;
  }

  /** When to advance next: no timer expires before. Infinity without timers. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /**
   * Sets a timer, or sets it anew. It expires no earlier than then, and one that was set for
   * `spanMs` is put off once, by no more than that, when the wheel was advanced too late.
   */
  set(timer: Timer, expiryMs: number, spanMs = 0): void {
    if (timer.isSet) this.cancel(timer);
    // An idle wheel did not keep time.
    timer.expiryMs = Math.max(Math.ceil(expiryMs), this.#nowMs + 1);
    timer.spanMs = spanMs;
    this.#count += 1;
    this.#mark(timer, true);
    this.#insert(timer);
    const dueMs = this.#slotStart(timer.slot);
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    this.#onNext(dueMs);
  }

  /** Takes a timer back; one that is not set stays so. */
  cancel(timer: Timer): void {
    if (!timer.isSet) return;
    this.#remove(timer);
    this.#count -= 1;
    this.#mark(timer, false);
  }

  #mark(timer: Timer, isSet: boolean): void {
    timer.isSet = isSet;
    if (timer.keepsAlive) this.#onKept(isSet ? 1 : -1);
  }

  /** It is `nowMs`: expires what is due. `dueMs` says when the next is. */
  advance(nowMs: number): void {
    // An owner may come here again when it is told. Time must not move while a slot is emptied.
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    nowMs = Math.floor(nowMs);
    try {
      while (this.#dueMs <= nowMs) {
        this.#nowMs = Math.max(this.#nowMs, this.#dueMs);
        this.#turnTo(this.#nowMs, nowMs);
        this.#dueMs = this.#findDue();
      }
    } finally {
      this.#isAdvancing = false;
    }
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  /** Empties the slot of each level that begins now: timers expire, or move to a lower level. */
  #turnTo(nowMs: number, realMs: number): void {
    for (let level = LEVELS - 1; level >= 0; level--) {
      if (level > 0 && nowMs % WIDTHS_MS[level]! !== 0) continue;
      this.#empty(
        level * SLOTS + (Math.floor(nowMs / WIDTHS_MS[level]!) & SLOT_MASK),
        nowMs,
        realMs,
      );
    }
  }

  #empty(slot: number, nowMs: number, realMs: number): void {
    // Timers that are set meanwhile, by those that expire, lie behind `nowMs` and so in other
    // slots.
    for (let timer = this.#slots[slot]!; timer !== null; timer = this.#slots[slot]!) {
      this.#remove(timer);
      excuse(timer, realMs);
      if (timer.expiryMs > nowMs) {
        this.#insert(timer);
        assert(timer.slot !== slot, "a timer that is not due moves to another slot");
        continue;
      }
      this.#count -= 1;
      this.#mark(timer, false);
      timer.owner.onTimer(timer);
    }
  }

  /** Puts a timer where its distance says. */
  #insert(timer: Timer): void {
    const expiryMs = Math.min(timer.expiryMs, this.#nowMs + SPAN_MS - SPAN_MS / SLOTS);
    let level = 0;
    // The lowest level at which it and now differ in no higher digit.
    while (
      level < LEVELS - 1 &&
      Math.floor(expiryMs / WIDTHS_MS[level + 1]!) !==
        Math.floor(this.#nowMs / WIDTHS_MS[level + 1]!)
    ) level += 1;
    const index = Math.floor(expiryMs / WIDTHS_MS[level]!) & SLOT_MASK;
    const slot = level * SLOTS + index;
    timer.slot = slot;
    timer.previous = null;
    timer.next = this.#slots[slot]!;
    if (timer.next !== null) timer.next.previous = timer;
    this.#slots[slot] = timer;
    this.#occupied[level]! |= 1 << index;
  }

  #remove(timer: Timer): void {
    const { slot } = timer;
    if (timer.previous !== null) timer.previous.next = timer.next;
    else this.#slots[slot] = timer.next;
    if (timer.next !== null) timer.next.previous = timer.previous;
    timer.previous = null;
    timer.next = null;
    if (this.#slots[slot] === null) {
      this.#occupied[slot >> SLOT_BITS]! &= ~(1 << (slot & SLOT_MASK));
    }
  }

  /** When the time of a slot begins, seen from now. */
  #slotStart(slot: number): number {
    const width = WIDTHS_MS[slot >> SLOT_BITS]!;
    const now = Math.floor(this.#nowMs / width);
    const ahead = ((slot & SLOT_MASK) - now) & SLOT_MASK;
    return (now + ahead) * width;
  }

  /** When the first occupied slot begins. */
  #findDue(): number {
    let dueMs = Infinity;
    for (let level = 0; level < LEVELS; level++) {
      const bits = this.#occupied[level]!;
      if (bits === 0) continue;
      const now = Math.floor(this.#nowMs / WIDTHS_MS[level]!) & SLOT_MASK;
      // Turned so that the slot of now is bit 0, the lowest bit set is the next slot.
      const turned = bits >>> now | (now === 0 ? 0 : bits << (SLOTS - now));
      const ahead = 31 - Math.clz32(turned & -turned);
      dueMs = Math.min(dueMs, this.#slotStart(level * SLOTS + ((now + ahead) & SLOT_MASK)));
    }
    return dueMs;
  }
}
