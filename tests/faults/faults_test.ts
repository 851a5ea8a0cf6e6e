import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { run } from "../support/child.ts";
import { FAULT_KINDS, faultTest } from "../support/faults.ts";
import { libraryPath } from "../support/library.ts";
import { effectsOf, LATE, numberOf, SHORT } from "./errnos.ts";
import { type Calls, describeInjections, type Extent, parseInjections, planOf } from "./plan.ts";

faultTest("every error of the table has a number", () => {
  const effects = new Set(FAULT_KINDS.flatMap(effectsOf));
  for (const effect of effects) {
    if (effect !== LATE && effect !== SHORT) assertEquals(numberOf(effect) > 0, true, effect);
  }
});

const CALLS: Calls = [["recv", 500], ["send", 3], ["pipe", 1]];
const EXTENT: Extent = { seed: 1, first: 1, later: 2, several: 5, isShuffled: false };

/** The calls at which a fault is injected, in order. */
function placesOf(plan: ReturnType<typeof planOf>, call: string, effect: string): number[] {
  return plan.filter((faults) => faults.length === 1).flat()
    .filter((one) => one.call === call && one.effect === effect && one.count === undefined)
    .map(({ at }) => at).sort((a, b) => a - b);
}

test("planOf() has each effect at each of the first 200 calls, or at the first and at later ones", () => {
  const all = planOf(CALLS, "all", EXTENT);
  const sample = planOf(CALLS, "sample", EXTENT);
  for (const [call, count] of CALLS) {
    for (const effect of effectsOf(call)) {
      const reach = Math.min(count, 200);
      assertEquals(placesOf(all, call, effect), Array.from({ length: reach }, (_, at) => at));
      const some = placesOf(sample, call, effect);
      assertEquals([some.length, some[0]], [Math.min(reach, 3), 0]);
    }
  }
  assertEquals(sample.slice(-2).every((faults) => faults.every(({ count }) => count! > 0)), true);
});

test("planOf() is the same for the same seed, in a random order too, and another for another", () => {
  for (const isShuffled of [false, true]) {
    const plan = planOf(CALLS, "sample", { ...EXTENT, isShuffled });
    assertEquals(planOf(CALLS, "sample", { ...EXTENT, isShuffled }), plan);
    assertNotEquals(planOf(CALLS, "sample", { ...EXTENT, isShuffled, seed: 2 }), plan);
  }
  const singles = (isShuffled: boolean) => {
    const plan = planOf(CALLS, "all", { ...EXTENT, isShuffled, several: isShuffled ? 1 : 0 });
    return plan.filter((faults) => faults.length === 1 && faults[0]!.count === undefined)
      .map(describeInjections).sort();
  };
  assertEquals(singles(true), singles(false));
});

test("parseInjections() reads what describeInjections() has written, and refuses the rest", () => {
  for (const faults of planOf(CALLS, "sample", EXTENT)) {
    const read = parseInjections(describeInjections(faults));
    assertEquals(read, faults.map((one) => ({ count: 1, ...one })));
  }
  for (const text of ["", "recv", "recv:EIO", "recv:EIO:x", "recv:ENOSPC:1", "nothing:EIO:1"]) {
    assertThrows(() => parseInjections(text), TypeError, "is no fault");
  }
});

// In a process of its own: in a test, what reaches nobody ends the tests.
for (
  const [call, what, scenarios] of [
    ["recv", "receive", "echoSync,framed,drain,datagramUnreachable"],
    ["send", "datagram that is sent", "datagramTrains,datagramUnreachable"],
  ] as const
) {
  faultTest(
    `scenarios end in the right bytes or a typed error, whichever ${what} fails`,
    async () => {
      const { code, stdout, stderr } = await run("tests/faults/run.ts", {
        args: ["--several", "0", "--scenario", scenarios, "--call", call],
        env: { NETPOLL_LIB: libraryPath },
        timeoutMs: 50_000,
      });
      assertEquals(code, 0, stdout + stderr);
    },
  );
}
