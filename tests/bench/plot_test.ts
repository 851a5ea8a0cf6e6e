import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { cpuPlot, latencyPlot, ticks } from "../../bench/harness/plot.ts";
import { benchRun } from "../support/bench_run.ts";

/** The names of a document's elements, if they are nested well and nothing is left to escape. */
function elementsOf(xml: string): string[] {
  const open: string[] = [];
  const all: string[] = [];
  let end = 0;
  for (const tag of xml.matchAll(/<(\/?)(\w+)((?:\s+[\w-]+="[^"<]*")*)\s*(\/?)>/g)) {
    assert(!/[<>]|&(?!amp;|lt;|gt;)/.test(xml.slice(end, tag.index)), "text is escaped");
    end = tag.index + tag[0].length;
    const [, isEnd, name, , isEmpty] = tag;
    if (isEnd) assertEquals(open.pop(), name);
    else {
      all.push(name!);
      if (!isEmpty) open.push(name!);
    }
  }
  assertEquals(open, []);
  assertEquals(xml.slice(end).trim(), "");
  return all;
}

function count(xml: string, name: string): number {
  return elementsOf(xml).filter((one) => one === name).length;
}

test("cpuPlot() is well-formed, with a bar for each server in each timed scenario", () => {
  const run = benchRun();
  const svg = cpuPlot(run);
  assertEquals(count(svg, "svg"), 1);
  assertEquals(count(svg, "rect"), 6 * 9); // memory has no CPU
  assert(svg.includes('server a&lt;b&gt;&amp;"c"'));
});

test("cpuPlot() draws what was measured: lengths are as the medians are", () => {
  const svg = cpuPlot(benchRun());
  const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map((one) => Number(one[1]));
  assert(Math.abs(widths[1]! / widths[0]! - 6.4 / 5.4) < 0.01);
  assert(Math.abs(widths[5]! / widths[0]! - 20.4 / 5.4) < 0.01);
  assert(svg.includes("5.40 (1.00 × C)") && svg.includes("6.40 (1.19 × C)"));
});

test("cpuPlot() leaves out who failed", () => {
  const run = benchRun();
  run.series.find(({ candidate }) => candidate === "bun-sync")!.failure = "it ended";
  assertEquals(count(cpuPlot(run), "rect"), 6 * 9 - 1);
});

test("latencyPlot() has three dots for each server at a fixed rate, further apart the slower", () => {
  const svg = latencyPlot(benchRun())!;
  assertEquals(count(svg, "circle"), 2 * 3 * 6);
  const places = [...svg.matchAll(/cx="([\d.]+)"/g)].map((one) => Number(one[1]));
  assert(places[0]! < places[1]! && places[1]! < places[2]!);
  assert(places[2]! < places.at(-1)!);
  assert(svg.includes("54 / 270 / 540"));
});

test("latencyPlot() is nothing when no rate was asked for", () => {
  const run = benchRun();
  assertEquals(latencyPlot({ ...run, scenarios: run.scenarios.filter((one) => !one.rate) }), null);
});

test("cpuPlot() and latencyPlot() are well-formed when nobody answered in time", () => {
  const run = benchRun(1);
  for (const { rounds } of run.series) {
    if (rounds.length === 0) continue;
    const none = { p50_us: 0, p99_us: 0, p999_us: 0, server_us_per_message: 0, messages: 0 };
    rounds[0] = { ...rounds[0]!, ...none };
  }
  assertEquals([count(cpuPlot(run), "svg"), count(latencyPlot(run)!, "svg")], [1, 1]);
});

test("ticks() are round numbers from 0 up to the largest value", () => {
  assertEquals(ticks(21), [0, 5, 10, 15, 20]);
  assertEquals(ticks(1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
});
