/**
 * Programs that run in a process of their own, on the runtime that runs the tests.
 */
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { type Ended, Program } from "../../scripts/program.ts";
import { root } from "./library.ts";

export type { Ended, Program };

/** Settings of a program. */
export interface ChildOptions {
  /** Deno's permissions; everything unless given. Bun has none. */
  permissions?: string[];
  /** Variables beside those of this process; undefined takes one away. */
  env?: Record<string, string | undefined>;
  args?: string[];
  /** The limit of its descriptors (RLIMIT_NOFILE); that of this process unless given. */
  descriptorsMax?: number;
  /** It is killed after so long, in milliseconds; 20000 unless given. */
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

/** Starts a file. Killed when it takes too long. */
export function start(file: string, options: ChildOptions = {}): Program {
  const { descriptorsMax, timeoutMs = 20_000, env } = options;
  const argv = commandFor(file, options).flat();
  const limit = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', `${descriptorsMax}`];
  return new Program({
    argv: descriptorsMax === undefined ? argv : [...limit, ...argv],
    cwd: root,
    env: { NETPOLL_LIB: undefined, NO_COLOR: "1", ...env },
    timeoutMs,
  });
}

/** Runs a file until it ends. Its signal is "SIGKILL" when that took too long. */
export function run(file: string, options: ChildOptions = {}): Promise<Ended> {
  return start(file, options).ended;
}
