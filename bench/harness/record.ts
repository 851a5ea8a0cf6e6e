/**
 * The last recorded result: medians and spreads only, committed, for `compare.ts` to look back at.
 */
import { type Results, summarize } from "./results.ts";
import { type Spread, spread } from "./statistics.ts";

/** Nanoseconds that a runtime took for an operation, by sample. */
export interface MicroSamples {
  readonly name: string;
  readonly runtime: string;
  readonly nanos: number[];
}

/** A whole run of the micro benches. */
export interface MicroResults {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly samples: readonly MicroSamples[];
}

/** A figure by its name: "64x50 bun-sync CPU ÷ C". */
export type Figures = Readonly<Record<string, Spread>>;

/** The record of one kind of bench. */
export interface Remembered {
  readonly date: string;
  readonly machine: string;
  readonly figures: Figures;
}

/** The whole record. */
export interface Book {
  readonly figures?: Remembered;
  readonly micro?: Remembered;
}

/** A figure then and now. */
export interface Change {
  readonly name: string;
  readonly before: Spread;
  readonly after: Spread;
  /** Now ÷ then: 1.1 is a tenth worse, because all figures are costs. */
  readonly ratio: number;
}

/** The record of a run: ratios to C within each round, and memory. */
export function recordOf(results: Results): Remembered {
  const figures: Record<string, Spread> = {};
  for (const series of results.series) {
    if (series.failure !== null || series.candidate === "c") continue;
    const { cpuRatio, p99Ratio, resident } = summarize(results, series);
    const name = `${series.scenario} ${series.candidate}`;
    if (series.rounds.length > 0) figures[`${name} CPU ÷ C`] = cpuRatio;
    if (series.rate !== null) figures[`${name} p99 ÷ C`] = p99Ratio;
    if (series.residentBytes.length > 0) figures[`${name} B/connection`] = resident;
  }
  return { date: results.date, machine: results.machine, figures };
}

/** The record of a run of the micro benches: nanoseconds an operation. */
export function recordOfMicro({ date, machine, samples }: MicroResults): Remembered {
  const figures = samples.map((
    { name, runtime, nanos },
  ) => [`${name} ${runtime} ns`, spread(nanos)]);
  return { date, machine, figures: Object.fromEntries(figures) };
}

/** Smaller changes are not listed, even if the rounds agree on them. */
const CHANGE_MIN = 0.02;

/**
 * The figures whose middle halves do not touch, the worst first: the rounds of either run cannot
 * explain the change.
 */
export function changes(before: Figures, after: Figures): Change[] {
  return Object.entries(after).flatMap(([name, now]) => {
    const was = before[name];
    if (was === undefined || (now.low <= was.high && was.low <= now.high)) return [];
    const ratio = now.median / was.median;
    return Math.abs(ratio - 1) < CHANGE_MIN ? [] : [{ name, before: was, after: now, ratio }];
  }).sort((a, b) => b.ratio - a.ratio);
}

/** The text of a book: a line a figure, so that a diff can be read. */
export function serialize(book: Book): string {
  const rounded = (_: string, value: unknown) =>
    typeof value === "number" ? Number(value.toPrecision(4)) : value;
  const text = JSON.stringify(book, rounded, 1);
  return `${
    text.replace(/\{\s*("median[^}]*?)\s*\}/g, (_, one) => `{${one.replace(/\s+/g, "")}}`)
  }\n`;
}
