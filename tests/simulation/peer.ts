/**
 * A program elsewhere at the other end of a connection: it reads and writes as it likes.
 */
import { EAGAIN } from "./files.ts";
import { kernel } from "./kernel.ts";
import { machine } from "./machine.ts";
import type { Socket } from "./socket.ts";
import { type Track, TRACK_BYTES_MAX } from "./track.ts";

const scratch = new Uint8Array(65536);

/** How a peer behaves. */
export interface Habits {
  /** So many bytes it sends in all. */
  readonly bytes: number;
  /** At most so many at a time. */
  readonly chunkBytes: number;
  /** It thinks for up to so long before each step. */
  readonly thinkMicros: number;
  /** It reads no more after so many bytes. */
  readonly readsUpTo: number;
  /** It answers what it has read, and sends nothing by itself. */
  readonly echoes: boolean;
  /** What it does when it has sent everything. */
  readonly end: "half" | "close" | "reset" | "stays";
}

/** Habits by chance. */
export function someHabits(isOrderly: boolean): Habits {
  const { random } = machine;
  const isLarge = random.chance(0.15);
  const end = isOrderly || random.chance(0.6)
    ? random.pick(["half", "half", "half", "close"] as const)
    : random.pick(["reset", "stays", "close"] as const);
  return {
    bytes: Math.min(kernel.easyBytes, random.below(isLarge ? 60_000 : 1500)),
    chunkBytes: random.pick([1, 7, 100, 1000, 9000, 60_000]) + (isLarge ? 2000 : 20),
    thinkMicros: random.pick([10, 100, 3000, random.chance(0.2) ? 40_000 : 500]),
    readsUpTo: isOrderly || random.chance(0.9) ? Infinity : random.below(3000),
    echoes: false,
    end,
  };
}

/** A peer. */
export class Peer {
  readonly socket: Socket;
  readonly out: Track;
  readonly in: Track;
  readonly habits: Habits;
  /** It has read to the end, and there was one in order. */
  sawEnd = false;
  /** The connection was reset under it. */
  wasReset = false;
  /** It has reset the connection, or closed it with bytes unread or on their way. */
  isRude = false;
  isGone = false;
  #hasEnded = false;
  #isThinking = false;

  constructor(socket: Socket, out: Track, into: Track, habits: Habits) {
    this.socket = socket;
    this.out = out;
    this.in = into;
    this.habits = habits;
    socket.onNotify = () => this.#think();
    this.#think();
  }

  get #name(): string {
    return `the peer at ${this.socket.name}`;
  }

  #think(): void {
    if (this.#isThinking || this.isGone || this.socket.state === "connecting") return;
    this.#isThinking = true;
    machine.after(machine.random.below(this.habits.thinkMicros), () => {
      this.#isThinking = false;
      if (!this.isGone) this.#step();
    });
  }

  #step(): void {
    const moved = this.#read() + this.#write();
    if (this.isGone) return;
    this.#end();
    if (moved > 0) this.#think();
  }

  #read(): number {
    if (this.in.seen >= this.habits.readsUpTo || this.sawEnd || this.wasReset) return 0;
    const most = Math.min(scratch.length, 1 + machine.random.below(4 * this.habits.chunkBytes));
    const count = this.socket.receive(scratch.subarray(0, most));
    if (count > 0) {
      this.in.see(scratch.subarray(0, count), this.#name);
      return count;
    }
    if (count === 0) this.sawEnd = true;
    else if (count !== -EAGAIN) this.wasReset = true;
    return 0;
  }

  /** An end in order says that nothing is missing. */
  checkEnd(): void {
    if (!this.sawEnd || this.socket.in!.way.isLocal) return; // a Unix socket has no reset
    const { seen, flushed } = this.in;
    machine.check(seen === flushed, `${this.#name} reads an end at ${seen} of ${flushed}`);
  }

  get #bytesLeft(): number {
    const { bytes, echoes } = this.habits;
    return (echoes ? Math.min(this.in.seen, TRACK_BYTES_MAX) : bytes) - this.out.written;
  }

  #write(): number {
    if (this.#hasEnded || this.#bytesLeft === 0 || this.wasReset) return 0;
    const code = this.socket.canSend();
    // The error is told once: a read would take it for an end.
    if (code < 0) this.wasReset ||= code !== -EAGAIN;
    if (code < 0) return 0;
    const most = 1 + machine.random.below(this.habits.chunkBytes);
    const count = this.socket.out!.write(this.out.take(Math.min(this.#bytesLeft, most)));
    this.out.written += count;
    this.out.flushed += count;
    return count;
  }

  /** Whether it has sent all that it wanted to. */
  get #isDone(): boolean {
    return this.#bytesLeft === 0 && (!this.habits.echoes || this.sawEnd);
  }

  #end(): void {
    const { end } = this.habits;
    if (this.wasReset) return this.#leave();
    if (this.sawEnd && this.#isDone && end !== "reset") return this.#leave();
    if (!this.#isDone || this.#hasEnded) return;
    machine.trace?.(`    ${this.#name} has sent all: ${end}`);
    this.#hasEnded = true;
    if (end === "half") this.socket.shutWrite();
    else if (end === "reset") this.leaveBy("reset");
    else if (end === "close") this.#leave();
  }

  /** Closes its end in order, as far as that goes. */
  #leave(): void {
    const flow = this.socket.in!;
    this.isRude ||= !this.sawEnd && !this.wasReset;
    this.isRude ||= flow.read < flow.written;
    this.isGone = true;
    this.socket.onClose();
  }

  /** Ends it, however far it has come. */
  leaveBy(way: "reset" | "close"): void {
    if (this.isGone) return;
    this.socket.resetsOnClose = way === "reset";
    this.isRude = true;
    this.isGone = true;
    this.socket.onClose();
  }
}
