/**
 * Programs of others: clients that were not written to agree with us.
 */
import { assertEquals } from "@std/assert";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { root } from "./library.ts";

/** How many times as much is done as in CI, with ACCEPTANCE=full in the environment. */
export const SCALE: number = process.env["ACCEPTANCE"] === "full" ? 10 : 1;

/** How long a program may take. */
export const TOOL_MS_MAX: number = 50_000 * SCALE;

/**
 * For `skip`: why a test cannot run without these programs, or false when all are there. Said aloud,
 * since runners print no reasons.
 */
export function lacks(...programs: readonly string[]): string | false {
  const absent = programs.filter((program) =>
    spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0
  );
  if (absent.length === 0) return false;
  const why = `not installed: ${absent.join(", ")}; scripts/acceptance_tools.sh installs them`;
  console.log(`  skipped: ${why}`);
  return why;
}

/** What a program printed. */
export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Fails unless it ends with 0, in time. */
export async function runTool(program: string, args: readonly string[]): Promise<Output> {
  const child = spawn(program, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TOOL_MS_MAX,
    killSignal: "SIGKILL",
  });
  let stdout = "", stderr = "";
  child.stdout.setEncoding("latin1").on("data", (text) => stdout += text);
  child.stderr.setEncoding("latin1").on("data", (text) => stderr += text);
  const [code, signal] = await once(child, "close");
  assertEquals([code, signal], [0, null], `${program} ${args.join(" ")}\n${stdout}\n${stderr}`);
  return { stdout, stderr };
}
