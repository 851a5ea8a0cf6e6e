/**
 * The results of `make bench`: every round of every server, the circumstances, and the summaries.
 */
import type { LoadResult } from "./load.ts";
import type { Scenario } from "./scenarios.ts";
import { median, ratios, type Spread, spread } from "./statistics.ts";

/** One candidate in one scenario. */
export interface Series {
  readonly scenario: string;
  readonly candidate: string;
  /** The figures of load.c, by round; none for a scenario of memory. */
  rounds: LoadResult[];
  /** Messages a second that an open loop asked for; null for a closed one. */
  rate: number | null;
  /** System calls for a message, by name; null where they were not counted. */
  calls: Readonly<Record<string, number>> | null;
  /** Garbage collections for a million messages; null where they were not counted. */
  collections: number | null;
  /** Bytes resident for a connection, by round of a scenario of memory. */
  residentBytes: number[];
  /** The reason why it was given up; null when it was not. */
  failure: string | null;
}

/** A server, as the results name it. */
export interface Entrant {
  readonly name: string;
  readonly title: string;
  readonly isOurs: boolean;
}

/** A whole run. */
export interface Results {
  readonly date: string;
  /** The command that was typed. */
  readonly command: string;
  readonly machine: string;
  readonly serverCpu: number;
  readonly loadCpu: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly candidates: readonly Entrant[];
  readonly scenarios: readonly Scenario[];
  /** Servers and scenarios that were left out, and why. */
  readonly skipped: readonly string[];
  readonly series: readonly Series[];
}

/** The name of the C server: all others are divided by it. */
export const LIMIT_NAME = "c";

/** The summary of one candidate in one scenario. */
export interface Summary {
  /** Microseconds of CPU a message. */
  readonly cpu: Spread;
  /** CPU a message, divided by C's of the same round. */
  readonly cpuRatio: Spread;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** p99, divided by C's of the same round. */
  readonly p99Ratio: Spread;
  /** Bytes a connection. */
  readonly resident: Spread;
}

/** The series of a candidate in a scenario, if it was measured. */
export function seriesOf(
  results: Results,
  scenario: string,
  candidate: string,
): Series | undefined {
  return results.series.find((one) => one.scenario === scenario && one.candidate === candidate);
}

/** Sums up a series; beside C's of the same scenario. */
export function summarize(results: Results, series: Series): Summary {
  const limit = seriesOf(results, series.scenario, LIMIT_NAME);
  const of = (key: "server_us_per_message" | "p50_us" | "p99_us" | "p999_us", from = series) =>
    from.rounds.map((round) => round[key]);
  const against = (key: "server_us_per_message" | "p99_us") =>
    spread(limit === undefined ? [] : ratios(of(key), of(key, limit)));
  return {
    cpu: spread(of("server_us_per_message")),
    cpuRatio: against("server_us_per_message"),
    p50: median(of("p50_us")),
    p99: median(of("p99_us")),
    p999: median(of("p999_us")),
    p99Ratio: against("p99_us"),
    resident: spread(residentOf(results, series)),
  };
}

/** Fewer connections than this do not show beside what a heap does by itself. */
const COUNTED_CONNECTIONS_MIN = 1000;

/** Bytes resident for a connection: weighed, or else what the process grew by under load. */
function residentOf(results: Results, series: Series): number[] {
  if (series.residentBytes.length > 0) return series.residentBytes;
  const scenario = results.scenarios.find((one) => one.name === series.scenario)!;
  const count = scenario.connections + (scenario.idle ?? 0) + (scenario.receivers ?? 0);
  const before = series.rounds[0]?.server_rss_bytes_begin;
  if (count < COUNTED_CONNECTIONS_MIN || before === undefined) return [];
  return series.rounds.map((round) => (round.server_rss_bytes_end! - before) / count);
}
