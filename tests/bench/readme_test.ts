import { assert, assertEquals, assertThrows } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  insertFigures,
  readmeFigures,
  unfitForReadme,
  updateReadme,
} from "../../bench/harness/readme.ts";
import { benchRun } from "../support/bench_run.ts";
import { root, withDirectory } from "../support/library.ts";

const EVERYBODY = [...benchRun().candidates.map(({ name }) => name), "other"];
const README = "# A\n\n<!-- figures:begin -->\n\nold\n\n<!-- figures:end -->\n\nrest\n";

test("insertFigures() replaces what stands between the marks, and nothing else", () => {
  const once = insertFigures(README, "new\n");
  assertEquals(once, README.replace("old", "new"));
  assertEquals(insertFigures(once, "new\n"), once);
});

test("insertFigures() throws when a mark is missing", () => {
  assertThrows(() => insertFigures("# A\n", "new"), Error, "figures:begin");
  assertThrows(() => insertFigures("<!-- figures:end --> <!-- figures:begin -->", "new"));
});

test("insertFigures() finds the marks of README.md", () => {
  assert(insertFigures(readFileSync(`${root}README.md`, "utf8"), "new").includes("\n\nnew\n\n"));
});

test("readmeFigures() has the command, the date, the machine, who was left out, and every ratio", () => {
  const text = readmeFigures(benchRun());
  assert(
    /`make bench` on 2026-01-02, 2 cores; medians of 9 interleaved rounds, 3 for memory\./
      .test(text.replaceAll("\n", " ")),
  );
  assert(text.includes("Left out: other: no toolchain."));
  const cellsOf = (title: string) =>
    text.split("\n").find((line) => line.startsWith(`| ${title}`))!.split("|").slice(2, -1)
      .map((one) => one.trim());
  assertEquals(cellsOf("**server bun-sync**"), [...Array<string>(5).fill("1.19"), "606"]);
  assertEquals(cellsOf("server c "), [...Array<string>(5).fill("5.40 µs"), "505"]);
  assert(text.split("\n").every((line) => line.startsWith("|") || line.length <= 100));
});

test("unfitForReadme() refuses few rounds, missing scenarios and servers, and a failure of ours", () => {
  assertEquals(unfitForReadme(benchRun(), EVERYBODY), null);
  assert(unfitForReadme(benchRun(3), EVERYBODY)!.includes("3 rounds"));
  assert(unfitForReadme(benchRun(), [...EVERYBODY, "gone"])!.includes("without gone"));
  const run = benchRun();
  const scenarios = run.scenarios.filter(({ name }) => name !== "churn");
  assert(unfitForReadme({ ...run, scenarios }, EVERYBODY)!.includes("churn"));
  run.series.find(({ candidate }) => candidate === "bun-sync")!.failure = "it ended";
  assert(unfitForReadme(run, EVERYBODY)!.includes("64x1"));
});

test("updateReadme() writes once what it writes twice, and leaves the file alone when unfit", () =>
  withDirectory((folder) => {
    const path = `${folder}/README.md`;
    writeFileSync(path, README);
    assert(updateReadme(benchRun(1), path, EVERYBODY).includes("stays as it is"));
    assertEquals(readFileSync(path, "utf8"), README);
    updateReadme(benchRun(), path, EVERYBODY);
    const once = readFileSync(path, "utf8");
    assert(once.includes("server deno-async"));
    updateReadme(benchRun(), path, EVERYBODY);
    assertEquals(readFileSync(path, "utf8"), once);
  }));
