/**
 * README's table of figures: made from a run, between two marks.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { CANDIDATES } from "./candidates.ts";
import { projectPath } from "./child.ts";
import { figure, table } from "./markdown.ts";
import { LIMIT_NAME, type Results, seriesOf, summarize } from "./results.ts";
import { GROUPS } from "./scenarios.ts";

const BEGIN = "<!-- figures:begin -->";
const END = "<!-- figures:end -->";
/** The width of README's lines, as `deno fmt` has it. */
const COLUMNS_MAX = 100;
/** Fewer rounds are for looking, not for README. */
const ROUNDS_MIN = 9;

/** The scenario that weighs memory and times nothing. */
const MEMORY = "memory";

/** The columns of README's table, by scenario. */
const COLUMNS: readonly { readonly scenario: string; readonly head: string }[] = [
  { scenario: "long100", head: "RPC: 1 KiB frames, 100 connections" },
  { scenario: "mux100", head: "RPC: 100 in flight over 4 connections" },
  { scenario: "64x50", head: "64 B, 50 connections" },
  { scenario: "pipeline", head: "16 in flight on each of them" },
  { scenario: "churn", head: "connect, echo, close" },
  { scenario: MEMORY, head: "bytes of an idle connection" },
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
  path = projectPath("README.md"),
  everybody?: readonly string[],
): string {
  const reason = results === null
    ? "there is none, make bench"
    : unfitForReadme(results, everybody);
  if (reason !== null) return `README stays as it is, the last run is not for it: ${reason}`;
  const before = readFileSync(path, "utf8");
  writeFileSync(path, insertFigures(before, readmeFigures(results!)));
  return `README's table is that of ${results!.date}`;
}

/** A ratio to C, or C's own figure. */
function cell(results: Results, candidate: string, scenario: string): string {
  const series = seriesOf(results, scenario, candidate);
  if (series === undefined) return "–";
  if (series.failure !== null) return "failed";
  const { cpu, cpuRatio, resident } = summarize(results, series);
  if (scenario === MEMORY) return figure(resident.median, 0);
  return candidate === LIMIT_NAME ? `${figure(cpu.median)} µs` : figure(cpuRatio.median);
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

/** The text between the marks: the command, the machine and the date, and the table. */
export function readmeFigures(results: Results): string {
  const { command, date, machine, rounds } = results;
  const others = results.scenarios.filter((one) => one.rounds !== rounds)
    .map((one) => `${one.rounds} for ${one.name}`);
  const how = [`${rounds} interleaved rounds`, ...others].join(", ");
  const about = `\`${command}\` on ${date}, ${machine}; medians of ${how}. CPU of the server's ` +
    `process for a message, as a ratio to the C server of the same round:`;
  const rows = results.candidates.map(({ name, title, isOurs }) => [
    isOurs ? `**${title}**` : title,
    ...COLUMNS.map(({ scenario }) => cell(results, name, scenario)),
  ]);
  const { skipped } = results;
  return [
    wrap(about),
    table(["CPU ÷ C", ...COLUMNS.map(({ head }) => head)], rows),
    ...(skipped.length === 0 ? [] : [wrap(`Left out: ${skipped.join("; ")}.`)]),
  ].join("\n\n");
}
