/**
 * Who takes part in the benches: every server, and how it is started.
 */
import { execFileSync } from "node:child_process";
import { type Peer, PEERS } from "../peers/peers.ts";
import { type Command, projectPath } from "./child.ts";

/** A program that can run a server. */
export type Runtime = "bun" | "deno" | "node";

/** A server in a bench. */
export interface Candidate {
  /** What the options call it. */
  readonly name: string;
  /** What the tables call it. */
  readonly title: string;
  /** What it runs on; null for C. */
  readonly runtime: Runtime | null;
  /** How it is started for messages of a size. */
  argv(messageBytes: number): string[];
}

const paths = new Map<Runtime, string>();

/** Where a runtime is: the project's own, as pinned in package.json; Node is the system's. */
export function runtimePath(runtime: Runtime): string {
  let path = paths.get(runtime);
  if (path === undefined) {
    path = runtime === "node" ? "node" : realPath(runtime);
    paths.set(runtime, path);
  }
  return path;
}

/**
 * What npm installs may be a script that starts the runtime: its process is not the one to measure.
 */
function realPath(runtime: Runtime): string {
  const installed = projectPath(`node_modules/.bin/${runtime}`);
  const evaluate = runtime === "deno" ? "eval" : "-e";
  const options = { encoding: "utf8" as const };
  return execFileSync(installed, [evaluate, "console.log(process.execPath)"], options).trim();
}

/** What a runtime is started with. */
const FLAGS: Readonly<Record<Runtime, readonly string[]>> = {
  bun: [],
  deno: ["run", "--allow-all", "--quiet"],
  node: [],
};

/** What loads bench/peers/probe.mjs, and lets it collect garbage. */
const PROBE_FLAGS: Readonly<Record<Runtime, readonly string[]>> = {
  bun: ["--preload"],
  deno: ["--v8-flags=--expose-gc", "--preload"],
  node: ["--no-warnings", "--expose-gc", "--import"],
};

/** How a runtime runs a file of the project. */
export function runFile(runtime: Runtime, file: string, args: readonly string[] = []): string[] {
  return [runtimePath(runtime), ...FLAGS[runtime], projectPath(file), ...args];
}

/** The same command, with a probe in it that answers `probe` of harness/memory.ts. */
export function withProbe(candidate: Candidate, argv: readonly string[]): string[] {
  const { runtime } = candidate;
  if (runtime === null) return [...argv];
  const before = 1 + FLAGS[runtime].length;
  const flags = [...PROBE_FLAGS[runtime], projectPath("bench/peers/probe.mjs")];
  return [...argv.slice(0, before), ...flags, ...argv.slice(before)];
}

function ours(runtime: Runtime, style: "sync" | "async"): Candidate {
  return {
    name: `${runtime}-${style}`,
    title: `netpoll in ${capital(runtime)}, ${style}`,
    runtime,
    argv: (bytes) => runFile(runtime, "bench/servers/echo.ts", ["0", String(bytes), "echo", style]),
  };
}

function peer(peer: Peer): Candidate {
  const { runtime, name, title } = peer;
  const argv = runtime === null
    ? (bytes: number) => peer.argv(bytes, "echo")
    : (bytes: number) => runFile(runtime, `bench/peers/${peer.file}`, ["0", String(bytes)]);
  return { name, title, runtime, argv };
}

function capital(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}

/** The limit: what all others are divided by. */
export const LIMIT: Candidate = {
  name: "c",
  title: "C, epoll",
  runtime: null,
  argv: () => [projectPath("bench/build/echo")],
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

/** Those that the options name, in the order of the table; all when there is no list. */
export function select<T extends { readonly name: string }>(
  all: readonly T[],
  list: string | undefined,
): readonly T[] {
  if (list === undefined) return all;
  const names = list.split(",");
  const unknown = names.filter((name) => !all.some((one) => one.name === name));
  if (unknown.length > 0) {
    const known = all.map((one) => one.name).join(", ");
    throw new Error(`Unknown: ${unknown.join(", ")}; there are ${known}`);
  }
  return all.filter((one) => names.includes(one.name));
}

/** How a candidate is started, pinned to a CPU or not. */
export function commandOf(candidate: Candidate, messageBytes: number, cpu?: number): Command {
  return { argv: candidate.argv(messageBytes), cpu };
}
