/**
 * How a bench tells what it found: Markdown to read, JSON to keep.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { arch, availableParallelism, cpus, release, totalmem } from "node:os";
import process from "node:process";
import { projectPath } from "./child.ts";
import { type Runtime, runtimePath } from "./candidates.ts";

/** A Markdown table: the first column to the left, numbers to the right. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((head, i) =>
    Math.max(head.length, ...rows.map((row) => row[i]!.length))
  );
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(" | ")} |`;
  const pad = (cell: string, i: number) =>
    i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!);
  const rule = widths.map((width, i) => i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [line(heads), line(rule), ...rows.map(line)].join("\n");
}

function versionOf(runtime: Runtime): string {
  try {
    const out = execFileSync(runtimePath(runtime), ["--version"], { encoding: "utf8" });
    return /\d+\.\d+\.\d+/.exec(out)?.[0] ?? "unknown";
  } catch {
    return "absent";
  }
}

/** The machine and the versions, without which no number means anything. */
export function describeMachine(): string {
  const model = cpus()[0]?.model ?? "unknown processor";
  const memoryGb = Math.round(totalmem() / 2 ** 30);
  const versions = (["bun", "deno", "node"] as const).map((name) => `${name} ${versionOf(name)}`);
  return `${availableParallelism()} cores (${model}, ${arch()}), ${memoryGb} GiB, ` +
    `Linux ${release()}, ${versions.join(", ")}`;
}

/** Keeps a result: NAME.md to commit, and beside it the raw values, which are not. */
export function keep(name: string, markdown: string, raw: unknown): void {
  const folder = projectPath("bench/results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${name}.md`, `${markdown}\n`);
  writeFileSync(`${folder}/${name}.json`, `${JSON.stringify(raw, null, 1)}\n`);
}

/** Says on standard error how far a bench is; the table alone goes to standard output. */
export function progress(text: string): void {
  const { stderr } = process;
  if (stderr.isTTY) stderr.write(`\r\x1b[K${text}`);
}

/** Wipes what `progress` wrote. */
export function progressEnd(): void {
  progress("");
}
