/**
 * Puts the coverage of both runtimes and of the C file together, asks for a reason for every line
 * that nothing reaches, and writes docs/COVERAGE.md. `report.ts FOLDER`, which has bun/lcov.info,
 * deno.lcov and c.lcov.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Coverage, gaps, merge, parseLcov, reached } from "./lcov.ts";

const root = fileURLToPath(new URL("../..", import.meta.url).href);
const SOURCES = /^(src|ffi)\/.*\.ts$/;
const LIBRARY = "libnetpoll.c";
const LINES_MIN = 0.97;
const BRANCHES_MIN = 0.95;
/** A file that only the other runtime knows. */
const BUN_ALONE = "ffi/bun.ts";

/** Why nothing reaches some lines: the first of them begins with this text. */
export interface Reason {
  readonly path: string;
  readonly text: string;
  readonly reason: string;
}

/** Lines that nothing reaches. */
interface Gap {
  readonly path: string;
  readonly first: number;
  readonly last: number;
  readonly text: string;
  readonly reason: string | null;
}

function percent([hit, all]: [number, number]): string {
  return all === 0 ? "–" : `${(100 * hit / all).toFixed(1)} %`;
}

/** All gaps, each with its reason. */
export function findGaps(
  coverage: Coverage,
  reasons: readonly Reason[],
  textOf: (path: string) => readonly string[],
): Gap[] {
  return [...coverage].flatMap(([path, file]) => {
    const lines = textOf(path);
    return gaps(file).map(([first, last]) => {
      const text = lines[first - 1]?.trim() ?? "";
      const found = reasons.find((one) => one.path === path && text.startsWith(one.text));
      return { path, first, last, text, reason: found?.reason ?? null };
    });
  });
}

type Sum = [hit: number, all: number];

/** The sums of lines and branches of some files. */
function sumOf(
  coverage: Coverage,
  isPart: (path: string) => boolean,
): { lines: Sum; branches: Sum } {
  const files = [...coverage].filter(([path]) => isPart(path)).map(([, file]) => file);
  return {
    lines: reached(files.flatMap(({ lines }) => [...lines.values()])),
    branches: reached(files.flatMap(({ branches }) => [...branches.values()])),
  };
}

/** The page. `when` is the day and the commit. */
export function page(coverage: Coverage, found: readonly Gap[], when: string): string {
  const folders = [...new Set([...coverage.keys()].map((path) => path.replace(/\/[^/]*$/, "")))];
  const rows = folders.map((folder) => {
    const { lines, branches } = sumOf(coverage, (path) => path.replace(/\/[^/]*$/, "") === folder);
    return `| ${folder} | ${lines[0]} of ${lines[1]} | ${percent(lines)} | ${percent(branches)} |`;
  });
  const all = sumOf(coverage, (path) => path !== LIBRARY);
  const sum = `| **src and ffi** | ${all.lines[0]} of ${all.lines[1]} | ${percent(all.lines)} | ` +
    `${percent(all.branches)} |`;
  const byReason = Map.groupBy(found, ({ reason }) => reason ?? "Without a reason yet.");
  const lists = [...byReason].sort(([a], [b]) => a.localeCompare(b)).flatMap(([reason, ones]) => [
    `**${reason}**`,
    "",
    ...ones.map(({ path, first, last, text }) =>
      `- ${path}:${first === last ? first : `${first}–${last}`}: \`${text.replaceAll("`", "'")}\``
    ),
    "",
  ]);
  return [
    "# Coverage",
    "",
    "Lines and branches that the tests reach, of both runtimes together: a line counts when one of them",
    "reaches it, and branches are those that V8 reports. The C file is measured by gcov, over its own",
    "tests and the corpus of the fuzzer; its branches are counted with those that the compiler makes of",
    `atomic operations and of \`||\` and \`&&\`, each way of each. Made by \`make cover\`, which wants ${
      100 * LINES_MIN
    } % of the lines and ` +
    `${
      100 * BRANCHES_MIN
    } % of the branches of src and ffi, and a reason for each line that is left.`,
    "",
    `On ${when}:`,
    "",
    "| folder | lines | | branches |",
    "| --- | --- | --- | --- |",
    ...rows,
    sum,
    "",
    "## What nothing reaches, and why",
    "",
    ...lists,
  ].join("\n");
}

function measuredWhen(): string {
  const commit = spawnSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: root,
    encoding: "utf8",
  });
  const day = new Date().toISOString().slice(0, 10);
  return commit.status === 0 ? `${day}, at ${commit.stdout.trim()}` : day;
}

function main(folder: string): void {
  const read = (name: string) => readFileSync(`${folder}/${name}`, "utf8");
  const bun = parseLcov(read("bun/lcov.info"), root, SOURCES);
  const deno = parseLcov(read("deno.lcov"), root, SOURCES);
  deno.delete(BUN_ALONE);
  const coverage = merge(deno, bun);
  const native = parseLcov(read("c.lcov"), root, new RegExp(`^${LIBRARY}$`));
  for (const [path, file] of native) coverage.set(path, file);
  const reasons = JSON.parse(
    readFileSync(`${root}scripts/cover/reasons.json`, "utf8"),
  ) as Reason[];
  const found = findGaps(
    coverage,
    reasons,
    (path) => readFileSync(root + path, "utf8").split("\n"),
  );
  for (const { path, first, text, reason } of found) {
    if (reason === null) console.log(`without a reason: ${path}:${first}: ${text}`);
  }
  writeFileSync(`${root}docs/COVERAGE.md`, page(coverage, found, measuredWhen()));
  const { lines, branches } = sumOf(coverage, (path) => path !== LIBRARY);
  console.log(`src and ffi: ${percent(lines)} of the lines, ${percent(branches)} of the branches`);
  const { lines: ofC, branches: branchesOfC } = sumOf(coverage, (path) => path === LIBRARY);
  console.log(`${LIBRARY}: ${percent(ofC)} of the lines, ${percent(branchesOfC)} of the branches`);
  const isEnough = lines[0] >= LINES_MIN * lines[1] && branches[0] >= BRANCHES_MIN * branches[1] &&
    ofC[0] >= LINES_MIN * ofC[1];
  process.exitCode = isEnough ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv[2]!);
