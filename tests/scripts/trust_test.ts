import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Program } from "../../scripts/program.ts";
import type { KeptRecord } from "../../scripts/trust/record.ts";
import { cellsOf, PAGE, readRecords, tableOf, withTable } from "../../scripts/trust/table.ts";
import { root, withDirectory } from "../support/library.ts";

const MARKED = "# A\n\n<!-- table:begin -->\n\nold\n\n<!-- table:end -->\n\nrest\n";
const RECORD: KeptRecord = {
  name: "fuzz-deno",
  what: "Wrong bytes\nof everybody",
  amount: "1 | 2",
  found: "nothing",
  command: "make fuzz",
  date: "2026-01-02",
  machine: "2 cores",
};
const CELLS = [
  "Wrong bytes of everybody",
  "1 \\| 2",
  "nothing",
  "2026-01-02, Deno; 2 cores",
  "`make fuzz`",
];

/** Runs a driver of these lines under both runtimes. */
function runBoth(lines: string, ...args: string[]) {
  return withDirectory(async (folder) => {
    const file = join(folder, "driver.ts");
    writeFileSync(file, lines);
    const argv = [`${root}node_modules/.bin/bun`, `${root}scripts/trust/both.ts`, file, ...args];
    return await new Program({ argv }).ended;
  });
}

test("tableOf() has a line for each record, whose cells are one line each", () => {
  const page = withTable(MARKED, tableOf([RECORD]));
  assertEquals(cellsOf(page)[1], CELLS);
  assertEquals(cellsOf(page).length, 2);
  assert(page.startsWith("# A\n") && page.endsWith("rest\n") && !page.includes("old"));
});

test("withTable() throws when a mark is missing", () => {
  assertThrows(() => withTable("# A\n", "new"), Error, "table:begin");
});

test("the table of docs/TRUST.md is that of the records in docs/trust", () => {
  const page = readFileSync(PAGE, "utf8");
  assertEquals(cellsOf(page), cellsOf(withTable(MARKED, tableOf(readRecords()))));
});

test("every record says what was done, how much, what was found, and the command", () => {
  const names = ["name", "what", "amount", "found", "command", "date", "machine"];
  for (const record of readRecords()) {
    assertEquals(Object.keys(record).sort(), [...names].sort(), record.name);
    for (const text of Object.values(record)) assert(text.length > 0, record.name);
    assertMatch(record.date, /^\d{4}-\d\d-\d\d$/);
    assertMatch(record.command, /^make /);
  }
});

test("both.ts runs a driver under both runtimes, and fails when one of them does", async () => {
  const { code, stdout } = await runBoth('console.log("driver: 1 passed, 0 failed");');
  const lines = ["bun", "deno"].map((name) => `${name}: driver: 1 passed, 0 failed`);
  assertEquals(stdout.split("\n").filter(Boolean).sort(), lines);
  assertEquals(code, 0);
  const failing =
    'import process from "node:process"; process.exitCode = process.versions.bun ? 0 : 3;';
  const failed = await runBoth(failing);
  assertEquals([failed.code, failed.stdout], [1, "deno: the driver ended with 3\n"]);
  assertEquals((await runBoth(failing, "--runtimes", "bun")).code, 0);
});
