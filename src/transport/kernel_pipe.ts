/**
 * Pipes of the kernel, through which splice moves bytes from one descriptor to another without
 * bringing them here.
 */
import { native } from "../../ffi/load.ts";
import { counts } from "../core/counts.ts";
import { PIPE_BYTES, PIPES_SPARE_MAX } from "../core/limits.ts";

const TWO_32 = 2 ** 32;

const ends = new Int32Array(2);

/** A pipe, and how much is in it. */
export class KernelPipe {
  /** The end to read from. */
  readonly reading: number;
  /** The end to write to. */
  readonly writing: number;
  /** Bytes in it. */
  heldBytes = 0;

  /** The two ends of an open pipe, which it owns from now on. */
  constructor(reading: number, writing: number) {
    this.reading = reading;
    this.writing = writing;
  }

  /** Moves `most` bytes into the pipe, which must be empty. How many, 0 at the end, or `-errno`. */
  fill(from: number, most: number = PIPE_BYTES): number {
    const count = native.splice(from, this.writing, Math.min(most, PIPE_BYTES));
    if (count > 0) {
      this.heldBytes += count;
      counts.spliced.received += count;
    }
    return count;
  }

  /** So many bytes were read from it, and so counted once more as received. */
  copiedOut(count: number): void {
    this.heldBytes -= count;
    counts.spliced.received -= count;
  }

  /** Moves bytes out of it. How many, or `-errno`. */
  drain(to: number): number {
    const count = this.#left(native.splice(this.reading, to, this.heldBytes));
    if (count > 0) counts.spliced.sent += count;
    return count;
  }

  /** Moves bytes out of it, to a position of a file. How many, or `-errno`. */
  drainToFile(to: number, at: number): number {
    const high = at / TWO_32 >>> 0;
    return this.#left(native.spliceFile(this.reading, to, at >>> 0, high, this.heldBytes));
  }

  #left(count: number): number {
    if (count > 0) this.heldBytes -= count;
    return count;
  }

  /** Closes both ends. */
  close(): void {
    native.close(this.reading);
    native.close(this.writing);
  }
}

/**
 * The pipes of a thread. Bytes lie in a pipe only while their receiver has no room, so a few pipes
 * serve many connections; while nobody moves anything none is open.
 */
export class KernelPipes {
  readonly #spare: KernelPipe[] = [];
  #userCount = 0;

  /** The number of pipes that are open and not in use. */
  get spareCount(): number {
    return this.#spare.length;
  }

  /** Somebody begins to move bytes. */
  enter(): void {
    this.#userCount += 1;
  }

  /** Somebody has ended: with the last, all spare pipes are closed. */
  leave(): void {
    this.#userCount -= 1;
    if (this.#userCount === 0) { for (const pipe of this.#spare.splice(0)) pipe.close(); }
  }

  /** An empty pipe; null when none is to be had. */
  take(): KernelPipe | null {
    const spare = this.#spare.pop();
    if (spare !== undefined) return spare;
    if (native.pipe(ends) < 0) return null;
    const pipe = new KernelPipe(ends[0]!, ends[1]!);
    // Refused where a user's pipes hold too much already (pipe(7), pipe-user-pages-soft): 64 KiB
    // serve as well.
    native.pipeResize(pipe.writing, PIPE_BYTES);
    return pipe;
  }

  /** Takes a pipe back. One with bytes in it is closed. */
  give(pipe: KernelPipe): void {
    const isOfUse = pipe.heldBytes === 0 && this.#spare.length < PIPES_SPARE_MAX;
    if (isOfUse && this.#userCount > 0) this.#spare.push(pipe);
    else pipe.close();
  }
}

/** The pipes of this thread. */
export const kernelPipes: KernelPipes = new KernelPipes();
