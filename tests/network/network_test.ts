/**
 * A few small trials of `make network`, which has them all.
 */
import { assertEquals, assertGreater, assertRejects } from "@std/assert";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { lacks } from "../support/tool.ts";
import { Bed, findObstacle } from "./bed.ts";
import { Sink, Source } from "./source.ts";
import { SCENARIOS } from "./scenarios.ts";
import { type Outcome, runTrial } from "./trial.ts";

const TRIAL_MS_MAX = 50_000;
const KIB = 1024;
/** They wait for the network most of the time. */
const TRIALS_AT_ONCE = 6;
const obstacle = findObstacle();
if (obstacle !== "") console.error(`SKIPPED: bad networks: ${obstacle}`);

/** The longest first. */
const TRIALS: readonly [scenario: string, condition: string, bytes?: number][] = [
  ["close-deadline-zero-copy", "clear"],
  ["write-deadline", "clear"],
  ["vanish", "clear"],
  ["idle-deadline", "clear"],
  ["zero-copy", "bad"],
  ["dial-deadline", "clear"],
  ["reboot", "clear"],
  ["echo", "loss-10"],
  ["proxy", "duplicate"],
  ["file", "loss-5"],
  ["mux", "small"],
  ["dial", "reorder"],
  ["node", "loss-5"],
  ["curl", "slow", 32 * KIB],
  ["datagrams", "bad"],
  ["datagram-batches", "loss-5"],
  ["datagram-trains", "reorder"],
];

/** All of them begin with the first test that asks for one. */
let outcomes: readonly Promise<Outcome>[] | null = null;

function startAll(): readonly Promise<Outcome>[] {
  const results = TRIALS.map(() => Promise.withResolvers<Outcome>());
  let next = 0;
  const work = async () => {
    for (let n = next++; n < TRIALS.length; n = next++) {
      const [scenario, condition, bytes = 64 * KIB] = TRIALS[n]!;
      const { promise, resolve } = results[n]!;
      resolve(runTrial({ scenario, condition, bytes, seed: 1, timeoutMs: TRIAL_MS_MAX }));
      await promise.catch(() => {}); // its own test tells of it
    }
  };
  for (let i = 0; i < TRIALS_AT_ONCE; i++) void work();
  return results.map(({ promise }) => promise);
}

/** A test in a bed; skipped, and said so, where there can be none. */
function bedTest(name: string, run: () => Promise<void>, lacking: string | false = false): void {
  test(name, { skip: obstacle || lacking, timeout: TRIAL_MS_MAX + 5000 }, run);
}

test("Sink.add() fails at the first byte that is another, so that a trial can fail", async () => {
  const sink = new Sink(1);
  sink.add(new Source(1).take(10));
  const other = new Source(1).take(20).subarray(10);
  other[3]! ^= 1;
  await assertRejects(() => Promise.resolve().then(() => sink.add(other)), Error, "byte 13 is");
});

for (const [i, [scenario, condition]] of TRIALS.entries()) {
  const { title, tools = [], isOwnNetwork } = SCENARIOS[scenario]!;
  const under = isOwnNetwork ? "its own network" : condition;
  bedTest(
    `${scenario}: ${title} is as it should be under ${under}, and leaves nothing`,
    async () => {
      outcomes ??= startAll();
      const { counts, figures } = await outcomes[i]!;
      assertGreater(counts.there.passed, 0);
      if (figures["zeroCopyCalls"] === undefined || counts.isCopying) return;
      assertEquals(figures["zeroCopyCopied"], 0);
    },
    lacks(...tools),
  );
}

bedTest("Bed.close() leaves no namespace, and ends what runs in it", async () => {
  const bed = await Bed.make();
  const list = () => spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout;
  const [, , , name] = bed.command("client", []);
  assertEquals(list().includes(name!), true);
  await bed.close();
  assertEquals(list().includes(name!), false);
});
