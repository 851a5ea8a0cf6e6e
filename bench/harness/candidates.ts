/**
 * The servers that take part in the benches, and the commands that start them.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { COLLECTIONS, type CollectionTrace, type Mode, type Peer, PEERS } from "../peers/peers.ts";
import { type Command, projectPath } from "./child.ts";
import type { Scenario } from "./scenarios.ts";

/** A program that can run a server. */
export type Runtime = "bun" | "deno" | "node";

/** A server in a bench. */
export interface Candidate {
  /** Its name in options. */
  readonly name: string;
  /** Its name in tables. */
  readonly title: string;
  /** Its runtime; null for a compiled program. */
  readonly runtime: Runtime | null;
  /** The command that starts it, for messages of a size; it echoes unless told otherwise. */
  argv(messageBytes: number, mode?: Mode): string[];
  /** True for this library. */
  readonly isOurs?: boolean;
  /** Its modes; all of them when left out. */
  readonly modes?: readonly Mode[];
  /** True when it reads on from a client that does not take its answers, and keeps them in memory. */
  readonly isUnbounded?: boolean;
  /** The toolchain that builds it. */
  readonly needs?: string;
  /** The target of bench/Makefile that builds it. */
  readonly build?: string;
  /** Its trace of garbage collections; null when it has none. */
  readonly collections: CollectionTrace | null;
}

const paths = new Map<Runtime, string>();

/** The path of a runtime: the project's own, as pinned in package.json; Node is the system's. */
export function runtimePath(runtime: Runtime): string {
  let path = paths.get(runtime);
  if (path === undefined) {
    path = runtime === "node" ? "node" : realPath(runtime);
    paths.set(runtime, path);
  }
  return path;
}

/**
 * The path of the runtime itself. npm may install a script that starts it, and the process of a
 * script is not the one to measure.
 */
function realPath(runtime: Runtime): string {
  const installed = projectPath(`node_modules/.bin/${runtime}`);
  const evaluate = runtime === "deno" ? "eval" : "-e";
  const options = { encoding: "utf8" as const };
  return execFileSync(installed, [evaluate, "console.log(process.execPath)"], options).trim();
}

/** The flags of each runtime. */
const FLAGS: Readonly<Record<Runtime, readonly string[]>> = {
  bun: [],
  deno: ["run", "--allow-all", "--quiet"],
  node: [],
};

/** The flags that load bench/peers/probe.mjs, and let it collect garbage. */
const PROBE_FLAGS: Readonly<Record<Runtime, readonly string[]>> = {
  bun: ["--preload"],
  deno: ["--v8-flags=--expose-gc", "--preload"],
  node: ["--no-warnings", "--expose-gc", "--import"],
};

/** The command that runs a file of the project. */
export function runFile(runtime: Runtime, file: string, args: readonly string[] = []): string[] {
  return [runtimePath(runtime), ...FLAGS[runtime], projectPath(file), ...args];
}

/** Adds a probe to a command, which answers `probe` of harness/memory.ts. */
export function withProbe(candidate: Candidate, argv: readonly string[]): string[] {
  const { runtime } = candidate;
  if (runtime === null) return [...argv];
  const before = 1 + FLAGS[runtime].length;
  const flags = [...PROBE_FLAGS[runtime], projectPath("bench/peers/probe.mjs")];
  return [...argv.slice(0, before), ...flags, ...argv.slice(before)];
}

/** The command of a candidate that traces its collections; null when it has none to trace. */
export function withTrace(candidate: Candidate, argv: readonly string[]): Command | null {
  const { runtime, collections } = candidate;
  if (collections === null) return null;
  const { env, flags = [] } = collections;
  const before = 1 + (runtime === null ? 0 : FLAGS[runtime].length);
  return { argv: [...argv.slice(0, before), ...flags, ...argv.slice(before)], env };
}

function ours(runtime: Runtime, style: "sync" | "async"): Candidate {
  return {
    name: `${runtime}-${style}`,
    title: `netpoll in ${capital(runtime)}, ${style}`,
    runtime,
    isOurs: true,
    collections: COLLECTIONS[runtime],
    argv: (bytes, mode = "echo") =>
      runFile(runtime, "bench/servers/echo.ts", ["0", String(bytes), mode, style]),
  };
}

function peer(entry: Peer): Candidate {
  const { name, title, runtime, modes, isUnbounded, collections } = entry;
  const about = { name, title, runtime, modes, isUnbounded, collections };
  if (entry.runtime === null) {
    const { needs, build } = entry;
    return { ...about, needs, build, argv: (bytes, mode = "echo") => entry.argv(bytes, mode) };
  }
  const file = `bench/peers/${entry.file}`;
  const argv = (bytes: number, mode: Mode = "echo") =>
    runFile(entry.runtime, file, ["0", String(bytes), mode]);
  return { ...about, argv };
}

function capital(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}

/** The limit: what all others are divided by. */
export const LIMIT: Candidate = {
  name: "c",
  title: "C, epoll",
  runtime: null,
  collections: null,
  argv: (_, mode = "echo") => {
    const program = projectPath("bench/build/echo");
    return mode === "echo" ? [program] : [program, "-m", mode];
  },
};

/** All of them; C first. */
export const CANDIDATES: readonly Candidate[] = [
  LIMIT,
  ours("bun", "sync"),
  ours("bun", "async"),
  ours("deno", "sync"),
  ours("deno", "async"),
  ...PEERS.map(peer),
];

function sketch(runtime: Runtime, style: "loop" | "watcher"): Candidate {
  return {
    name: `${runtime}-${style}`,
    title: `a sketch in ${capital(runtime)}, ${style}`,
    runtime,
    modes: ["echo"],
    collections: null,
    argv: () => runFile(runtime, "bench/servers/sketch.ts", ["0", style]),
  };
}

/** Steps towards the library. They are no servers to use, and so measured only when they are named. */
export const SKETCHES: readonly Candidate[] = [
  sketch("bun", "loop"),
  sketch("bun", "watcher"),
  sketch("deno", "loop"),
  sketch("deno", "watcher"),
];

/** The command that starts a candidate for a scenario, pinned to a CPU or not. */
export function commandOf(candidate: Candidate, scenario: Scenario, cpu?: number): Command {
  return { argv: candidate.argv(scenario.messageBytes, scenario.mode), cpu };
}

/** The reason why a candidate cannot take part here; null when it can. */
export function absence(candidate: Candidate): string | null {
  const { needs, build, runtime } = candidate;
  if (runtime !== null) return isThere(runtime) ? null : `no ${runtime}`;
  try {
    accessSync(candidate.argv(64)[0]!, constants.X_OK);
    return null;
  } catch {
    if (needs !== undefined && !isThere(needs)) return `no ${needs}`;
    return `not built: make -C bench ${build ?? "programs"}`;
  }
}

const found = new Map<string, boolean>();

/** True when a program can be found: a runtime, or a toolchain. */
function isThere(program: string): boolean {
  if (!found.has(program)) {
    const isOurs = program === "bun" || program === "deno" || program === "node";
    const path = isOurs ? runtimePath(program) : program;
    // Its answer to the option does not matter: go wants no dashes.
    found.set(program, spawnSync(path, ["--version"], { stdio: "ignore" }).error === undefined);
  }
  return found.get(program)!;
}
