/**
 * Programs that run in a process of their own, on the runtime that runs the tests.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import type { Readable } from "node:stream";
import { host } from "../../ffi/host.ts";
import { root } from "./library.ts";

/** How a program ended, and what it printed. */
export interface Ended {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

/** What a program is given. */
export interface ChildOptions {
  /** Deno's permissions; everything unless given. Bun has none. */
  permissions?: string[];
  /** Variables beside those of this process; undefined takes one away. */
  env?: Record<string, string | undefined>;
  args?: string[];
  /** How many descriptors it may have (RLIMIT_NOFILE); as many as this process unless given. */
  descriptorsMax?: number;
  /** How long it may take before it is killed, in milliseconds; 20000 unless given. */
  timeoutMs?: number;
}

/** The command that runs a file on this runtime. */
export function commandFor(file: string, options: ChildOptions = {}): [string, string[]] {
  const { permissions = ["-A"], args = [] } = options;
  const verb = host.name === "deno"
    ? ["run", "--no-check", "--no-prompt", ...permissions]
    : ["run"];
  return [process.execPath, [...verb, file, ...args]];
}

/** The same command with fewer descriptors. */
function limited([command, args]: [string, string[]], descriptorsMax?: number): [string, string[]] {
  if (descriptorsMax === undefined) return [command, args];
  return ["sh", ["-c", 'ulimit -n "$0" && exec "$@"', `${descriptorsMax}`, command, ...args]];
}

/** Starts a file. Killed when it takes too long. */
export function start(
  file: string,
  options: ChildOptions = {},
): ChildProcessByStdio<null, Readable, Readable> {
  const [command, args] = limited(commandFor(file, options), options.descriptorsMax);
  const env: Record<string, string | undefined> = {
    ...process.env,
    NETPOLL_LIB: undefined,
    NO_COLOR: "1",
    ...options.env,
  };
  for (const name of Object.keys(env)) if (env[name] === undefined) delete env[name];
  const child = spawn(command, args, {
    cwd: root,
    env: env as Record<string, string>,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: options.timeoutMs ?? 20_000,
    killSignal: "SIGKILL",
  });
  child.stdout.setEncoding("utf8");
  child.stderr.setEncoding("utf8");
  return child;
}

/** Runs a file until it ends. Its signal is "SIGKILL" when that took too long. */
export async function run(file: string, options: ChildOptions = {}): Promise<Ended> {
  const child = start(file, options);
  let stdout = "", stderr = "";
  child.stdout.on("data", (text) => stdout += text);
  child.stderr.on("data", (text) => stderr += text);
  const [code, signal] = await once(child, "close");
  return { code, signal, stdout, stderr };
}
