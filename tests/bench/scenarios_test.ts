import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { loadArguments } from "../../bench/harness/load.ts";
import {
  GROUPS,
  SCENARIOS,
  scenariosOf,
  serversOf,
  tooLarge,
} from "../../bench/harness/scenarios.ts";

const server = { pid: 7, port: 8 };
const times = { seconds: 1, warmupSeconds: 0.5 };

function named(name: string) {
  return scenariosOf(name)[0]!;
}

test("scenariosOf() takes names, aliases and groups, each scenario once", () => {
  assertEquals(scenariosOf("50").map(({ name }) => name), ["64x50"]);
  assertEquals(scenariosOf("churn,64x50,50").map(({ name }) => name), ["64x50", "churn"]);
  assertEquals(scenariosOf("figures").map(({ name }) => name).sort(), [...GROUPS.figures!].sort());
  assertEquals(scenariosOf("all"), SCENARIOS);
});

test("scenariosOf() throws with the names there are, when one is unknown", () => {
  const error = assertThrows(() => scenariosOf("50,nothing"), RangeError);
  assert(/nothing; there are .*64x50/.test((error as Error).message));
});

test("every name and alias is one scenario's, and no group's", () => {
  const names = SCENARIOS.flatMap(({ name, alias }) =>
    alias === undefined ? [name] : [name, alias]
  );
  assertEquals(names.length, new Set(names).size);
  assertEquals(names.filter((name) => name in GROUPS), []);
  for (const group of Object.values(GROUPS)) {
    assertEquals(group.filter((name) => !names.includes(name)), []);
  }
});

test("loadArguments() frames what is not an echo, and asks for a rate, an idle crowd, receivers", () => {
  const of = (name: string, rate?: number) =>
    loadArguments(server, named(name), { ...times, rate }).join(" ");
  assertEquals(of("64x50"), "-p 8 -S 7 -c 50 -s 64 -t 1 -w 0.5");
  assertEquals(of("rate", 5000), "-p 8 -S 7 -c 50 -s 64 -t 1 -w 0.5 -r 5000");
  assertEquals(of("idle500"), "-f -p 8 -S 7 -c 100 -s 1024 -I 400 -t 1 -w 0.5");
  assertEquals(of("mux1000"), "-f -p 8 -S 7 -c 4 -s 1024 -d 250 -t 1 -w 0.5");
  assertEquals(of("broadcast"), "-f -p 8 -S 7 -c 1 -s 64 -B 1000 -t 2 -w 1");
});

test("tooLarge() refuses what the machine's memory does not hold", () => {
  assertEquals(tooLarge(named("1mx50"), 2 ** 30), null);
  assertEquals(tooLarge(named("1mx10000"), 24 * 2 ** 30), "needs 98 GiB of memory");
});

test("serversOf() shares servers among echoes of a size, but not with who is judged by memory", () => {
  assertEquals(serversOf(named("64x50")), serversOf(named("churn")));
  assert(serversOf(named("64x50")) !== serversOf(named("1kx50")));
  assert(serversOf(named("64x50")) !== serversOf(named("64x1000")));
  assert(serversOf(named("long100")) !== serversOf(named("slow")));
});
