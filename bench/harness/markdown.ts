/**
 * The figures, to read.
 */
import { type Results, type Series, seriesOf, summarize, type Summary } from "./results.ts";
import type { Scenario } from "./scenarios.ts";
import { mean, median, type Spread } from "./statistics.ts";

/** A Markdown table: the first column to the left, numbers to the right. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...rows.map((row) => row[i]!.length))
  );
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(" | ")} |`;
  const pad = (cell: string, i: number) =>
    i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
  const rule = widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [line(heads), line(rule), ...rows.map(line)].join("\n");
}

/** A number with as many decimals as it has room for; a dash for what was not measured. */
export function figure(value: number, decimals = value < 100 ? 2 : 0): string {
  if (!Number.isFinite(value)) return "–";
  return value.toLocaleString("en", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

/** The median, and in brackets the middle half. */
export function figureAndRange({ median, low, high }: Spread, decimals?: number): string {
  return `${figure(median, decimals)} (${figure(low, decimals)}–${figure(high, decimals)})`;
}

/** The middle half of the rounds. */
function range({ low, high }: Spread): string {
  return Number.isFinite(low) ? `${low.toFixed(2)}–${high.toFixed(2)}` : "–";
}

/** A column: its head, and its cell for a candidate. */
interface Column {
  readonly head: string;
  cell(series: Series, summary: Summary): string;
  /** True when it tells anything in a scenario; always when left out. */
  isIn?(scenario: Scenario): boolean;
}

function middle(series: Series, key: keyof Series["rounds"][number], decimals?: number): string {
  return figure(median(series.rounds.map((round) => round[key] ?? NaN)), decimals);
}

function userAndSystem({ rounds }: Series): string {
  const of = (key: "server_user_us_per_message" | "server_system_us_per_message") =>
    figure(mean(rounds.map((round) => round[key])));
  return rounds.length === 0
    ? "–"
    : `${of("server_user_us_per_message")} / ${of("server_system_us_per_message")}`;
}

function callsOf({ calls }: Series): string {
  if (calls === null) return "–";
  return Object.values(calls).reduce((sum, count) => sum + count, 0).toFixed(2);
}

const isTimed = ({ isMemory }: Scenario) => isMemory === undefined;
const isOpen = ({ rate }: Scenario) => rate !== undefined;
const isClosed = (scenario: Scenario) => isTimed(scenario) && !isOpen(scenario);

const COLUMNS: readonly Column[] = [
  { head: "CPU µs/message", cell: (_, { cpu }) => figure(cpu.median), isIn: isTimed },
  { head: "user / system", cell: userAndSystem, isIn: isTimed },
  { head: "÷ C", cell: (_, { cpuRatio }) => figure(cpuRatio.median, 3), isIn: isTimed },
  { head: "middle half", cell: (_, { cpuRatio }) => range(cpuRatio), isIn: isTimed },
  { head: "p50 µs", cell: (one) => middle(one, "p50_us", 0), isIn: isTimed },
  { head: "p99 µs", cell: (one) => middle(one, "p99_us", 0), isIn: isTimed },
  { head: "p99.9 µs", cell: (one) => middle(one, "p999_us", 0), isIn: isTimed },
  { head: "p99 ÷ C", cell: (_, { p99Ratio }) => figure(p99Ratio.median), isIn: isOpen },
  { head: "middle half", cell: (_, { p99Ratio }) => range(p99Ratio), isIn: isOpen },
  { head: "messages/s", cell: (one) => middle(one, "messages_per_s", 0), isIn: isClosed },
  { head: "messages/s asked", cell: ({ rate }) => figure(rate ?? NaN, 0), isIn: isOpen },
  { head: "CPU %", cell: (one) => middle(one, "server_cpu_percent", 0), isIn: isTimed },
  { head: "calls/message", cell: callsOf, isIn: isClosed },
  {
    head: "collections/M",
    cell: ({ collections }) => figure(collections ?? NaN, 0),
    isIn: isTimed,
  },
  {
    head: "resident B/connection",
    cell: (_, { resident }) => figure(resident.median, 0),
    isIn: ({ connections, idle = 0, receivers = 0 }) => connections + idle + receivers >= 1000,
  },
  {
    head: "peak resident MiB",
    cell: (one) =>
      figure(
        Math.max(...one.rounds.map((round) => round.server_rss_bytes_peak ?? NaN)) / 2 ** 20,
        1,
      ),
    isIn: ({ slow }) => slow !== undefined,
  },
];

function callList({ calls }: Series, title: string): string {
  const often = Object.entries(calls!).filter(([, n]) => n >= 0.01).sort((a, b) => b[1] - a[1]);
  return `- ${title}: ${often.map(([name, n]) => `${name} ${n.toFixed(2)}`).join(", ")}`;
}

/** A scenario: its table, what failed in it, and the system calls behind each message. */
function section(results: Results, scenario: Scenario): string {
  const found = results.candidates.flatMap(({ name, title }) => {
    const series = seriesOf(results, scenario.name, name);
    return series === undefined ? [] : [{ title, series }];
  });
  const columns = COLUMNS.filter(({ isIn }) => isIn === undefined || isIn(scenario));
  const heads = ["server", ...columns.map(({ head }) => head)];
  const rows = found.filter(({ series }) => series.failure === null).map(({ title, series }) => {
    const summary = summarize(results, series);
    return [title, ...columns.map(({ cell }) => cell(series, summary))];
  });
  const failed = found.filter(({ series }) => series.failure !== null)
    .map(({ title, series }) => `- ${title} failed: ${series.failure!.split("\n").at(-1)}`);
  const calls = found.filter(({ series }) => series.calls !== null)
    .map(({ title, series }) => callList(series, title));
  return [
    `### ${scenario.title} (${scenario.name})`,
    table(heads, rows),
    ...(failed.length === 0 ? [] : [failed.join("\n")]),
    ...(calls.length === 0 ? [] : ["System calls for a message:", calls.join("\n")]),
  ].join("\n\n");
}

/** A whole run. */
export function describe(results: Results): string {
  const { date, command, machine, serverCpu, loadCpu, rounds, seconds, skipped } = results;
  return [
    "## What an echo costs",
    [
      `\`${command}\` on ${date}: ${machine}. Server pinned to CPU ${serverCpu}, load to CPU`,
      `${loadCpu}; ${rounds} interleaved rounds of ${seconds} s unless a table says otherwise; every byte`,
      `verified. "÷ C": the median of the rounds' ratios to C, and the range of their middle half.`,
      `bench/README.md says what each column includes.`,
    ].join("\n"),
    ...results.scenarios.map((scenario) => section(results, scenario)),
    ...(skipped.length === 0
      ? []
      : [`Left out:\n\n${skipped.map((one) => `- ${one}`).join("\n")}`]),
  ].join("\n\n");
}
