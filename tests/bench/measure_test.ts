import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { absence, type Candidate, CANDIDATES, LIMIT } from "../../bench/harness/candidates.ts";
import { canAnswer, DEFAULT_SECONDS, type Plan, roundsOf } from "../../bench/harness/measure.ts";
import { select } from "../../bench/harness/options.ts";
import { scenariosOf } from "../../bench/harness/scenarios.ts";

const plan: Plan = {
  scenarios: scenariosOf("figures"),
  candidates: CANDIDATES,
  rounds: null,
  ...DEFAULT_SECONDS,
  traced: [],
  serverCpu: 0,
  loadCpu: 1,
};

function named(name: string) {
  return scenariosOf(name)[0]!;
}

test("roundsOf() is at least 9 for what is timed, 15 for a tail, fewer only when asked", () => {
  assertEquals(roundsOf(plan, named("64x50")), 9);
  assertEquals(roundsOf(plan, named("rate80")), 15);
  assertEquals(roundsOf({ ...plan, rounds: 2 }, named("rate80")), 2);
  assertEquals(roundsOf({ ...plan, rounds: 20 }, named("64x50")), 20);
});

test("DEFAULT_SECONDS let the default run measure for 15 minutes at most, with everybody", () => {
  const seconds = plan.scenarios.reduce((sum, scenario) => {
    const each = (plan.seconds + plan.warmupSeconds + 0.1) * (scenario.stretch ?? 1);
    const candidates = CANDIDATES.filter((one) => canAnswer(one, scenario)).length;
    return sum + candidates * roundsOf(plan, scenario) * (scenario.isMemory ? 4.5 : each);
  }, 0);
  assert(seconds < 15 * 60, `${seconds} s`);
});

test("canAnswer() leaves out who would fill the memory, and who has not the mode", () => {
  const unbounded: Candidate = { ...LIMIT, isUnbounded: true, modes: ["echo", "framed"] };
  assertEquals(canAnswer(unbounded, named("long100")), true);
  assertEquals(canAnswer(unbounded, named("slow")), false);
  assertEquals(canAnswer(unbounded, named("broadcast")), false);
  assertEquals(canAnswer(LIMIT, named("slow")), true);
});

test("absence() names the toolchain that is missing, or the target that builds", () => {
  const nothing: Candidate = { ...LIMIT, argv: () => ["/nowhere/at-all"], build: "all-of-it" };
  assertEquals(absence(nothing), "not built: make -C bench all-of-it");
  assertEquals(absence({ ...nothing, needs: "no-such-tool" }), "no no-such-tool");
  assertEquals(absence({ ...nothing, argv: () => ["/bin/sh"] }), null);
});

test("select() keeps the table's order and names what it does not know", () => {
  assertEquals(select(CANDIDATES, "bun-sync,c").map(({ name }) => name), ["c", "bun-sync"]);
  assertThrows(() => select(CANDIDATES, "c,dune"), Error, "Unknown: dune");
});
