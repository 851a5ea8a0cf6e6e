/**
 * What the package is divided into: every name stands in one entry, and mod.ts has them all.
 */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as all from "../mod.ts";
import { run } from "./support/child.ts";
import { root } from "./support/library.ts";
import { namesIn } from "./support/names.ts";

const read = (path: string) =>
  readFileSync(new URL(`../${path}`, import.meta.url).pathname, "utf8");
const { name, exports } = JSON.parse(read("deno.json")) as {
  name: string;
  exports: Record<string, string>;
};
const specifiers = Object.keys(exports);
const entries = specifiers.filter((key) => key !== "./all");

type Names = Readonly<Record<string, unknown>>;

/** A module by the name that users write. */
const load = async (key: string): Promise<Names> => await import(name + key.slice(1));

test("package.json has the entries of deno.json: Bun reads the one, Deno the other", () => {
  assertEquals(JSON.parse(read("package.json")).exports, exports);
});

test("no name stands in two entries", () => {
  const names = entries.flatMap((key) => namesIn(read(exports[key]!)));
  assert(names.length > 200, `${names.length} names`);
  assertEquals(names.filter((one, i) => names.indexOf(one) < i), []);
});

test("mod.ts exports every entry as a whole, and nothing else", () => {
  const lines = read("mod.ts").split("\n").filter((line) => line.startsWith("export "));
  assertEquals(lines, entries.map((key) => `export * from "${exports[key]}";`));
});

test("a value is one and the same from its entry, from ./all and from mod.ts", async () => {
  const whole = await load("./all");
  const seen: string[] = [];
  for (const key of entries) {
    for (const [one, value] of Object.entries(await load(key))) {
      assertStrictEquals(value, whole[one], `${one} of ${key}`);
      assertStrictEquals(value, (all as Names)[one], `${one} of ${key}`);
      seen.push(one);
    }
  }
  assertEquals(seen.sort(), Object.keys(all).sort());
});

test("each entry says what it is for, with an example that imports it", () => {
  for (const key of specifiers) {
    const [doc = ""] = /^\/\*\*[^]*?\*\//.exec(read(exports[key]!)) ?? [];
    assert(doc.includes("@module") && doc.includes("```ts"), key);
    assert(doc.includes(`"${name}${key.slice(1)}"`), key);
  }
});

test("slice() makes a buffer in a program that imports one entry alone, whichever has a reader", async () => {
  for (const entry of ["udp", "testing", "adapter"]) {
    const { code, stdout, stderr } = await run(`${root}tests/support/slice_alone.ts`, {
      args: [entry],
    });
    assertEquals([code, stdout.trim()], [0, "sliced"], `${entry}: ${stderr}`);
  }
});
