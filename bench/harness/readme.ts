/**
 * README's table of figures: made from a run, between two marks.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { CANDIDATES } from "./candidates.ts";
import { projectPath } from "./child.ts";
import { type ClientResults, clientTable } from "./clients.ts";
import { figure, table } from "./markdown.ts";
import { type Results, seriesOf, summarize } from "./results.ts";
import { GROUPS } from "./scenarios.ts";

const BEGIN = "<!-- figures:begin -->";
const END = "<!-- figures:end -->";
/** The width of README's lines, as `deno fmt` has it. */
const COLUMNS_MAX = 100;
/** Fewer rounds are for looking, not for README. */
const ROUNDS_MIN = 9;

/** A column of README's table. */
interface Column {
  readonly scenario: string;
  readonly head: string;
  readonly figure: "cpu" | "p99" | "resident";
}

/** README's tables of servers. */
const TABLES: readonly { readonly about: string; readonly columns: readonly Column[] }[] = [
  {
    about: "CPU µs a message (÷ C)",
    columns: [
      { scenario: "64x50", head: "64 B, 50 connections", figure: "cpu" },
      { scenario: "64x1", head: "64 B, 1 connection", figure: "cpu" },
      { scenario: "pipeline", head: "50 connections, 16 in flight on each", figure: "cpu" },
      { scenario: "1mx4", head: "1 MiB, 4 connections", figure: "cpu" },
      { scenario: "churn", head: "connect, echo, close", figure: "cpu" },
      { scenario: "memory", head: "B/idle connection", figure: "resident" },
    ],
  },
  {
    about: "netpoll-benchmark, and tails",
    columns: [
      { scenario: "long100", head: "1 KiB frames, 100 connections", figure: "cpu" },
      { scenario: "mux100", head: "100 in flight over 4", figure: "cpu" },
      { scenario: "delayed", head: "1 in 100 takes 10 ms: CPU", figure: "cpu" },
      { scenario: "delayed", head: "its p99 µs", figure: "p99" },
      { scenario: "rate", head: "p99 µs, same rate for all", figure: "p99" },
    ],
  },
];

/** Puts text between the marks of README. */
export function insertFigures(readme: string, figures: string): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`README has no ${BEGIN} before ${END}`);
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${figures.trim()}\n\n${readme.slice(end)}`;
}

/** The reason why README's table cannot be made from a run; null when it can. */
export function unfitForReadme(
  results: Results,
  everybody: readonly string[] = CANDIDATES.map(({ name }) => name),
): string | null {
  const missing = GROUPS.figures!.filter((name) =>
    !results.scenarios.some((scenario) => scenario.name === name) ||
    results.candidates.some(({ isOurs, name: candidate }) =>
      isOurs && seriesOf(results, name, candidate)?.failure !== null
    )
  );
  if (missing.length > 0) return `it has not all of ${missing.join(", ")}`;
  // A server that was skipped is named below the table, with the reason.
  const named = [
    ...results.candidates.map(({ name }) => name),
    ...results.skipped.map((one) => one.split(":", 1)[0]!),
  ];
  const absent = everybody.filter((name) => !named.includes(name));
  if (absent.length > 0) return `it was made without ${absent.join(", ")}`;
  if (results.rounds < ROUNDS_MIN) return `it has ${results.rounds} rounds, not ${ROUNDS_MIN}`;
  return null;
}

/**
 * Makes README's table from a run; says what it did. A run for looking, of few rounds or scenarios,
 * leaves it as it is.
 */
export function updateReadme(
  results: Results | null,
  clients: ClientResults | null = null,
  path = projectPath("README.md"),
  everybody?: readonly string[],
): string {
  const reason = results === null
    ? "there is none, make bench"
    : unfitForReadme(results, everybody);
  if (reason !== null) return `README stays as it is, the last run is not for it: ${reason}`;
  const before = readFileSync(path, "utf8");
  writeFileSync(path, insertFigures(before, readmeFigures(results!, clients)));
  return `README's table is that of ${results!.date}`;
}

function cell(results: Results, candidate: string, column: Column): string {
  const series = seriesOf(results, column.scenario, candidate);
  if (series === undefined) return "–";
  if (series.failure !== null) return "failed";
  const { cpu, cpuRatio, p99, p99Ratio, resident } = summarize(results, series);
  if (column.figure === "resident") return figure(resident.median, 0);
  if (column.figure === "p99") return `${figure(p99, 0)} (${figure(p99Ratio.median)})`;
  return `${figure(cpu.median)} (${figure(cpuRatio.median)})`;
}

/** Fills lines up to the width that `deno fmt` would. */
function wrap(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && [...line].length + 1 + [...word].length > COLUMNS_MAX) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}

function clientsAbout({ command, date, rounds }: ClientResults): string {
  return `Clients (\`${command}\` on ${date}, medians of ${rounds} rounds): 64 B asked and answered over ` +
    `1 and 50 connections to the C server; "÷ connect" is the ratio to the runtime's own:`;
}

/** The text between the marks: the command, the machine and the date, and the tables. */
export function readmeFigures(results: Results, clients: ClientResults | null = null): string {
  const { command, date, machine, rounds } = results;
  const others = results.scenarios.filter((one) => one.rounds !== rounds)
    .map((one) => `${one.rounds} for ${one.name}`);
  const how = [`${rounds} interleaved rounds`, ...others].join(", ");
  const about = `\`${command}\` on ${date}, ${machine}; medians of ${how}. CPU in µs a message, ` +
    `and in brackets the median of the rounds' ratios to C:`;
  const skipped = results.skipped.length === 0 ? "" : `Left out: ${results.skipped.join("; ")}.`;
  const tables = TABLES.map((one) =>
    table(
      [one.about, ...one.columns.map(({ head }) => head)],
      results.candidates.map(({ name, title, isOurs }) => [
        isOurs ? `**${title}**` : title,
        ...one.columns.map((column) => cell(results, name, column)),
      ]),
    )
  );
  const asked = clients === null ? [] : [wrap(clientsAbout(clients)), clientTable(clients)];
  return [wrap(about), ...tables, ...asked, ...(skipped === "" ? [] : [wrap(skipped)])].join(
    "\n\n",
  );
}
