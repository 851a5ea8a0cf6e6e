/**
 * `metrics()` and its text for Prometheus name the same things by the same words. Each field is changed
 * by itself, and the lines that change are its own.
 */
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  configure,
  ConnectionPool,
  type Metrics,
  metrics,
  type PoolMetrics,
  prometheus,
} from "../../mod.ts";
import { snake } from "../../src/metrics/family.ts";

// deno-lint-ignore no-explicit-any -- a tree of numbers, whatever its names
type Tree = any;

/** Fields that are not written, each for a reason. */
const UNWRITTEN: Readonly<Record<string, RegExp>> = {
  "it says when and who, and Prometheus knows": /^(takenAtMs|process\.pid)$/,
  "the bytes of all calls are bytes.received, and sent_bytes by the call":
    /^calls\.(?!send|sendFile|sendZeroCopy|splice)\w+\.bytes$/,
  "calls and sent_bytes have them, by the call send_zero_copy": /^zeroCopy\.(calls|bytes)$/,
  "Prometheus makes quantiles of the buckets": /^latency\.\w+\.(p\d+|max)Micros$/,
  "quantiles are written of round trips": /^tcp\.rtt\.(count|sumMicros|p999Micros)$/,
  "the longest of all times never goes down again": /^pool\.wait\.maxMs$/,
  "the connections of a pool are written by their state":
    /^pool\.(size|addresses\.0\.(inUse|idle))$/,
  "an address is ejected, or it is not": /^pool\.addresses\.0\.failures$/,
};

/** Fields whose words are others, each for a reason. */
const OTHERWISE: Readonly<Record<string, RegExp>> = {
  "a histogram is called by what it counts": /^poller\.(batches\.\d|events)/,
  "a quantile is called by its number": /^tcp\.rtt\.(p\d+|max)Micros$/,
  "what is in a state is called by the thing": /^pool\.addresses\.0\.size$/,
  "what is left of all bytes was spliced": /^bytes\.sent$/,
};

const is = (rules: Readonly<Record<string, RegExp>>, path: string) =>
  Object.values(rules).some((rule) => rule.test(path));

/** Every number below, by its path. */
function* leavesOf(of: Tree, path: string[] = []): Generator<string[]> {
  for (const [name, value] of Object.entries(of)) {
    if (typeof value === "number") yield [...path, name];
    else if (typeof value === "object" && value !== null) yield* leavesOf(value, [...path, name]);
  }
}

/** The same tree with nothing counted. */
function zeroed(of: Tree): Tree {
  if (Array.isArray(of)) return of.map(zeroed);
  if (typeof of !== "object" || of === null) return typeof of === "number" ? 0 : of;
  return Object.fromEntries(Object.entries(of).map(([name, value]) => [name, zeroed(value)]));
}

/** Values by the name and labels of their lines; buckets left out. */
function linesOf(text: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const samples = lines.map((line) => /^(.*) (\S+)$/.exec(line)!.slice(1) as [string, string]);
  return new Map(samples.filter(([name]) => !name.includes("_bucket{")));
}

interface Input {
  readonly of: Metrics;
  readonly pool: PoolMetrics;
}

function textOf({ of, pool }: Input): string {
  return prometheus(of, { pools: { it: pool } });
}

/** Metrics that have every field, and nothing counted. */
async function everything(): Promise<Input> {
  configure({ measure: true });
  const pool = new ConnectionPool("127.0.0.1:9");
  try {
    return { of: zeroed(metrics()), pool: zeroed(pool.metrics()) };
  } finally {
    await pool.close();
    configure({ measure: false });
  }
}

/** The lines that change with each field. */
async function changes(): Promise<Map<string, string[]>> {
  const zero = await everything();
  const before = linesOf(textOf(zero));
  const paths = [
    ...[...leavesOf(zero.of)].map((path) => ["of", ...path]),
    ...[...leavesOf(zero.pool)].map((path) => ["pool", ...path]),
  ];
  return new Map(paths.map((path) => {
    const one: Tree = structuredClone(zero);
    const parent = path.slice(0, -1).reduce((at, name) => at[name], one);
    parent[path.at(-1)!] = 1_000_000;
    const changed = [...linesOf(textOf(one))].filter(([name, value]) => before.get(name) !== value);
    return [path.join(".").replace(/^of\./, ""), changed.map(([name]) => name)];
  }));
}

/** The words of a field: what its unit says, and whether it only goes up, is said another way. */
function wordsOf(path: string): string[] {
  const names = path.split(".");
  const last = names.at(-1)!;
  const isCount = ["calls", "count", "sumMicros", "sumMs", "bytes"].includes(last);
  // A number of a record, as of calls.send, is called by the record too.
  const field = isCount && names.length > 2 ? names.at(-2)! : last;
  return snake(
    field.replace(/By(?=[A-Z])/, "").replace(/(Count|Micros|Ms)$/, "").replace(/^is(?=[A-Z])/, ""),
  ).split(/[_-]/);
}

const stem = (word: string) => word.toLowerCase().replace(/(es|s|ing)$/, "");

test("each field of metrics() is written, but for those that are excepted with a reason", async () => {
  const found = await changes();
  assert(found.size > 150, `${found.size} fields`);
  const silent = [...found].filter(([, lines]) => lines.length === 0).map(([path]) => path);
  assertEquals(silent.filter((path) => !is(UNWRITTEN, path)), []);
  assertEquals(
    [...found.keys()].filter((path) => is(UNWRITTEN, path) && !silent.includes(path)),
    [],
  );
});

test("each line for Prometheus comes of a field, and has its words", async () => {
  const found = await changes();
  const before = linesOf(textOf(await everything()));
  const written = new Set([...found.values()].flat());
  const unmoved = [...before.keys()].filter((line) => !written.has(line));
  assertEquals(unmoved, [
    'netpoll_pool_address_ejected{pool="it",address="127.0.0.1:9",index="0"}',
  ]);
  const wrong: string[] = [];
  for (const [path, lines] of found) {
    if (lines.length === 0 || is(OTHERWISE, path)) continue;
    const missing = wordsOf(path).filter((word) =>
      !lines.some((line) => line.toLowerCase().includes(stem(word)))
    );
    if (missing.length > 0) wrong.push(`${path} → ${lines.join(" ")}: no ${missing}`);
  }
  assertEquals(wrong, []);
});

test("docs/METRICS.md has every name", async () => {
  const text = readFileSync(new URL("../../docs/METRICS.md", import.meta.url).pathname, "utf8");
  const types = textOf(await everything()).matchAll(/^# TYPE netpoll_(\w+)/gm);
  const names = [...types].map((match) => match[1]!);
  // Those of TCP are in a table whose head has their prefix.
  assertEquals(names.filter((name) => !text.includes(`\`${name.replace(/^tcp_/, "")}`)), []);
});
