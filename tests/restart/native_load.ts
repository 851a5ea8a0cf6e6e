/**
 * The load of bench/native/churn.c: more clients than this runtime has time for, beside a server on two
 * cores.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { root } from "../support/library.ts";
import type { Counts, RestartLoad } from "./load.ts";

/** A client that stays asks so often: it is there, and seldom busy, as most are. */
const PAUSE_MS = 1000;

/** Builds the program. The reason why it cannot be built; null if it was. */
export function buildChurn(): string | null {
  const { status, stderr } = spawnSync("make", ["-s", "-C", `${root}bench`, "build/churn"], {
    encoding: "utf8",
  });
  return status === 0 ? null : `cannot build bench/native/churn.c: ${stderr}`;
}

/** Load at a port, until it is stopped. */
export class NativeLoad implements RestartLoad {
  readonly errors = new Set<string>();
  serverCount = 0;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  #counts: Promise<Counts> | null = null;
  #out = "";

  /** Clients that come and go, and others that stay. */
  constructor(port: number, { shortCount, keptCount }: { shortCount: number; keptCount: number }) {
    const args = [port, shortCount, keptCount, PAUSE_MS].map(String);
    this.#child = spawn(`${root}bench/build/churn`, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout!.on("data", (chunk) => this.#out += chunk);
    this.#ended = once(this.#child, "close");
  }

  stop(): Promise<Counts> {
    return this.#counts ??= this.#stop();
  }

  async #stop(): Promise<Counts> {
    this.#child.stdin!.end();
    const [status] = await this.#ended;
    if (status !== 0) throw new Error(`bench/build/churn ended with ${status}`);
    const { servers, error, seconds: _, ...counts } = JSON.parse(this.#out);
    this.serverCount = servers;
    if (error !== "") this.errors.add(error);
    return counts;
  }
}
