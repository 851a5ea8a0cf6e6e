/**
 * A program: one end of a scenario, on one of the machines of a bed. Its arguments are "serve" or
 * "call", the scenario, and how much there is to do, as JSON.
 *
 * It prints `ready` when it serves, `link THERE | BACK` when the network shall change, and `done` with
 * what it counted. A line of input says that the network has changed, or that the server shall stop.
 * It fails unless all that it took is given back.
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { assertEquals } from "@std/assert";
import { blocks } from "../../src/buffer/block.ts";
import { leaks } from "../support/leaks.ts";
import type { Figures, Work } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";

const [side, name, work] = process.argv.slice(2) as [string, string, string];
const scenario = SCENARIOS[name]!;
const input = createInterface({ input: process.stdin });

/** The next line of input. */
function heard(): Promise<unknown> {
  return new Promise((resolve) => input.once("line", resolve));
}

const given: Work = {
  ...JSON.parse(work),
  async link(there: string, back: string): Promise<void> {
    const answer = heard();
    console.log(`link ${there}|${back}`);
    await answer;
  },
};

async function serve(): Promise<Figures | void> {
  const serving = await scenario.serve(given);
  const stop = heard();
  console.log("ready");
  await stop;
  return await serving.stop();
}

try {
  const figures = await leaks(side === "serve" ? serve : () => scenario.call(given));
  assertEquals(blocks.pinnedBytes, 0, "pinned bytes");
  console.log(`done ${JSON.stringify(figures ?? {})}`);
  process.exit(0);
} catch (error) {
  console.error(error);
  process.exit(1);
}
