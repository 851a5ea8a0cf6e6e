/**
 * LCOV of a file from gcov's JSON (`gcov --json-format --stdout`), on standard input: `gcov.ts PATH`.
 */
import { readFileSync } from "node:fs";
import process from "node:process";

/** A line, as gcov tells of it. */
interface GcovLine {
  readonly line_number: number;
  readonly count: number;
  readonly branches: readonly { readonly count: number; readonly throw: boolean }[];
}

/** A file, as gcov tells of it. */
interface GcovFile {
  readonly file: string;
  readonly lines: readonly GcovLine[];
}

/** The LCOV of one of the files; a line that is in several functions counts once. */
export function lcovOf(files: readonly GcovFile[], path: string): string {
  const found = files.find(({ file }) => file.endsWith(path));
  if (found === undefined) throw new Error(`Cannot find ${path} in what gcov says`);
  const lines = found.lines.flatMap(({ line_number, count, branches }) => [
    `DA:${line_number},${count}`,
    ...branches.map((branch, i) => `BRDA:${line_number},0,${i},${branch.count}`),
  ]);
  return [`SF:${path}`, ...lines, "end_of_record", ""].join("\n");
}

if (process.argv[1]?.endsWith("scripts/cover/gcov.ts")) {
  // A line for each program that was run.
  for (const line of readFileSync(0, "utf8").trim().split("\n")) {
    process.stdout.write(lcovOf(JSON.parse(line).files, process.argv[2]!));
  }
}
