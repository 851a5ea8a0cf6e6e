/**
 * The report of a bench: the machine, Markdown to read, raw values to keep.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { arch, availableParallelism, cpus, release, totalmem } from "node:os";
import { runtimePath } from "./candidates.ts";
import { projectPath } from "./child.ts";

/** The commands that print versions. */
const VERSIONS: readonly (readonly [name: string, path: () => string, argument: string])[] = [
  ["bun", () => runtimePath("bun"), "--version"],
  ["deno", () => runtimePath("deno"), "--version"],
  ["node", () => runtimePath("node"), "--version"],
  ["go", () => "go", "version"],
  ["rust", () => "rustc", "--version"],
];

/** Name and version; nothing of what is absent. */
function versionOf([name, path, argument]: typeof VERSIONS[number]): string[] {
  try {
    const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"];
    const out = execFileSync(path(), [argument], { encoding: "utf8", stdio });
    return [`${name} ${/\d+\.\d+(\.\d+)?/.exec(out)?.[0] ?? "unknown"}`];
  } catch {
    return [];
  }
}

/** The machine and the versions, without which no number means anything. */
export function describeMachine(): string {
  const model = cpus()[0]?.model ?? "unknown processor";
  const memoryGb = Math.round(totalmem() / 2 ** 30);
  return `${availableParallelism()} cores (${model}, ${arch()}), ${memoryGb} GiB, ` +
    `Linux ${release()}, ${VERSIONS.flatMap(versionOf).join(", ")}`;
}

/** The folder of the results, unless a bench is told otherwise. */
export const RESULTS = projectPath("bench/results");

/** Keeps a text among the results. */
export function keepText(name: string, text: string, folder = RESULTS): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${name}`, text.endsWith("\n") ? text : `${text}\n`);
}

/** Keeps raw values. */
export function keepJson(name: string, value: unknown, folder = RESULTS): void {
  keepText(`${name}.json`, JSON.stringify(value, null, 1), folder);
}

/** The raw values that were kept under a name; null when there are none. */
export function readJson<T>(name: string, folder = RESULTS): T | null {
  try {
    return JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8")) as T;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
}

/** Prints a result and keeps it. */
export function tell(name: string, markdown: string, raw: unknown): void {
  console.log(markdown);
  keep(name, markdown.trimEnd(), raw);
}

/** Keeps a result: NAME.md to commit, and beside it the raw values, which are not. */
export function keep(name: string, markdown: string, raw: unknown, folder = RESULTS): void {
  keepText(`${name}.md`, markdown, folder);
  keepJson(name, raw, folder);
}
