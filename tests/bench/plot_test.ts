import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { cpuPlot, latencyPlot, readmePlot } from "../../bench/harness/plot.ts";
import { benchRun } from "../support/bench_run.ts";

/** The texts of a picture, without markup. */
function textsOf(svg: string): string[] {
  assert(svg.startsWith("<svg ") && svg.trimEnd().endsWith("</svg>"));
  return [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map((one) => one[1]!);
}

function count(texts: readonly string[], text: string): number {
  return texts.filter((one) => one === text).length;
}

test("cpuPlot() has the name and the figures of each server in each timed scenario", () => {
  const texts = textsOf(cpuPlot(benchRun()));
  assertEquals(count(texts, "server bun-async"), 9); // memory has no CPU
  assertEquals(count(texts, "server a&lt;b&gt;&amp;&quot;c&quot;"), 9);
  assertEquals(count(texts, "5.40 (1.00 × C)"), 9);
  assertEquals(count(texts, "20.40 (3.78 × C)"), 9);
});

test("readmePlot() has the ratios of one scenario, as wide as a phone", () => {
  const svg = readmePlot(benchRun());
  const texts = textsOf(svg);
  assertEquals(count(texts, "server bun-async"), 1);
  assertEquals(count(texts, "3.78"), 1);
  assert(/^<svg width="3\d\d"/.test(svg));
});

test("cpuPlot() leaves out who failed", () => {
  const run = benchRun();
  run.series.find(({ candidate }) => candidate === "bun-async")!.failure = "it ended";
  assertEquals(count(textsOf(cpuPlot(run)), "server bun-async"), 8);
});

test("latencyPlot() has the percentiles of each server at a fixed rate, and is nothing without", () => {
  const run = benchRun();
  assertEquals(count(textsOf(latencyPlot(run)!), "54 / 270 / 540"), 2);
  assertEquals(latencyPlot({ ...run, scenarios: run.scenarios.filter((one) => !one.rate) }), null);
});

test("cpuPlot() and latencyPlot() draw a run in which nobody answered in time", () => {
  const run = benchRun(1);
  for (const { rounds } of run.series) {
    if (rounds.length === 0) continue;
    const none = { p50_us: 0, p99_us: 0, p999_us: 0, server_us_per_message: 0, messages: 0 };
    rounds[0] = { ...rounds[0]!, ...none };
  }
  for (const svg of [cpuPlot(run), latencyPlot(run)!]) {
    assertEquals(textsOf(svg).includes("server c"), true);
    assert(!svg.includes("NaN"));
  }
});
