/**
 * Micro benches: one operation of one noun, timed alone.
 */

import { median } from "./statistics.ts";

/** An operation, ready to be timed. */
export interface Bench {
  /** Does it once and throws unless the outcome is right. */
  check(): void;
  /** Does it so many times. */
  run(times: number): void;
  /** Gives back what it holds. */
  close?(): void;
}

/** An operation, not ready yet. */
export interface Micro {
  /** The noun and what is done with it: "block: take and release 4 KiB". */
  readonly name: string;
  /** Operations in one of `run`'s; 1 unless given. */
  readonly perRun?: number;
  /** Makes what it needs, outside of what is timed. */
  prepare(): Bench;
}

/** What a runtime took for an operation, by sample. */
export interface MicroSamples {
  readonly name: string;
  readonly runtime: string;
  readonly nanos: number[];
}

/** A whole run. */
export interface MicroResults {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly samples: readonly MicroSamples[];
}

/** The compilers work beside the program, on the same CPU here: they need their time. */
const WARMUP_MS = 120;
/** Slices are short, and their median counts: whoever else took the CPU is in one of them only. */
const SLICE_MS = 8;
const SLICES = 5;
/** Enough for a clock of a microsecond, and for the optimizing compilers to be called. */
const TIMES_MIN = 64;

/** Nanoseconds an operation takes once it is compiled, after its outcome was found right. */
export function nanosOf(micro: Micro): number {
  const bench = micro.prepare();
  try {
    bench.check();
    let times = TIMES_MIN;
    for (let spentMs = 0; spentMs < WARMUP_MS; spentMs += timed(bench, times)) {
      if (spentMs < WARMUP_MS / 4) times *= 2;
    }
    const perRunMs = timed(bench, times) / times;
    times = Math.max(TIMES_MIN, Math.ceil(SLICE_MS / Math.max(perRunMs, 1e-6)));
    const slices = Array.from({ length: SLICES }, () => timed(bench, times));
    bench.check();
    return median(slices) * 1e6 / times / (micro.perRun ?? 1);
  } finally {
    bench.close?.();
  }
}

function timed(bench: Bench, times: number): number {
  const began = performance.now();
  bench.run(times);
  return performance.now() - began;
}
