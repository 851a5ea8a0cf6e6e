/**
 * The programs of bench/native, built when they are not there.
 */
import { spawnSync } from "node:child_process";
import type { Server } from "../../bench/harness/child.ts";
import { Program } from "../../scripts/program.ts";
import { root } from "./library.ts";

/** A program may take so long, in milliseconds; each is asked for far less. */
const PROGRAM_MS_MAX = 20_000;

/** The figures of a run of `load`, by name: bench/native/load/report.c. */
export type LoadReport = Readonly<Record<string, number>>;

/** The end of `load`. */
export interface Loaded {
  code: number | null;
  /** Its line of JSON; empty when it ended with an error. */
  report: LoadReport;
  errors: string;
}

/** Builds a program, unless it is built: its path. */
export function built(name: string): string {
  const made = spawnSync("make", ["-s", "-C", `${root}bench`, `build/${name}`], {
    encoding: "utf8",
  });
  if (made.status !== 0) throw new Error(`Cannot build ${name}: ${made.stderr}`);
  return `${root}bench/build/${name}`;
}

function start(name: string, options: string): Program {
  return new Program({ argv: [built(name), ...options.split(" ")], timeoutMs: PROGRAM_MS_MAX });
}

/** Runs `load`, its options as they would be typed, to its end. */
export async function runLoad(options: string): Promise<Loaded> {
  const { code, stdout, stderr } = await start("load", options).ended;
  const isReport = code === 0 && stdout.startsWith("{");
  return { code, report: isReport ? JSON.parse(stdout) : {}, errors: stderr };
}

/** Starts `echo`; resolves when it listens. */
export async function startEcho(options: string): Promise<Server> {
  const echo = start("echo", options);
  const [, port] = await echo.find(/^listening (\d+)\n$/);
  return Object.assign(echo, { port: Number(port) });
}
