/**
 * Beds for tests of zero copy: tests/native/zcbed.c runs a program where loopback does not copy, or
 * where the kernel has little memory for it.
 */
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Program } from "../../scripts/program.ts";
import { commandFor } from "./child.ts";
import { root } from "./library.ts";
import { SOAK_SECONDS } from "./zero_copy_ends.ts";

const BED = `${root}tests/native/build/zcbed`;
/** The exit code of a bed that this machine cannot make, as in automake. */
const SKIPPED = 77;
const CHILD_MS = 50_000 + 1000 * SOAK_SECONDS;

/** The reason why there are no beds here; "" where there are. */
const missing = findMissing();

function findMissing(): string {
  const made = spawnSync("make", ["-s", "-C", `${root}tests/native`, "build/zcbed", "build/sniff"]);
  if (made.status !== 0) return `zcbed cannot be built: ${made.stderr ?? made.error}`;
  const tried = spawnSync(BED, ["true"], { encoding: "utf8" });
  return tried.status === SKIPPED ? `${tried.stderr.trim()} (it needs root)` : "";
}

if (missing !== "") console.error(`SKIPPED: zero copy that does not copy: ${missing}`);

/** The outcome of a case in a bed: "ok", or the failure. */
type Outcomes = ReadonlyMap<string, string>;

/** Runs cases in a bed, all in one process. */
export async function runInBed(
  options: readonly string[],
  names: readonly string[],
): Promise<Outcomes> {
  const program = `${root}tests/support/zero_copy_bed.ts`;
  const argv = [BED, ...options, ...commandFor(program, { args: [...names] }).flat()];
  const command = { argv, cwd: root, env: { NO_COLOR: "1" }, timeoutMs: CHILD_MS };
  const { code, signal, stdout, stderr } = await new Program(command).ended;
  const outcomes = new Map<string, string>();
  for (const line of stdout.split("\n")) {
    const [, name, outcome] = /^case (\S+): (.*)$/.exec(line) ?? [];
    if (name !== undefined) outcomes.set(name, JSON.parse(outcome!));
  }
  const end = `the bed ended with ${code ?? signal} before: ${stderr}`;
  for (const name of names) if (!outcomes.has(name)) outcomes.set(name, end);
  return outcomes;
}

/** The reason why a bed cannot be used; "" where it can. Another user must be able to read all this. */
export function obstacleOf(options: readonly string[]): string {
  if (missing !== "") return missing;
  const program = options.includes("-u")
    ? commandFor(`${root}tests/support/zero_copy_bed.ts`).flat()
    : ["true"];
  const tried = spawnSync(BED, [...options, ...program], { encoding: "utf8" });
  if (tried.status === 0) return "";
  const why = `zcbed ${options.join(" ")}: ${tried.stderr.trim()}`;
  console.error(`SKIPPED: ${why}`);
  return why;
}

/** A test in a bed; skipped, and said so, where something is in its way. */
export function bedTest(name: string, obstacle: string, run: () => Promise<void>): void {
  test(name, { skip: obstacle === "" ? false : obstacle, timeout: CHILD_MS + 5000 }, run);
}
