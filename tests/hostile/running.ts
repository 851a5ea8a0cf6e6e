/**
 * A server that is attacked, in a process of its own, and waiting for what it does.
 */
import type { EventLoopOptions } from "../../mod.ts";
import { Program } from "../../scripts/program.ts";
import { commandFor } from "../support/child.ts";
import { root } from "../support/library.ts";
import { MemoryGroup } from "./memory_group.ts";
import type { Report } from "./server.ts";
import { type Target, targetOf } from "./targets.ts";

/** How a server is started. */
export interface Settings {
  /** The options of its loop. */
  readonly options?: EventLoopOptions;
  /** How many descriptors it may have. */
  readonly descriptorsMax?: number;
  /** How much memory it may have before the kernel kills it. */
  readonly memoryBytesMax?: number;
}

/** A server in a process of its own. */
export class HostileServer {
  readonly target: Target;
  readonly settings: Settings;
  readonly #program: Program;
  readonly #memory: MemoryGroup | null;
  port = 0;

  constructor(name: string, settings: Settings = {}) {
    const { options = {}, descriptorsMax, memoryBytesMax } = settings;
    this.settings = settings;
    this.#memory = memoryBytesMax === undefined ? null : new MemoryGroup(memoryBytesMax);
    this.target = targetOf(name);
    const file = `${root}tests/hostile/server.ts`;
    const argv = commandFor(file, { args: [name, JSON.stringify(options)] }).flat();
    const limited = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', `${descriptorsMax}`];
    this.#program = new Program({
      argv: [
        ...this.#memory?.wrap ?? [],
        ...(descriptorsMax === undefined ? argv : [...limited, ...argv]),
      ],
      cwd: root,
      hasInput: true,
      env: { NO_COLOR: "1" },
    });
  }

  /** Its process. */
  get pid(): number {
    return this.#program.pid;
  }

  /** Waits until it serves. */
  async started(): Promise<this> {
    if (this.port === 0) this.port = Number((await this.#program.find(/port (\d+)\n/))[1]);
    return this;
  }

  /** What it holds now. */
  async report(): Promise<Report> {
    this.#program.write("\n");
    return JSON.parse((await this.#program.find(/(\{.*\})\n/))[1]!);
  }

  async stop(): Promise<void> {
    await this.#program.stop();
    await this.#memory?.remove();
  }
}
