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

const TRIAL_MS_MAX = 40_000;
const BYTES = 64 * 1024;
const obstacle = findObstacle();
if (obstacle !== "") console.error(`SKIPPED: bad networks: ${obstacle}`);

/** A test in a bed; skipped, and said so, where there can be none. */
function bedTest(name: string, run: () => Promise<void>, lacking: string | false = false): void {
  test(name, { skip: obstacle || lacking, timeout: TRIAL_MS_MAX + 5000 }, run);
}

function tryOut(scenario: string, condition: string, bytes = BYTES): Promise<Outcome> {
  return runTrial({ scenario, condition, bytes, seed: 1, timeoutMs: TRIAL_MS_MAX });
}

test("Sink.add() fails at the first byte that is another, so that a trial can fail", async () => {
  const sink = new Sink(1);
  sink.add(new Source(1).take(10));
  const other = new Source(1).take(20).subarray(10);
  other[3]! ^= 1;
  await assertRejects(() => Promise.resolve().then(() => sink.add(other)), Error, "byte 13 is");
});

for (
  const [scenario, condition, bytes] of [
    ["echo", "loss-10", BYTES],
    ["zero-copy", "bad", 1024 * 1024],
    ["zero-copy-auto", "reorder", 1024 * 1024],
    ["proxy", "duplicate", BYTES],
    ["file", "loss-5", BYTES],
    ["frames", "small", BYTES],
    ["mux", "ack-loss", BYTES],
    ["dial", "duplicate", BYTES],
    ["node", "loss-5", BYTES],
    ["socat", "reorder", BYTES],
    ["curl", "slow", BYTES],
  ] as const
) {
  const { title, tools = [] } = SCENARIOS[scenario]!;
  bedTest(`${scenario}: ${title} loses nothing and leaves nothing under ${condition}`, async () => {
    const { counts, figures } = await tryOut(scenario, condition, bytes);
    assertGreater(counts.there.passed, 0);
    if (figures["zeroCopyCalls"] === undefined || counts.isCopying) return;
    assertEquals(figures["zeroCopyCopied"], 0);
  }, lacks(...tools));
}

bedTest("Bed.close() leaves no namespace, and ends what runs in it", async () => {
  const bed = await Bed.make();
  const list = () => spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout;
  const [, , , name] = bed.command("client", []);
  assertEquals(list().includes(name!), true);
  await bed.close();
  assertEquals(list().includes(name!), false);
});
