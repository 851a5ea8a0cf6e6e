/**
 * A trial: one scenario under one condition, in a bed of its own.
 */
import { AssertionError } from "@std/assert";
import { Program } from "../../scripts/program.ts";
import { commandFor } from "../support/child.ts";
import { root } from "../support/library.ts";
import { delay } from "../support/until.ts";
import { Bed, type Counts, type Side } from "./bed.ts";
import { type Condition, CONDITIONS } from "./conditions.ts";
import type { Figures } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";

/** What is tried. */
export interface Trial {
  /** A name of CONDITIONS. */
  readonly condition: string;
  /** A name of SCENARIOS. */
  readonly scenario: string;
  /** The bytes that go each way, unless the condition or the scenario has a bound of its own. */
  readonly bytes: number;
  /** What bytes, lengths, losses are drawn from. */
  readonly seed: number;
  /** When it has failed, in milliseconds. */
  readonly timeoutMs: number;
}

/** What came of it. */
export interface Outcome {
  /** The bytes that went each way. */
  readonly bytes: number;
  readonly seconds: number;
  readonly counts: Counts;
  readonly figures: Figures;
}

const MS_PER_LOOK = 20;

/** The program of one end, as those who wait for it see it. */
class End {
  readonly program: Program;
  readonly #bed: Bed;
  readonly #timeoutMs: number;

  constructor(bed: Bed, side: Side, { scenario, seed, timeoutMs }: Trial, bytes: number) {
    this.#bed = bed;
    this.#timeoutMs = timeoutMs;
    const args = [side === "server" ? "serve" : "call", scenario, JSON.stringify({ bytes, seed })];
    const argv = commandFor(`${root}tests/network/end.ts`, { args }).flat();
    const env = { NETPOLL_LIB: undefined, NO_COLOR: "1" };
    this.program = new Program({ argv: bed.command(side, argv), cwd: root, env, hasInput: true });
  }

  /** Waits for a line that begins with a word, and does meanwhile what the others ask for. */
  async find(word: string): Promise<string> {
    for (;;) {
      const [, line] = await this.program.find(/(.*)\n/, this.#timeoutMs);
      if (line!.startsWith(word)) return line!.slice(word.length + 1);
      if (!line!.startsWith("link ")) continue;
      const [there, back] = line!.slice(5).split("|");
      await this.#bed.set(there!, back!);
      this.program.write("changed\n");
    }
  }

  /** What it counted, once all of it is done and it has ended. */
  async figures(): Promise<Figures> {
    const figures = JSON.parse(await this.find("done"));
    await this.program.finish();
    return figures;
  }
}

/** Cuts the link when a third of the bytes has passed, for a while. */
async function cutOnce(bed: Bed, condition: Condition, bytes: number): Promise<void> {
  const { there = "", back = "", outageSeconds, isDown = false } = condition;
  for (;;) {
    const counts = await bed.counts();
    if (counts.there.bytes + counts.back.bytes > bytes / 3) break;
    await delay(MS_PER_LOOK);
  }
  if (isDown) bed.raise(false);
  else await bed.set("cut=1", "cut=1");
  await delay(1000 * outageSeconds!);
  if (isDown) bed.raise(true);
  else await bed.set(there, back);
}

function isProven({ proof }: Condition, { there, back }: Counts): boolean {
  return proof === undefined || there[proof] + back[proof] > 0;
}

/** How many bytes a trial sends each way; 0 where a scenario is about something else. */
export function bytesOf({ scenario, condition, bytes }: Omit<Trial, "seed" | "timeoutMs">): number {
  const { bytesMin = 0, bytesMax = Infinity, isOwnNetwork = false } = SCENARIOS[scenario]!;
  if (isOwnNetwork) return 0;
  return Math.max(bytesMin, Math.min(bytes, bytesMax, CONDITIONS[condition]!.bytesMax));
}

async function runIn(bed: Bed, trial: Trial): Promise<Outcome> {
  const condition = CONDITIONS[trial.condition]!;
  const { there = "", back = "", outageSeconds } = condition;
  const bytes = bytesOf(trial);
  const server = new End(bed, "server", trial, bytes);
  await server.find("ready");
  await bed.set(there, back);
  const began = performance.now();
  const client = new End(bed, "client", trial, bytes);
  const cut = outageSeconds === undefined ? undefined : cutOnce(bed, condition, bytes);
  const called = await client.figures();
  const seconds = (performance.now() - began) / 1000;
  await cut;
  server.program.write("stop\n");
  const served = await server.figures();
  const counts = await bed.counts();
  if (!isProven(condition, counts)) {
    throw new AssertionError(`the network was not bad: ${JSON.stringify(counts)}`);
  }
  const outcome = { bytes, seconds, counts, figures: { ...served, ...called } };
  SCENARIOS[trial.scenario]!.check?.(outcome);
  return outcome;
}

/** Runs it. What fails says which, and what the sockets were like. */
export async function runTrial(trial: Trial): Promise<Outcome> {
  const { mtu } = CONDITIONS[trial.condition]!;
  const { isMerging } = SCENARIOS[trial.scenario]!;
  const bed = await Bed.make({ seed: trial.seed, mtu, isMerging });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new AssertionError(`it took more than ${trial.timeoutMs} ms\n${bed.sockets()}`));
    }, trial.timeoutMs);
  });
  try {
    const run = runIn(bed, trial);
    run.catch(() => {}); // what comes of it when it is late
    return await Promise.race([run, late]);
  } catch (cause) {
    const { condition, scenario, bytes, seed } = trial;
    const what = `${scenario} under ${condition}, ${bytes} bytes, seed ${seed}`;
    throw new AssertionError(`${what}: ${(cause as Error).message}`, { cause });
  } finally {
    clearTimeout(timer);
    await bed.close();
  }
}
