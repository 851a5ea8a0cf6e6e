import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import {
  type Book,
  changes,
  recordOf,
  recordOfMicro,
  serialize,
} from "../../bench/harness/record.ts";
import { benchRun } from "../support/bench_run.ts";

const COSTS = { "c": 5, "bun-sync": 6, "deno-sync": 7 };

test("recordOf() keeps ratios to C, p99 at a fixed rate, and memory; nothing of who failed", () => {
  const run = benchRun(9, COSTS);
  const { figures } = recordOf(run);
  assertEquals(figures["64x50 bun-sync CPU ÷ C"]!.median.toFixed(3), "1.185");
  assertEquals(figures["rate bun-sync p99 ÷ C"]!.median.toFixed(3), "1.185");
  assertEquals(figures["memory bun-sync B/connection"]!.median, 606);
  assertEquals(figures["64x50 c CPU ÷ C"], undefined);
  run.series.find(({ candidate }) => candidate === "bun-sync")!.failure = "it ended";
  assertEquals(recordOf(run).figures["64x1 bun-sync CPU ÷ C"], undefined);
});

test("changes() finds what became slower, the worst first, and what became faster", () => {
  const before = recordOf(benchRun(9, COSTS)).figures;
  const after = recordOf(benchRun(9, { "c": 5, "bun-sync": 8, "deno-sync": 6 })).figures;
  const found = changes(before, after);
  assert(found[0]!.name.includes("bun-sync") && found[0]!.ratio > 1.2);
  assert(found.at(-1)!.name.includes("deno-sync") && found.at(-1)!.ratio < 0.9);
});

test("changes() is silent when the middle halves touch, or a figure is new", () => {
  const before = recordOf(benchRun(9, COSTS)).figures;
  assertEquals(changes(before, before), []);
  assertEquals(changes({}, before), []);
  const one = { median: 2, low: 1, high: 3 };
  assertEquals(changes({ one }, { one: { median: 4, low: 3, high: 5 } }), []);
  assertEquals(changes({ one }, { one: { median: 4, low: 3.1, high: 5 } }).length, 1);
});

test("changes() finds none between a run of one round and its record, which is rounded", () => {
  const record = recordOf(benchRun(1, COSTS));
  const kept = JSON.parse(serialize({ figures: record })) as Book;
  assertEquals(changes(kept.figures!.figures, record.figures), []);
});

test("serialize() is read back as what it was, with a line for a figure", () => {
  const micro = recordOfMicro({
    date: "2026-01-02",
    command: "make -C bench micro",
    machine: "2 cores",
    samples: [{ name: "block: take", runtime: "bun", nanos: [3, 1, 2] }],
  });
  const book: Book = { figures: recordOf(benchRun(9, COSTS)), micro };
  const text = serialize(book);
  const back = JSON.parse(text) as Book;
  assertEquals(back.micro, micro);
  assertEquals(Object.keys(back.figures!.figures), Object.keys(book.figures!.figures));
  assert(text.split("\n").some((line) => /^ +"block: take bun ns": \{.*\}$/.test(line)));
});
