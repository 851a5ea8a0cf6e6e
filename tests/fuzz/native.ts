/**
 * Every call of libnetpoll.c, by libFuzzer (native.c): an input is a program.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Program } from "../../scripts/program.ts";

/** This folder, with a slash at its end. */
export const FOLDER: string = fileURLToPath(new URL("./", import.meta.url).href);

/** Longer programs find no more, and are slower. */
const INPUT_BYTES_MAX = 1024;
/** The fuzzer ends by itself; on a machine that is busy, later. */
const LATE_SECONDS_MAX = 120;

/** What came of a time of fuzzing. */
export interface NativeResult {
  /** How much of it, or why not. */
  readonly amount: string;
  /** Null unless an input failed. */
  readonly error: string | null;
}

/** Makes what the folder's Makefile can. Null, or why not. */
export async function build(...targets: string[]): Promise<string | null> {
  const { code, stdout, stderr } = await new Program({
    argv: ["make", "-s", "-C", FOLDER, ...targets],
  }).ended;
  return code === 0 ? null : `cannot be built here: ${(stdout + stderr).split("\n")[0]}`;
}

/** Runs programs that are there already. Null, or what failed. */
export async function replay(name: "replay" | "threads"): Promise<string | null> {
  const folders = ["corpus", "found"].filter((folder) => existsSync(`${FOLDER}build/${folder}`));
  const files = folders.flatMap((folder) =>
    readdirSync(`${FOLDER}build/${folder}`).map((file) => `build/${folder}/${file}`)
  );
  const { code, signal, stdout, stderr } = await new Program({
    argv: [`${FOLDER}build/${name}`, ...files],
    cwd: FOLDER,
    env: { TSAN_OPTIONS: "halt_on_error=1", ASAN_OPTIONS: "detect_leaks=0" },
  }).ended;
  const failed = stdout.split("\n").filter((line) => line.startsWith("FAILED"));
  if (code === 0 && files.length > 0) return null;
  return `${[signal ?? code, ...failed].join("\n")}\n${stderr.slice(0, 4000)}`;
}

async function runFuzzer(seconds: number, seed: number): Promise<NativeResult> {
  mkdirSync(`${FOLDER}build/found`, { recursive: true });
  const { code, stderr } = await new Program({
    argv: [
      `${FOLDER}build/fuzzer`,
      `-max_total_time=${Math.max(1, Math.round(seconds))}`,
      `-seed=${seed % 2 ** 31 || 1}`, // 0 is any
      `-max_len=${INPUT_BYTES_MAX}`,
      "-timeout=20",
      "-rss_limit_mb=4096",
      "-print_final_stats=1",
      `-artifact_prefix=${FOLDER}build/`,
      "found",
      "corpus",
    ],
    cwd: `${FOLDER}build`,
    timeoutMs: 1000 * (seconds + LATE_SECONDS_MAX),
  }).ended;
  const inputs = /number_of_executed_units: (\d+)/.exec(stderr)?.[1] ?? "?";
  const edges = [...stderr.matchAll(/cov: (\d+)/g)].at(-1)?.[1] ?? "?";
  const amount = `${inputs} programs, ${edges} edges of C`;
  if (code === 0) return { amount, error: null };
  const path = /written to (\S+)/.exec(stderr)?.[1] ?? "(no input was written)";
  const lines = stderr.split("\n").filter((line) => !/NEW|REDUCE|pulse|INFO/.test(line));
  return { amount, error: `${path}\n${lines.slice(0, 40).join("\n")}` };
}

/** Fuzzes for a time, and then runs all that is interesting under the sanitizer of threads. */
export async function fuzzNative(seconds: number, seed: number): Promise<NativeResult> {
  const why = await build("build/fuzzer", "build/corpus");
  if (why !== null) return { amount: `none: the fuzzer ${why}`, error: null };
  const fuzzed = await runFuzzer(seconds, seed);
  if (fuzzed.error !== null) return fuzzed;
  const whyNot = await build("build/threads");
  if (whyNot !== null) return { ...fuzzed, amount: `${fuzzed.amount}; for threads ${whyNot}` };
  return { ...fuzzed, error: await replay("threads") };
}
