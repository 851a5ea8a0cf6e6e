/**
 * The programs of bench/native, built when they are not there.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { root } from "./library.ts";
import { soon } from "./until.ts";

/** How long a program may take; each is asked for far less. */
const PROGRAM_MS_MAX = 20_000;

/** What the program `load` says of a run: bench/native/load/report.c. */
export type LoadReport = Readonly<Record<string, number>>;

/** How `load` ended. */
export interface Loaded {
  code: number | null;
  /** Its line of JSON; empty when it ended with an error. */
  report: LoadReport;
  errors: string;
}

/** A server in a process of its own. */
export interface Program {
  pid: number;
  port: number;
  stop(): Promise<void>;
}

function built(name: string): string {
  const made = spawnSync("make", ["-s", "-C", `${root}bench`, `build/${name}`], {
    encoding: "utf8",
  });
  if (made.status !== 0) throw new Error(`Cannot build ${name}: ${made.stderr}`);
  return `${root}bench/build/${name}`;
}

function start(name: string, args: readonly string[]): ChildProcess {
  return spawn(built(name), args, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PROGRAM_MS_MAX,
    killSignal: "SIGKILL",
  });
}

/** Runs `load`, its options as they would be typed, to its end. */
export async function runLoad(options: string): Promise<Loaded> {
  const child = start("load", options.split(" "));
  let printed = "";
  let errors = "";
  child.stdout!.on("data", (bytes) => printed += String(bytes));
  child.stderr!.on("data", (bytes) => errors += String(bytes));
  const [code] = await once(child, "close");
  return { code, report: code === 0 && printed.startsWith("{") ? JSON.parse(printed) : {}, errors };
}

/** Starts `echo`; resolves when it listens. */
export async function startEcho(options: string): Promise<Program> {
  const child = start("echo", options.split(" "));
  const [line] = await soon(once(child.stdout!, "data"), "echo listens");
  const port = Number(/^listening (\d+)\n$/.exec(String(line))?.[1]);
  if (!port) throw new Error(`echo printed "${line}", not "listening PORT"`);
  return {
    pid: child.pid!,
    port,
    async stop() {
      const gone = once(child, "close");
      child.kill("SIGKILL");
      await gone;
    },
  };
}
