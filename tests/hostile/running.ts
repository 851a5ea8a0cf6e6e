/**
 * A server that is attacked, in a process of its own, and waiting for what it does.
 */
import { AssertionError } from "@std/assert";
import type { EventLoopOptions } from "../../mod.ts";
import { Program } from "../../scripts/program.ts";
import { commandFor } from "../support/child.ts";
import { root } from "../support/library.ts";
import { delay, tick } from "../support/until.ts";
import type { Report } from "./server.ts";
import { type Target, targetOf } from "./targets.ts";

/** When something is given up that should have come: only failures take so long. */
const PATIENCE_MS = 20_000;

/** How a server is started. */
export interface Settings {
  /** The options of its loop. */
  readonly options?: EventLoopOptions;
  /** How many descriptors it may have. */
  readonly descriptorsMax?: number;
  /** A command that runs it, in front of its own. */
  readonly wrap?: readonly string[];
}

/** A server in a process of its own. */
export class HostileServer {
  readonly target: Target;
  readonly settings: Settings;
  readonly #program: Program;
  port = 0;

  constructor(name: string, settings: Settings = {}) {
    const { options = {}, descriptorsMax, wrap = [] } = settings;
    this.settings = settings;
    this.target = targetOf(name);
    const file = `${root}tests/hostile/server.ts`;
    const argv = commandFor(file, { args: [name, JSON.stringify(options)] }).flat();
    const limited = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', `${descriptorsMax}`];
    this.#program = new Program({
      argv: [...wrap, ...(descriptorsMax === undefined ? argv : [...limited, ...argv])],
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

  stop(): Promise<unknown> {
    return this.#program.stop();
  }
}

/** Waits until it holds; fails when that takes too long, and says what did not come. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (let i = 0; !await holds(); i++) {
    if (performance.now() > end) {
      throw new AssertionError(`it never came: ${typeof what === "string" ? what : what()}`);
    }
    await (i < 20 ? tick() : delay(1));
  }
}
