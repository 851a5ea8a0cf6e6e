/**
 * A run of the benches that never was: figures that a test can foretell.
 */
import type { LoadResult } from "../../bench/harness/load.ts";
import type { Results, Series } from "../../bench/harness/results.ts";
import { GROUPS, SCENARIOS } from "../../bench/harness/scenarios.ts";

/** CPU a message of each server, in µs; a round adds a tenth of a µs to it. */
const COSTS: Readonly<Record<string, number>> = {
  "c": 5,
  "bun-sync": 6,
  "bun-async": 7,
  "deno-sync": 6,
  "deno-async": 8,
  'a<b>&"c"': 20,
};

function round(cpu: number, number: number): LoadResult {
  const cost = cpu + number / 10;
  return {
    messages: 1000,
    messages_per_s: 1e6 / cost,
    p50_us: 10 * cost,
    p99_us: 50 * cost,
    p999_us: 100 * cost,
    max_us: 1000 * cost,
    dropped: 0,
    server_us_per_message: cost,
    server_user_us_per_message: cost / 4,
    server_system_us_per_message: 3 * cost / 4,
    server_cpu_percent: 99,
    client_cpu_percent: 50,
  };
}

/** So many rounds of everybody in the scenarios of README. */
export function benchRun(rounds = 9, costs: Readonly<Record<string, number>> = COSTS): Results {
  const scenarios = SCENARIOS.filter(({ name }) => GROUPS.figures!.includes(name));
  const series = scenarios.flatMap((scenario) =>
    Object.entries(costs).map(([candidate, cpu]): Series => ({
      scenario: scenario.name,
      candidate,
      rounds: scenario.isMemory ? [] : Array.from({ length: rounds }, (_, i) => round(cpu, i)),
      rate: scenario.rate === undefined ? null : 100_000,
      calls: { sendto: 1, recvfrom: 1.5, futex: 0.001 },
      collections: 12,
      residentBytes: scenario.isMemory ? [100 * cpu, 101 * cpu, 102 * cpu] : [],
      failure: null,
    }))
  );
  return {
    date: "2026-01-02",
    command: "make bench",
    machine: "2 cores",
    serverCpu: 0,
    loadCpu: 1,
    rounds,
    seconds: 1,
    warmupSeconds: 0.1,
    candidates: Object.keys(costs).map((name) => ({
      name,
      title: `server ${name}`,
      isOurs: /-a?sync$/.test(name),
    })),
    scenarios: scenarios.map((one) => ({ ...one, rounds: one.rounds ?? rounds })),
    skipped: ["other: no toolchain"],
    series,
  };
}
