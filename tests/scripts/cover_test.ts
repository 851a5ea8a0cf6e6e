import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { test } from "node:test";
import { lcovOf } from "../../scripts/cover/gcov.ts";
import { gaps, merge, parseLcov, reached } from "../../scripts/cover/lcov.ts";
import { findGaps, page } from "../../scripts/cover/report.ts";

const ROOT = "/somewhere/";
const FIRST = `SF:${ROOT}src/a.ts
DA:1,3
DA:2,0
DA:3,0
DA:9,0
BRDA:1,0,0,3
BRDA:1,0,1,-
end_of_record
SF:${ROOT}tests/b.ts
DA:1,0
end_of_record
`;
const SECOND = `SF:src/a.ts
DA:2,1
DA:5,0
end_of_record
SF:src/other.ts
DA:1,1
end_of_record
`;
const WANTED = /^src\//;

test("parseLcov() has lines and branches of the files that are wanted, by their path from the root", () => {
  const coverage = parseLcov(FIRST, ROOT, WANTED);
  assertEquals([...coverage.keys()], ["src/a.ts"]);
  const { lines, branches } = coverage.get("src/a.ts")!;
  assertEquals([...lines], [[1, 3], [2, 0], [3, 0], [9, 0]]);
  assertEquals(reached(branches.values()), [1, 2]);
});

test("merge() counts a line that either has reached, and the lines that the first one knows", () => {
  const merged = merge(parseLcov(FIRST, ROOT, WANTED), parseLcov(SECOND, ROOT, WANTED));
  assertEquals([...merged.get("src/a.ts")!.lines], [[1, 3], [2, 1], [3, 0], [9, 0]]);
  assertEquals([...merged.keys()], ["src/a.ts", "src/other.ts"]);
});

test("gaps() are the runs of lines with code that nothing has reached", () => {
  assertEquals(gaps(parseLcov(FIRST, ROOT, WANTED).get("src/a.ts")!), [[2, 9]]);
  const merged = merge(parseLcov(FIRST, ROOT, WANTED), parseLcov(SECOND, ROOT, WANTED));
  assertEquals(gaps(merged.get("src/a.ts")!), [[3, 9]]);
});

test("findGaps() finds the reason by the text of the first line, and the page has both", () => {
  const coverage = parseLcov(FIRST, ROOT, WANTED);
  const reasons = [{ path: "src/a.ts", text: "throw", reason: "Never happens." }];
  const textOf = () => ["one", "  throw error;", "three"];
  const found = findGaps(coverage, reasons, textOf);
  assertEquals(found.map(({ first, last, reason }) => [first, last, reason]), [
    [2, 9, "Never happens."],
  ]);
  const text = page(coverage, found, "today");
  assertStringIncludes(text, "| src | 1 of 4 | 25.0 % | 50.0 % |");
  assertStringIncludes(text, "**Never happens.**\n\n- src/a.ts:2–9: `throw error;`");
  assertEquals(findGaps(coverage, [], textOf)[0]!.reason, null);
});

test("lcovOf() makes LCOV of what gcov says of one file", () => {
  const line = { line_number: 4, count: 2, branches: [{ count: 0, throw: false }] };
  const files = [{ file: "../../a.c", lines: [line] }, { file: "b.h", lines: [] }];
  assertEquals(lcovOf(files, "a.c"), "SF:a.c\nDA:4,2\nBRDA:4,0,0,0\nend_of_record\n");
  assertThrows(() => lcovOf(files, "c.c"), Error, "Cannot find c.c");
});
