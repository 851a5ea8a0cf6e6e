import { assert, assertEquals, assertGreater, assertMatch, assertThrows } from "@std/assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  configure,
  ConnectionPool,
  type Metrics,
  metrics,
  prometheus,
  socketPair,
} from "../../mod.ts";
import { clusterMetrics } from "../../src/metrics/cluster_metrics.ts";
import { root } from "../support/library.ts";
import { closeAll, receive, send, tcpPair } from "../support/pair.ts";
import { MemorySource } from "../support/pool_bed.ts";

/** One line with a value. */
interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The values in the lines of one name. */
interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"$/;

function parseSample(line: string): Sample {
  const [, name, labels = "", value] = LINE.exec(line) ?? [];
  assert(name !== undefined, `no sample: ${line}`);
  const pairs = labels === "" ? [] : labels.split(",").map((text) => {
    const [, key, held] = LABEL.exec(text) ?? [];
    assert(key !== undefined, `no label: ${text} in ${line}`);
    return [key, held!] as const;
  });
  assertEquals(new Set(pairs.map(([key]) => key)).size, pairs.length, `a label twice: ${line}`);
  assert(value === "+Inf" || Number.isFinite(Number(value)), `no number: ${line}`);
  return { name: name!, labels: Object.fromEntries(pairs), value: Number(value) };
}

/**
 * Reads the format as Prometheus does, and holds it to its rules: one HELP and one TYPE a name,
 * before its samples, which stand together; no sample twice; the text ends with a line's end.
 */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current = "";
  assert(text.endsWith("\n"), "the last line has no end");
  const lines = text.slice(0, -1).split("\n");
  for (let i = 0; i < lines.length; i++) {
    const [, name, help] = /^# HELP (\S+) (.+)$/.exec(lines[i]!) ?? [];
    if (name !== undefined) {
      assertMatch(name, NAME);
      assert(!families.has(name), `${name} comes twice`);
      const [, typed, type] = /^# TYPE (\S+) (\S+)$/.exec(lines[++i]!) ?? [];
      assertEquals(typed, name);
      assert(["counter", "gauge", "histogram", "summary"].includes(type!), `no type: ${type}`);
      families.set(current = name, { type: type!, help: help!, samples: [] });
      continue;
    }
    const sample = parseSample(lines[i]!);
    const { type, samples } = families.get(current)!;
    const base = type === "histogram"
      ? sample.name.replace(/_(bucket|sum|count)$/, "")
      : sample.name;
    assertEquals(base, current, "a sample stands with its name");
    const key = lines[i]!.slice(0, lines[i]!.lastIndexOf(" "));
    assert(!seen.has(key), `${key} comes twice`);
    // Prometheus keeps these two labels for these two types.
    assertEquals("quantile" in sample.labels, type === "summary", key);
    if ("le" in sample.labels) assertEquals(type, "histogram", key);
    seen.add(key);
    samples.push(sample);
  }
  return families;
}

function valueOf(families: Map<string, Family>, name: string, labels: object = {}): number {
  const found = families.get(name)?.samples.filter((sample) =>
    JSON.stringify(sample.labels) === JSON.stringify(labels)
  );
  assertEquals(found?.length, 1, `${name} ${JSON.stringify(labels)}`);
  return found![0]!.value;
}

test("prometheus() writes what Prometheus reads: every family once, counters named so", () => {
  const families = parse(prometheus(metrics()));
  assertGreater(families.size, 30);
  for (const [name, { type, samples, help }] of families) {
    assertMatch(name, /^netpoll_[a-z_]+$/);
    assertEquals(name.endsWith("_total"), type === "counter", name);
    assertMatch(help, /^[A-Z].*\.$/);
    for (const { value } of samples) assert(value >= 0, `${name} ${value}`);
    assert(!/_(ms|micros|kb|mb)(_|$)/.test(name), `${name} is in no base unit`);
  }
});

test("prometheus() writes what Prometheus reads of everything that is measured", async () => {
  const [a, b] = await tcpPair();
  configure({ measure: true });
  try {
    await send(a, "hello");
    await receive(b, 5);
    const families = parse(prometheus(metrics()));
    assertEquals(families.get("netpoll_tcp_rtt_seconds")?.samples.length, 4);
    assertEquals(families.get("netpoll_handler_seconds")?.type, "histogram");
  } finally {
    configure({ measure: false });
    await closeAll(a, b);
  }
});

test("prometheus() has the values of the metrics, in base units", async () => {
  const [a, b] = socketPair();
  await send(a, "hello");
  await receive(b, 5);
  const of = metrics();
  const families = parse(prometheus(of));
  assertEquals(valueOf(families, "netpoll_connections_active"), of.connections.activeCount);
  assertEquals(valueOf(families, "netpoll_received_bytes_total"), of.calls.receive.bytes);
  assertEquals(
    valueOf(families, "netpoll_calls_total", { call: "send_zero_copy" }),
    of.calls.sendZeroCopy.calls,
  );
  assertEquals(
    valueOf(families, "netpoll_process_cpu_seconds_total", { mode: "user" }),
    of.process.userMicros / 1e6,
  );
  assertEquals(valueOf(families, "netpoll_process_uptime_seconds"), of.process.uptimeMs / 1000);
  await closeAll(a, b);
});

test("prometheus() writes waits as a histogram: cumulative, and ended by +Inf", () => {
  const of = metrics();
  of.poller.batches = [4, 3, 2, 1];
  of.poller.events = 12;
  const { samples } = parse(prometheus(of)).get("netpoll_events_per_wait")!;
  assertEquals(samples.map(({ name, labels: { le }, value }) => [name.slice(24), le, value]), [
    ["bucket", "0", 4],
    ["bucket", "1", 7],
    ["bucket", "3", 9],
    ["bucket", "7", 10],
    ["bucket", "+Inf", 10],
    ["sum", undefined, 12],
    ["count", undefined, 10],
  ]);
});

test("prometheus() has errors by their names, and no sample while there are none", () => {
  const of = metrics();
  of.errors = {};
  assertEquals(parse(prometheus(of)).get("netpoll_errors_total")!.samples, []);
  of.errors = { ECONNRESET: 3, EMFILE: 1 };
  const families = parse(prometheus(of));
  assertEquals(valueOf(families, "netpoll_errors_total", { code: "ECONNRESET" }), 3);
  assertEquals(valueOf(families, "netpoll_errors_total", { code: "EMFILE" }), 1);
});

function ofCluster(): string {
  const [main, worker] = [metrics(), metrics()] as [Metrics, Metrics];
  worker.connections.activeCount = 7;
  return prometheus(clusterMetrics(main, [
    { index: 0, connectionCount: 7, pendingCount: 2, metrics: worker },
    { index: 1, connectionCount: 9, pendingCount: 5, metrics: null },
  ]));
}

test("prometheus() of a cluster has a label for each poller, and the process once", () => {
  const families = parse(ofCluster());
  assertEquals(valueOf(families, "netpoll_connections_active", { poller: "0" }), 7);
  assertEquals(
    valueOf(families, "netpoll_calls_total", { poller: "main", call: "open" }) >= 0,
    true,
  );
  assertEquals(families.get("netpoll_process_resident_bytes")!.samples.length, 1);
  assertEquals(valueOf(families, "netpoll_poller_up", { poller: "0" }), 1);
  assertEquals(valueOf(families, "netpoll_poller_up", { poller: "1" }), 0);
  assertEquals(valueOf(families, "netpoll_poller_pending", { poller: "1" }), 5);
  assertEquals(families.get("netpoll_turns_total")!.samples.length, 2);
});

/** A pool of two addresses with one that is out, one that lies idle and one that waits. */
async function withPool(run: (pool: ConnectionPool) => void): Promise<void> {
  const source = new MemorySource();
  const pool = new ConnectionPool([source.connect, source.connect], { max: 2 });
  const leases = [await pool.acquire(), await pool.acquire()];
  const waiting = pool.acquire();
  leases[0]!.connection.writer.writeString("unclean");
  leases[0]!.release();
  leases[0] = await waiting;
  const late = pool.acquire({ timeoutMs: 1 }).catch(() => {});
  await late;
  leases[1]!.release();
  run(pool);
  await pool.close();
  for (const peer of source.peers) await peer.close({ timeoutMs: 0 });
}

/** The text with a pool. */
async function ofPool(): Promise<string> {
  let text = "";
  await withPool((pool) => text = prometheus(metrics(), { pools: { db: pool.metrics() } }));
  return text;
}

test("prometheus() has the values of the pools that it is given, each by its name", async () => {
  await withPool((pool) => {
    const of = pool.metrics();
    const pools = { db: of, 'a "b"\\\n': of };
    const families = parse(prometheus(metrics(), { pools }));
    const value = (name: string, labels: object = {}) =>
      valueOf(families, `netpoll_pool_${name}`, { pool: "db", ...labels });
    assertEquals(value("connections", { state: "in_use" }), 1);
    assertEquals(value("connections", { state: "idle" }), 1);
    assertEquals(value("waiting"), 0);
    assertEquals([value("acquired_total"), value("waits_total")], [3, 3]);
    assertEquals(value("wait_seconds_total"), of.wait.sumMs / 1000);
    assertEquals(value("connections_created_total"), 3);
    assertEquals(value("connections_closed_total", { reason: "unclean" }), 1);
    assertEquals(value("failures_total", { operation: "acquire" }), 1);
    const sizes = [0, 1].map((i) =>
      value("address_connections", { address: "connect", index: `${i}` })
    );
    assertEquals(sizes.reduce((sum, size) => sum + size), 2);
    const names = families.get("netpoll_pool_waiting")!.samples.map(({ labels }) => labels.pool);
    assertEquals(names, ["db", 'a \\"b\\"\\\\\\n']);
  });
  assertEquals(prometheus(metrics(), {}).includes("netpoll_pool"), false);
  for (const pools of [null, 5, { db: null }, { db: {} }, { db: metrics() }]) {
    assertThrows(() => prometheus(metrics(), { pools } as never), TypeError);
  }
});

test("prometheus() has no family that docs/METRICS.md does not explain", async () => {
  const page = readFileSync(`${root}docs/METRICS.md`, "utf8");
  const explained = new Set(page.matchAll(/`([a-z_]+)(?:\{[a-z]+\})?`/g).map(([, name]) => name));
  const families = [...parse(ofCluster()).keys(), ...parse(await ofPool()).keys()];
  const names = families.map((name) => name.replace("netpoll_", ""));
  assertEquals(names.filter((name) => !explained.has(name)), []);
});

const PROMTOOL = spawnSync("promtool", ["--version"]).error === undefined
  ? false
  : "needs promtool (Debian's package prometheus)";

test("prometheus() passes promtool check metrics", { skip: PROMTOOL }, async () => {
  for (const text of [prometheus(metrics()), ofCluster(), await ofPool()]) {
    const checked = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
    assertEquals([checked.status, checked.stdout + checked.stderr], [0, ""]);
  }
});

test("parse() refuses what is malformed, so that the tests above can fail", () => {
  const refused = (text: string) => {
    try {
      parse(text);
      return false;
    } catch {
      return true;
    }
  };
  const head = "# HELP a_total Help.\n# TYPE a_total counter\n";
  assertEquals(refused(`${head}a_total{b="c"} 1\n`), false);
  assert(refused(`${head}a_total{b="c"} 1`), "no end");
  assert(refused(`${head}a_total{b="c"} 1\na_total{b="c"} 2\n`), "twice");
  assert(refused(`${head}a_total{b=c} 1\n`), "no quotes");
  assert(refused(`${head}b_total 1\n`), "another name");
  assert(refused(`${head}a_total x\n`), "no number");
  assert(refused(head + head), "a family twice");
  assert(refused("# HELP a_total Help.\na_total 1\n"), "no type");
});
