import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { test } from "node:test";
import { patch, readSources } from "./copy.ts";
import { machine } from "./machine.ts";
import { changesOf, MUTANTS } from "./mutants.ts";
import { again, simulate } from "./simulate.ts";

/** Schedules of one test; fewer where the machine is slow. */
const SCHEDULES = 2000;
const TEST_MS = 5000;
const MUTANT_MS = 20_000;

/** Runs schedules from a seed on; fails with the first that is wrong. */
async function run(seed: number): Promise<void> {
  const endMs = performance.now() + TEST_MS;
  const { count, findings } = await simulate({ seed, count: SCHEDULES, endMs, findingsMax: 1 });
  const wrong = findings.map((each) => `${again(each.seed)}: ${each.violation.message}`);
  assertEquals(wrong, []);
  assertGreater(count, 0);
}

test("schedules of known seeds: every byte, promise, descriptor, block and timer", () => run(1));

// Other seeds are for "make simulate": what they find must not depend on which change is at the gate.
test("schedules of other known seeds", () => run(0x5eed));

/** All that happens in some schedules. */
async function traced(seed: number): Promise<string[]> {
  const lines: string[] = [];
  let begin = 0;
  machine.trace = (line) => {
    // A schedule begins wherever the clock is.
    if (lines.length === 0) begin = machine.nowMicros;
    lines.push(`${machine.nowMicros - begin} ${line}`);
  };
  try {
    await simulate({ seed, count: 1, endMs: Infinity, findingsMax: 1 });
  } finally {
    machine.trace = null;
  }
  return lines;
}

test("a seed gives the same schedule, whatever ran before it", async () => {
  const first = await traced(77);
  await simulate({ seed: 60, count: 17, endMs: Infinity, findingsMax: 1 });
  assertEquals(await traced(77), first);
  assertGreater(first.length, 10);
});

/** Faults that few schedules find. */
const OFTEN = [
  "a short send",
  "a pipe is closed twice",
  "nobody goes on",
  "the waker is not armed",
];

for (const part of OFTEN) {
  const mutant = MUTANTS.find(({ name }) => name.startsWith(part))!;
  test(`a planted fault is found: ${mutant.name}`, async () => {
    const endMs = performance.now() + MUTANT_MS;
    const { findings } = await simulate(
      { seed: 1, count: 2000, endMs, findingsMax: 1 },
      changesOf(mutant),
    );
    assertEquals(findings.length, 1);
  });
}

test("every planted fault has its place in the sources", () => {
  for (const change of MUTANTS.flatMap(changesOf)) patch(readSources(), change);
});

test("patch() says what to do when a text is not there, or twice", () => {
  const sources = new Map([["a.ts", "one two two"]]);
  assertEquals(patch(sources, { search: "one", replacement: "$&" }), "a.ts");
  assertEquals(sources.get("a.ts"), "$& two two");
  for (const search of ["two", "none"]) {
    assertThrows(
      () => patch(sources, { search, replacement: "" }),
      Error,
      "change the search text",
    );
  }
  assert(sources.get("a.ts")!.includes("two two"));
});
