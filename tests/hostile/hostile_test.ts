/**
 * Each attack on each server, small: `make hostile` does them at full size.
 */
import { test } from "node:test";
import { seededRandom } from "../support/random.ts";
import { pairs, Servers } from "./pairs.ts";

const servers = new Servers();

const random = seededRandom();
console.log(`  SEED=${random.seed}`);
for (const { name, obstacle, run } of pairs("small")) {
  const skip = obstacle === "" ? false : obstacle;
  test(name, { skip }, async () => void await run(servers, random));
}

// As a test: Deno does not call after() of a file.
test("stop() ends all servers", () => servers.stop());
