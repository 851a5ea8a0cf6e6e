/**
 * Each way to end once: `make exits` tries it a hundred times.
 */
import { test } from "node:test";
import { seededRandom } from "../support/random.ts";
import { PARTS, withPlace } from "./parts.ts";

/** Each on one shape: the driver has both. */
const ONCE = PARTS.filter(({ name }, i) => !name.endsWith("cluster") || i % 4 === 1);

for (const { name, run } of ONCE) {
  test(`nothing hangs, crashes or is lost, and no port stays in use: ${name}`, async () => {
    const random = seededRandom();
    console.log(`  SEED=${random.seed}`);
    await withPlace((place) => run(place, random));
  });
}
