/**
 * Programs of others: clients that were not written to agree with us.
 */
import { assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { type Ended, Program } from "../../scripts/program.ts";
import { startServerAt } from "../../bench/harness/child.ts";
import { start } from "./child.ts";
import { root } from "./library.ts";

/** The factor of the work beside CI, with ACCEPTANCE=full in the environment. */
export const SCALE: number = process.env["ACCEPTANCE"] === "full" ? 10 : 1;

/** A program may take so long, in milliseconds. */
export const TOOL_MS_MAX: number = 50_000 * SCALE;

/**
 * For `skip`: why a test cannot run without these programs, or false when all are there. Said aloud,
 * since runners print no reasons.
 */
export function lacks(...programs: readonly string[]): string | false {
  const absent = programs.filter((program) =>
    spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0
  );
  return absent.length === 0 ? false : skipped(absent.join(", "));
}

/** As {@linkcode lacks}, for a module of Python. */
export function lacksModule(python: string, module: string): string | false {
  const { status } = spawnSync(python, ["-c", `import ${module}`]);
  return status === 0 ? false : skipped(`module ${module} of ${python}`);
}

function skipped(absent: string): string {
  const why = `not installed: ${absent}; scripts/acceptance_tools.sh installs them`;
  console.log(`  skipped: ${why}`);
  return why;
}

/** Runs a program to its end. Fails unless it ends with 0, in time. */
export async function runTool(program: string, args: readonly string[]): Promise<Ended> {
  const argv = [program, ...args];
  const command = { argv, cwd: root, timeoutMs: TOOL_MS_MAX, encoding: "latin1" } as const;
  const ended = await new Program(command).ended;
  const { code, signal, stdout, stderr } = ended;
  assertEquals([code, signal], [0, null], `${argv.join(" ")}\n${stdout}\n${stderr}`);
  return ended;
}

/** Runs an example that serves while it calls with its port; it ends in order. What it has printed. */
export async function withServer(
  file: string,
  call: (port: string, server: Program) => Promise<unknown>,
  args: readonly string[] = [],
  at = "127.0.0.1:0",
): Promise<string> {
  const server = start(file, { args: [at, ...args], timeoutMs: 5 * TOOL_MS_MAX });
  try {
    const [, port] = await server.find(/Listening on .*:(\d+);/);
    await call(port!, server);
  } finally {
    await server.stop("SIGINT");
  }
  const { code, signal, stdout, stderr } = await server.ended;
  assertEquals([code, signal], [0, null], stderr);
  return stdout;
}

/** Runs a server of others at a port while it calls. */
export async function withServerOf(
  port: number,
  argv: readonly [string, ...string[]],
  call: () => Promise<void>,
): Promise<void> {
  const server = await startServerAt({ argv }, port);
  try {
    await call();
  } finally {
    await server.stop("SIGINT"); // PostgreSQL ends its connections on this one
  }
}
