/**
 * docs/API.md has every name, in the part of its entry, and no other.
 */
import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { namesIn } from "./support/names.ts";

const read = (path: string) =>
  readFileSync(new URL(`../${path}`, import.meta.url).pathname, "utf8");
const { name, exports } = JSON.parse(read("deno.json")) as {
  name: string;
  exports: Record<string, string>;
};
const page = read("docs/API.md");

/** The names of an entry: of the rows of its tables, and before the colons of its lists. */
function rowsOf(specifier: string): string[] {
  const heading = new RegExp(`^## .*: \`${RegExp.escape(specifier)}\`$`, "m").exec(page);
  if (heading === null) throw new Error(`docs/API.md has no part for ${specifier}`);
  const [part] = page.slice(heading.index + heading[0].length).split("\n## ", 1);
  const cells = [...part!.matchAll(/^\| (`[^|]*)\|/gm)].map((match) => match[1]!);
  const items = [...part!.matchAll(/^- ([^:]*):/gm)].map((match) => match[1]!);
  return [...cells, ...items].flatMap((text) =>
    [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
  );
}

for (const [key, path] of Object.entries(exports).filter(([key]) => key !== "./all")) {
  test(`docs/API.md has each name of ${key} once, and nothing else`, () => {
    assertEquals(rowsOf(name + key.slice(1)).sort(), namesIn(read(path)).sort());
  });
}

test("docs/API.md names beside each what there is: an export, or a member of one", () => {
  const known = new Set(Object.values(exports).flatMap((path) => namesIn(read(path))));
  const cells = page.split("\n").filter((line) => /^\| `[A-Za-z]\w*`( +)?\|/.test(line))
    .map((line) => line.split("|")[3] ?? "");
  const beside = cells.flatMap((cell) =>
    [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
  );
  const others = ["null", "codec.decode", "receiveFile"];
  assertEquals(
    beside.filter((one) => !known.has(one.split(".")[0]!) && !others.includes(one)),
    [],
  );
});
