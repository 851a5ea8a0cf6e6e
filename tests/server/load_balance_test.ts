import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { balancer, type LoadBalance, type PollerLoad } from "../../src/server/load_balance.ts";

function pollers(...counts: number[]): PollerLoad[] {
  return counts.map((connectionCount, index) => ({ index, connectionCount }));
}

/** The indexes that a policy picks for newcomers from these hosts. */
function picks(
  policy: LoadBalance<string>,
  among: readonly PollerLoad[],
  sources: readonly (number | string | null)[],
): number[] {
  const one = balancer(policy);
  return sources.map((source) => one.pick(among, { source, address: `${source}` }).index);
}

const ANYBODY = Array.from({ length: 12 }, () => null);

test("round-robin picks one after the other, and goes on when one is away", () => {
  assertEquals(picks("round-robin", pollers(0, 0, 0), ANYBODY.slice(6)), [0, 1, 2, 0, 1, 2]);
  const one = balancer<string>("round-robin");
  const all = pollers(0, 0, 0, 0);
  const next = (among: readonly PollerLoad[]) => one.pick(among, { source: null, address: "" });
  assertEquals(next(all).index, 0);
  assertEquals(next(all.filter(({ index }) => index !== 1)).index, 2);
  assertEquals(next(all.slice(0, 2)).index, 0);
});

test("random picks all of them, in the long run", () => {
  const found = picks("random", pollers(0, 0, 0), Array.from({ length: 500 }, () => null));
  assertEquals(new Set(found), new Set([0, 1, 2]));
});

test("least-connections picks who has the fewest, equals in turn", () => {
  assertEquals(picks("least-connections", pollers(3, 1, 2), ANYBODY), ANYBODY.map(() => 1));
  assertEquals(picks("least-connections", pollers(1, 1, 5), ANYBODY.slice(8)), [0, 1, 0, 0]);
  assertEquals(new Set(picks("least-connections", pollers(4, 4, 4), ANYBODY)).size, 3);
});

test("source-hash picks the same for a host, and spreads hosts evenly", () => {
  const hosts = Array.from({ length: 3000 }, (_, n) => 0x0a000000 + n);
  const first = picks("source-hash", pollers(0, 0, 0), hosts);
  assertEquals(picks("source-hash", pollers(9, 0, 5), hosts), first);
  for (let index = 0; index < 3; index++) {
    const count = first.filter((one) => one === index).length;
    assert(count > 800 && count < 1200, `${count} of 3000 hosts at poller ${index}`);
  }
  const v6 = Array.from({ length: 300 }, (_, n) => `1,2,3,${n}`);
  assertEquals(new Set(picks("source-hash", pollers(0, 0, 0), v6)).size, 3);
});

test("source-hash moves nobody else's hosts when a poller is away", () => {
  const hosts = Array.from({ length: 300 }, (_, n) => n * 7919);
  const all = pollers(0, 0, 0, 0);
  const before = picks("source-hash", all, hosts);
  const after = picks("source-hash", all.filter(({ index }) => index !== 2), hosts);
  for (const [i, index] of before.entries()) {
    if (index === 2) assert(after[i] !== 2);
    else assertEquals(after[i], index);
  }
});

test("source-hash takes turns for peers without a host", () => {
  assertEquals(picks("source-hash", pollers(0, 0), [null, null, null]), [0, 1, 0]);
});

test("a function chooses by index, and a wrong choice is a TypeError", () => {
  const seen: string[] = [];
  const choose = (among: readonly PollerLoad[], remote: string) => {
    seen.push(remote);
    return among.at(-1)!.index;
  };
  assertEquals(picks(choose, pollers(0, 0, 0), [5, 6]), [2, 2]);
  assertEquals(seen, ["5", "6"]);
  assertThrows(() => picks(() => 3, pollers(0, 0, 0), [1]), TypeError, "poller 3");
  assertThrows(() => balancer("best" as never), TypeError, "least-connections");
});
