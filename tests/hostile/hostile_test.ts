/**
 * Each attack on each server, small: `make hostile` does them at full size.
 */
import { after, test } from "node:test";
import { seededRandom } from "../support/random.ts";
import { pairs, Servers } from "./pairs.ts";

const servers = new Servers();
after(() => servers.stop());

const random = seededRandom();
console.log(`  SEED=${random.seed}`);
for (const { name, run } of pairs("small")) {
  test(name, async () => void await run(servers, random));
}
