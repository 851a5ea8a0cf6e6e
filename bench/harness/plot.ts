/**
 * Pictures of a run, as SVG by Apache ECharts. Ink and colours are of middle lightness, and nothing
 * is drawn behind them, because they are read on white and on black.
 */
import { type EChartsOption, init, type SeriesOption } from "echarts";
import { figure } from "./markdown.ts";
import { LIMIT_NAME, type Results, type Series, seriesOf, summarize } from "./results.ts";
import type { Scenario } from "./scenarios.ts";
import { median } from "./statistics.ts";

/** Pixels: the whole width, room for the names of servers at the left and for their numbers at the right. */
interface Layout {
  readonly width: number;
  readonly left: number;
  readonly right: number;
}

const WIDE: Layout = { width: 920, left: 200, right: 190 };
/** A phone shows it without making it smaller. */
const NARROW: Layout = { width: 380, left: 160, right: 45 };
const ROW = 20;
const HEAD = 48;
const FOOT = 40;

const INK = "#6e7681";
const GRID = "#6e768150";
const OURS = "#2f81f7";
const OTHERS = "#8b949e";
const LIMIT = "#d1752a";

/** A server in a scenario. */
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

/** A dashed line through all rows at C's value. */
function limitLine(rows: readonly Row[], values: readonly number[]) {
  const at = values[rows.findIndex(({ series }) => series.candidate === LIMIT_NAME)];
  const lineStyle = { color: LIMIT, type: "dashed" } as const;
  return at === undefined
    ? undefined
    : { silent: true, symbol: "none", label: { show: false }, lineStyle, data: [{ xAxis: at }] };
}

/** A kind of panel. */
interface Kind {
  readonly title: string;
  readonly axis: "value" | "log";
  /** The figures of each row, and the numbers beside it. */
  draw(results: Results, rows: readonly Row[]): { series: SeriesOption[]; numbers: string[] };
}

/** Names of servers; ours are blue, C has the colour of its line. */
const NAME_STYLES = Object.fromEntries(
  [OURS, LIMIT, OTHERS].map((color) => [
    color.slice(1),
    color === OTHERS ? { color: INK } : { color, fontWeight: "bold" as const },
  ]),
);

/** An axis that has a text for each row, at either side. */
function rowAxis(gridIndex: number, position: "left" | "right", texts: readonly string[]) {
  const axisLabel = { interval: 0, color: INK, rich: NAME_STYLES, hideOverlap: false };
  const none = { show: false };
  const data = [...texts];
  return {
    type: "category",
    gridIndex,
    position,
    inverse: true,
    data,
    axisLabel,
    axisTick: none,
    axisLine: none,
  };
}

/** A panel for each scenario, below each other. */
function draw(
  results: Results,
  scenarios: readonly Scenario[],
  kind: Kind,
  { width, left, right }: Layout = WIDE,
): string {
  let top = 0;
  const panels = scenarios.map((scenario, i) => {
    const rows = rowsOf(results, scenario);
    const height = rows.length * ROW;
    const { series, numbers } = kind.draw(results, rows);
    const names = rows.map(({ title, color }) => `{${color.slice(1)}|${title}}`);
    const panel = {
      title: {
        text: `${kind.title}: ${scenario.title}`,
        left: 10,
        top: top + 12,
        textStyle: { fontSize: 13, color: INK },
      },
      grid: { left, right, top: top + HEAD, height },
      x: {
        type: kind.axis,
        gridIndex: i,
        axisLabel: { color: INK },
        splitLine: { lineStyle: { color: GRID } },
      },
      y: [rowAxis(i, "left", names), rowAxis(i, "right", numbers)],
      series: series.map((one) => ({ ...one, xAxisIndex: i, yAxisIndex: 2 * i })),
    };
    top += HEAD + height + FOOT;
    return panel;
  });
  const options = {
    animation: false,
    textStyle: { fontFamily: "sans-serif", color: INK },
    title: panels.map(({ title }) => title),
    grid: panels.map(({ grid }) => grid),
    xAxis: panels.map(({ x }) => x),
    yAxis: panels.flatMap(({ y }) => y),
    series: panels.flatMap(({ series }) => series),
  } as EChartsOption;
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height: top });
  chart.setOption(options);
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg.replaceAll("\n", "");
}

/** Bars of the medians, and on each the middle half of the rounds. */
const CPU: Kind = {
  title: "CPU µs a message",
  axis: "value",
  draw(results, rows) {
    const all = rows.map(({ series }) => summarize(results, series));
    const data = rows.map(({ color }, i) => ({
      value: all[i]!.cpu.median,
      itemStyle: { color, opacity: 0.8 },
    }));
    const markLine = limitLine(rows, all.map(({ cpu }) => cpu.median));
    const whiskers: SeriesOption = {
      type: "custom",
      data: all.map(({ cpu }, i) => [cpu.low, i, cpu.high]),
      renderItem(_, api) {
        const [x1, y1] = api.coord([api.value(0), api.value(1)]);
        const [x2, y2] = api.coord([api.value(2), api.value(1)]);
        return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: INK, lineWidth: 3 } };
      },
    };
    return {
      series: [{ type: "bar", barWidth: ROW - 6, data, markLine }, whiskers],
      numbers: all.map(({ cpu, cpuRatio }) =>
        `${figure(cpu.median)} (${figure(cpuRatio.median)} × C)`
      ),
    };
  },
};

/** Bars of the ratios to C. */
const RATIO: Kind = {
  title: "CPU ÷ C",
  axis: "value",
  draw(results, rows) {
    const ratios = rows.map(({ series }) => summarize(results, series).cpuRatio.median);
    const data = ratios.map((value, i) => ({ value, itemStyle: { color: rows[i]!.color } }));
    const series: SeriesOption = {
      type: "bar",
      barWidth: ROW - 6,
      data,
      markLine: limitLine(rows, ratios),
    };
    return { series: [series], numbers: ratios.map((ratio) => figure(ratio)) };
  },
};

/** Three dots for each, the larger the rarer. */
const PERCENTILES = [["p50_us", 6], ["p99_us", 9], ["p999_us", 12]] as const;

const LATENCY: Kind = {
  title: "Latency in µs, p50 / p99 / p99.9",
  axis: "log",
  draw(_, rows) {
    const all = PERCENTILES.map(([key]) =>
      rows.map(({ series }) => Math.max(1, median(series.rounds.map((round) => round[key]))))
    );
    return {
      series: PERCENTILES.map(([key, symbolSize], n) => ({
        type: "scatter",
        symbolSize,
        data: all[n]!.map((value, i) => ({
          value: [value, i],
          itemStyle: { color: rows[i]!.color },
        })),
        markLine: key === "p99_us" ? limitLine(rows, all[n]!) : undefined,
      })),
      numbers: rows.map((_, i) => all.map((values) => figure(values[i]!, 0)).join(" / ")),
    };
  },
};

/** The scenarios that are of a kind and have been measured. */
function measured(results: Results, isWanted: (scenario: Scenario) => boolean): Scenario[] {
  return results.scenarios.filter((one) => isWanted(one) && rowsOf(results, one).length > 0);
}

/** CPU a message of everybody, a panel for each scenario that was timed. */
export function cpuPlot(results: Results): string {
  return draw(results, measured(results, (one) => !one.isMemory), CPU);
}

/** README's picture, for a phone, too: the first scenario of netpoll-benchmark. */
export function readmePlot(results: Results): string {
  return draw(results, measured(results, ({ name }) => name === "long100"), RATIO, NARROW);
}

/**
 * Latency of everybody at a rate that does not wait for them; null when a run has no such scenario.
 * A closed loop asks a slow server less: its percentiles are in the tables, not here.
 */
export function latencyPlot(results: Results): string | null {
  const rated = measured(results, (one) => one.rate !== undefined);
  return rated.length === 0 ? null : draw(results, rated, LATENCY);
}
