/**
 * Programs in processes of their own: started, read, and ended together with all that they started.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { clearTimeout, setTimeout } from "node:timers";

/** Some servers need seconds to start on a machine that is busy. */
const ANSWER_MS_MAX = 20_000;

/** A command line, and where it runs. */
export interface Command {
  /** The program and its arguments. */
  readonly argv: readonly string[];
  /** The CPU it is pinned to; any unless given. */
  readonly cpu?: number;
  /** Its working directory; that of this process unless given. */
  readonly cwd?: string;
  /** Variables beside those of this process; undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** True when its standard input is a pipe, which `endInput` ends; it is empty unless given. */
  readonly hasInput?: boolean;
  /** It is killed so many milliseconds after its start; never unless given. */
  readonly timeoutMs?: number;
  /** The encoding of its output; utf8 unless given. */
  readonly encoding?: "utf8" | "latin1";
}

/** The end of a program, and its whole output. */
export interface Ended {
  /** The exit code; null when a signal ended it, or it did not start. */
  readonly code: number | null;
  /** The signal that ended it. */
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The processes that a process has started, directly or not (proc(5)). They are no process group of
 * their own, because node:child_process can only make one together with a session: Ctrl-C would not
 * reach it, and the kernel would share the CPUs by session (autogroup, sched(7)).
 */
function descendantsOf(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").slice(0, -1)
    );
    return children.map(Number).flatMap((child) => [child, ...descendantsOf(child)]);
  } catch {
    return []; // it has ended meanwhile
  }
}

const running = new Set<Program>();

/** Whatever ends this process, Ctrl-C included, ends the programs that it has started. */
function endAll(): void {
  for (const program of running) program.signal("SIGKILL");
}

process.on("exit", endAll);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    endAll();
    process.kill(process.pid, signal); // nothing catches it any more
  });
}

/** A program that was started. */
export class Program {
  /** Its output so far. */
  stdout = "";
  stderr = "";
  /** The end, once it has come. */
  outcome: Ended | null = null;
  /** Resolves at the end; when the program cannot be started, too. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #name: string;
  #readTo = 0;
  /** Resolves when there is more output, or the end. */
  #more = Promise.withResolvers<void>();

  /** Starts a command. */
  constructor({ argv, cpu, cwd, env, hasInput, timeoutMs, encoding = "utf8" }: Command) {
    const [file, ...args] = cpu === undefined ? argv : ["taskset", "-c", `${cpu}`, ...argv];
    const variables = Object.entries({ ...process.env, ...env })
      .filter(([, value]) => value !== undefined);
    this.#name = argv.join(" ");
    this.#child = spawn(file!, args, {
      cwd,
      env: Object.fromEntries(variables),
      stdio: [hasInput ? "pipe" : "ignore", "pipe", "pipe"],
    });
    running.add(this);
    for (const name of ["stdout", "stderr"] as const) {
      this.#child[name]!.setEncoding(encoding).on("data", (text: string) => {
        this[name] += text;
        this.#wake();
      });
    }
    const timer = timeoutMs && setTimeout(() => this.signal("SIGKILL"), timeoutMs);
    this.ended = new Promise((resolve) => {
      const onEnd = (code: number | null, signal: string | null) => {
        if (timer) clearTimeout(timer);
        running.delete(this);
        this.outcome ??= { code, signal, stdout: this.stdout, stderr: this.stderr };
        this.#wake();
        resolve(this.outcome);
      };
      this.#child.once("error", (error) => {
        this.stderr += error.message;
        onEnd(null, null);
      });
      this.#child.once("close", onEnd);
    });
  }

  /** Its process. */
  get pid(): number {
    return this.#child.pid!;
  }

  /** Standard output, and then standard error. */
  get output(): string {
    return this.stdout + this.stderr;
  }

  /**
   * The first match in standard output that comes after the last one found. Rejects when the program
   * ends instead. It is killed when it takes too long.
   */
  async find(pattern: RegExp, withinMs = ANSWER_MS_MAX): Promise<RegExpExecArray> {
    const timer = setTimeout(() => this.signal("SIGKILL"), withinMs);
    try {
      for (;;) {
        const match = pattern.exec(this.stdout.slice(this.#readTo));
        if (match !== null) {
          this.#readTo += match.index + match[0].length;
          return match;
        }
        if (this.outcome !== null) throw this.#failure(`before it printed ${pattern}`);
        await this.#more.promise;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next line of standard output. */
  async line(): Promise<string> {
    return (await this.find(/(.*)\n/))[1]!;
  }

  /** The number of lines so far, of either output, in which a pattern is found. */
  count(pattern: RegExp): number {
    return this.output.split("\n").filter((line) => pattern.test(line)).length;
  }

  /** Writes to its standard input. */
  write(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** Ends its standard input, after a last text. */
  endInput(text = ""): void {
    this.#child.stdin!.end(text);
  }

  /**
   * Sends a signal: SIGKILL to it and all that it has started, others to the process alone. (Not by
   * kill() of the child: Deno reports that signal as the end, whatever the process made of it, and
   * sends no second one.)
   */
  signal(name: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    const pids = name === "SIGKILL" ? [this.pid, ...descendantsOf(this.pid)] : [this.pid];
    for (const pid of pids) {
      try {
        process.kill(pid, name);
      } catch (error) {
        if ((error as { code?: string }).code !== "ESRCH") throw error; // it has ended meanwhile
      }
    }
  }

  /** Ends it, unless it has ended, and waits for that. */
  stop(signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    if (this.outcome === null) this.signal(signal);
    return this.ended;
  }

  /** Waits for its end and returns standard output. Rejects unless the exit code is 0. */
  async finish(): Promise<string> {
    const { code, stdout } = await this.ended;
    if (code === 0) return stdout;
    throw this.#failure("");
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }

  #failure(when: string): Error {
    const { code, signal } = this.outcome!;
    return new Error(`${this.#name} ended with ${signal ?? code} ${when}\n${this.output}`);
  }
}

/** Runs a command to its end, which must be 0: its standard output. */
export function run(command: Command): Promise<string> {
  return new Program(command).finish();
}
