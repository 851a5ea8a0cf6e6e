/**
 * Programs that run in a process of their own, on the runtime that runs the tests.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
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
}

/** The command that runs a file on this runtime. */
export function commandFor(file: string, options: ChildOptions = {}): [string, string[]] {
  const { permissions = ["-A"], args = [] } = options;
  const verb = host.name === "deno"
    ? ["run", "--no-check", "--no-prompt", ...permissions]
    : ["run"];
  return [process.execPath, [...verb, file, ...args]];
}

/** Runs a file until it ends. Killed, and its signal "SIGKILL", when that takes longer than 20 s. */
export async function run(file: string, options: ChildOptions = {}): Promise<Ended> {
  const [command, args] = commandFor(file, options);
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
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  const [code, signal] = await once(child, "close");
  return { code, signal, stdout, stderr };
}
