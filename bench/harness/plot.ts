/**
 * Pictures of a run, as SVG that we write ourselves. Ink and colours are of middle lightness, and
 * nothing is drawn behind them: they are read on white and on black.
 */
import { figure } from "./markdown.ts";
import { LIMIT_NAME, type Results, type Series, seriesOf, summarize } from "./results.ts";
import type { Scenario } from "./scenarios.ts";
import { median } from "./statistics.ts";

const WIDTH = 920;
const LABEL_WIDTH = 200;
const RIGHT = 180;
const PLOT_WIDTH = WIDTH - LABEL_WIDTH - RIGHT;
const ROW = 20;
const HEAD = 44;
const FOOT = 20;

const INK = "#6e7681";
const GRID = "#6e768150";
const OURS = "#2f81f7";
const OTHERS = "#8b949e";
const LIMIT = "#d1752a";

function escape(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  return text.replace(/[&<>]/g, (one) => entities[one]!);
}

/** Where a thing is, to a tenth of a pixel. */
function at(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function text(x: number, y: number, content: string, more = ""): string {
  return `<text x="${at(x)}" y="${at(y)}"${more}>${escape(content)}</text>`;
}

function vertical(x: number, top: number, bottom: number, more: string): string {
  return `<line x1="${at(x)}" y1="${at(top)}" x2="${at(x)}" y2="${at(bottom)}" ${more}/>`;
}

function picture(title: string, height: number, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img"`,
    `  font-family="sans-serif" font-size="12" fill="${INK}">`,
    `<title>${escape(title)}</title>`,
    ...body,
    "</svg>\n",
  ].join("\n");
}

/** A row of a panel: who, and what was found of him. */
interface Row {
  readonly title: string;
  readonly color: string;
  readonly series: Series;
}

function rowsOf(results: Results, scenario: Scenario): Row[] {
  return results.candidates.flatMap(({ name, title, isOurs }) => {
    const series = seriesOf(results, scenario.name, name);
    if (series === undefined || series.failure !== null || series.rounds.length === 0) return [];
    return [{ title, series, color: name === LIMIT_NAME ? LIMIT : isOurs ? OURS : OTHERS }];
  });
}

function heightOf(rows: readonly Row[]): number {
  return HEAD + rows.length * ROW + FOOT;
}

/** The names at the left; ours are blue, C has the colour of its line. */
function names(rows: readonly Row[], top: number): string[] {
  return rows.map(({ title, color }, i) => {
    const isOther = color === OTHERS;
    const style = isOther ? "" : ` fill="${color}" font-weight="bold"`;
    const y = top + HEAD + i * ROW + ROW * 0.7;
    return text(LABEL_WIDTH - 10, y, title, ` text-anchor="end"${style}`);
  });
}

/** Round numbers up to a largest one, about five of them. */
export function ticks(largest: number): number[] {
  const rough = largest / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough)!;
  const count = Math.floor(largest / step + 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

function scaleLines(
  values: readonly number[],
  x: (value: number) => number,
  [top, bottom]: readonly [number, number],
): string[] {
  return values.flatMap((value) => [
    vertical(x(value), top, bottom, `stroke="${GRID}"`),
    text(x(value), bottom + 14, value.toLocaleString("en"), ` text-anchor="middle"`),
  ]);
}

/** One scenario: a bar for each, with the middle half of its rounds, and a line where C ends. */
function cpuPanel(results: Results, scenario: Scenario, top: number): string[] {
  const rows = rowsOf(results, scenario);
  const summaries = rows.map(({ series }) => summarize(results, series));
  const largest = Math.max(...summaries.map(({ cpu }) => Math.max(cpu.median, cpu.high))) * 1.05;
  const x = (value: number) => LABEL_WIDTH + PLOT_WIDTH * value / largest;
  const ends = [top + HEAD - 4, top + HEAD + rows.length * ROW] as const;
  const bars = rows.flatMap(({ color }, i) => {
    const { cpu, cpuRatio } = summaries[i]!;
    const y = top + HEAD + i * ROW;
    const number = `${figure(cpu.median)} (${figure(cpuRatio.median)} × C)`;
    return [
      `<rect x="${LABEL_WIDTH}" y="${y + 3}" width="${at(x(cpu.median) - LABEL_WIDTH)}" ` +
      `height="${ROW - 6}" fill="${color}" fill-opacity="0.8"/>`,
      `<line x1="${at(x(cpu.low))}" x2="${at(x(cpu.high))}" y1="${y + ROW / 2}" ` +
      `y2="${y + ROW / 2}" stroke="${INK}" stroke-width="3"/>`,
      text(LABEL_WIDTH + PLOT_WIDTH + 8, y + ROW * 0.7, number),
    ];
  });
  const limit = summaries[rows.findIndex(({ series }) => series.candidate === LIMIT_NAME)];
  return [
    text(LABEL_WIDTH, top + 22, `CPU µs a message: ${scenario.title}`, ` font-weight="bold"`),
    ...scaleLines(ticks(largest), x, ends),
    ...names(rows, top),
    ...bars,
    ...(limit === undefined
      ? []
      : [vertical(x(limit.cpu.median), ...ends, `stroke="${LIMIT}" stroke-dasharray="4 3"`)]),
  ];
}

/** Panels below each other, one for each scenario. */
function stack(
  title: string,
  results: Results,
  scenarios: readonly Scenario[],
  panelOf: (results: Results, scenario: Scenario, top: number) => string[],
): string {
  let top = 0;
  const body = scenarios.flatMap((scenario) => {
    const panel = panelOf(results, scenario, top);
    top += heightOf(rowsOf(results, scenario)) + 12;
    return panel;
  });
  return picture(title, top, body);
}

/** Those scenarios that are of a kind and have been measured. */
function measured(results: Results, isWanted: (scenario: Scenario) => boolean): Scenario[] {
  return results.scenarios.filter((one) => isWanted(one) && rowsOf(results, one).length > 0);
}

/** CPU a message of everybody, a panel for each scenario that was timed. */
export function cpuPlot(results: Results): string {
  return stack("CPU a message", results, measured(results, (one) => !one.isMemory), cpuPanel);
}

/** What is drawn of a distribution. */
const PERCENTILES = [
  { key: "p50_us", title: "p50", radius: 3 },
  { key: "p99_us", title: "p99", radius: 4.5 },
  { key: "p999_us", title: "p99.9", radius: 6 },
] as const;

/** One scenario on a scale of powers: three dots for each, and a line at C's p99. */
function latencyPanel(results: Results, scenario: Scenario, top: number): string[] {
  const rows = rowsOf(results, scenario);
  const values = rows.map(({ series }) =>
    PERCENTILES.map(({ key }) => Math.max(1, median(series.rounds.map((round) => round[key]))))
  );
  const low = Math.floor(Math.log10(Math.min(...values.flat())));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values.flat()))));
  const x = (value: number) => LABEL_WIDTH + PLOT_WIDTH * (Math.log10(value) - low) / (high - low);
  const ends = [top + HEAD - 4, top + HEAD + rows.length * ROW] as const;
  const powers = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  const dots = rows.flatMap(({ color }, i) => {
    const y = top + HEAD + i * ROW + ROW / 2;
    const [first, last] = [x(values[i]![0]!), x(values[i]!.at(-1)!)];
    return [
      `<line x1="${at(first)}" x2="${at(last)}" y1="${y}" y2="${y}" stroke="${color}"/>`,
      ...PERCENTILES.map(({ radius }, n) =>
        `<circle cx="${at(x(values[i]![n]!))}" cy="${y}" r="${radius}" fill="${color}"/>`
      ),
      text(
        LABEL_WIDTH + PLOT_WIDTH + 8,
        y + 4,
        values[i]!.map((value) => figure(value, 0)).join(" / "),
      ),
    ];
  });
  const limit = values[rows.findIndex(({ series }) => series.candidate === LIMIT_NAME)]?.[1];
  const title = `Latency in µs, ${PERCENTILES.map((one) => one.title).join(" / ")}: `;
  return [
    text(LABEL_WIDTH, top + 22, title + scenario.title, ` font-weight="bold"`),
    ...scaleLines(powers, x, ends),
    ...names(rows, top),
    ...(limit === undefined
      ? []
      : [vertical(x(limit), ...ends, `stroke="${LIMIT}" stroke-dasharray="4 3"`)]),
    ...dots,
  ];
}

/**
 * Latency of everybody at a rate that does not wait for them; null when a run has no such scenario.
 * A closed loop asks a slow server less: its percentiles are in the tables, not here.
 */
export function latencyPlot(results: Results): string | null {
  const rated = measured(results, (one) => one.rate !== undefined);
  if (rated.length === 0) return null;
  return stack("Latency at a fixed rate", results, rated, latencyPanel);
}
