import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { restarts, SERVERS } from "./restarts.ts";

const NOTHING = { refused: 0, reset: 0, lost: 0 };

for (const [file, ...args] of SERVERS) {
  const name = [file, ...args].join(" ");
  test(`${name} is restarted three times under load, and nothing is refused, reset or lost`, async () => {
    const outcome = await restarts({ file, args, times: 3, shortCount: 8, keptCount: 40 });
    const { refused, reset, lost, told, requests } = outcome.counts;
    assertEquals([{ refused, reset, lost }, outcome.errors], [NOTHING, []]);
    assertEquals(outcome.statuses, [0, 0, 0]);
    assertEquals(outcome.servers, 4);
    assert(told >= 3 * 40 && requests > 3 * 40, `${told} told, ${requests} requests`);
  });
}
