/**
 * Child processes of a bench: servers that say where they listen, and programs that print a result.
 * Whatever ends the bench, Ctrl-C included, ends them too.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** How long a child may take to start, or to answer or end when asked. */
const ANSWER_MS_MAX = 20_000;

/** A command and where it may run. */
export interface Command {
  /** The program and its arguments. */
  readonly argv: readonly string[];
  /** The CPU it is pinned to; any when left out. */
  readonly cpu?: number;
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A server that listens. */
export interface Server {
  /** Its process. */
  readonly pid: number;
  /** Its port on 127.0.0.1. */
  readonly port: number;
  /** The next line that it prints. */
  line(): Promise<string>;
  /** How many lines so far, of standard output and standard error, a pattern is found in. */
  count(pattern: RegExp): number;
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

const children = new Set<ChildProcess>();

function killAll(): void {
  for (const child of children) child.kill("SIGKILL");
}

process.on("exit", killAll);
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  process.on(signal, () => {
    killAll();
    process.exit(code);
  });
}

/** The path of a file of the project, from its top. */
export function projectPath(relative: string): string {
  return fileURLToPath(new URL(`../../${relative}`, import.meta.url).href);
}

function start({ argv, cpu, env }: Command, stdin: "ignore" | "pipe"): ChildProcess {
  const full = cpu === undefined ? [...argv] : ["taskset", "-c", String(cpu), ...argv];
  const options = { stdio: [stdin, "pipe", "pipe"] as [typeof stdin, "pipe", "pipe"] };
  const child = spawn(full[0]!, full.slice(1), { ...options, env: { ...process.env, ...env } });
  children.add(child);
  child.once("exit", () => children.delete(child));
  child.once("error", () => children.delete(child));
  return child;
}

/**
 * The lines that a child prints, one at a time. Rejects when it ends instead. All are kept: a
 * server prints few, unless it is asked to trace its collections.
 */
class Lines {
  readonly #all: string[] = [];
  readonly #ready: string[] = [];
  readonly #waiting: PromiseWithResolvers<string>[] = [];
  #rest = "";
  #errors = "";
  #end: Error | null = null;

  constructor(child: ChildProcess, name: string) {
    child.stdout!.on("data", (bytes) => this.#add(String(bytes)));
    child.stderr!.on("data", (bytes) => this.#errors += String(bytes));
    const end = (why: string) => {
      this.#end = new Error(`${name} ended: ${why}\n${this.#errors}`);
      for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#end);
    };
    child.once("error", (error) => end(error.message));
    child.once("close", (code, signal) => end(`code ${code}, signal ${signal}`));
  }

  #add(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    for (const line of lines) {
      this.#all.push(line);
      const waiting = this.#waiting.shift();
      if (waiting) waiting.resolve(line);
      else this.#ready.push(line);
    }
  }

  count(pattern: RegExp): number {
    const lines = [...this.#all, ...this.#errors.split("\n")];
    return lines.filter((line) => pattern.test(line)).length;
  }

  /** The next line that a pattern is found in; what comes before is left out. */
  async find(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = await this.next();
      if (pattern.test(line)) return line;
    }
  }

  next(): Promise<string> {
    if (this.#ready.length > 0) return Promise.resolve(this.#ready.shift()!);
    if (this.#end) return Promise.reject(this.#end);
    const waiting = Promise.withResolvers<string>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }
}

/** Rejects when a promise takes too long. */
async function within<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: ReturnType<typeof globalThis.setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = globalThis.setTimeout(() => reject(new Error(`${what} takes too long`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Starts a server and waits until it has printed "listening PORT". */
export async function startServer(command: Command): Promise<Server> {
  const name = command.argv.join(" ");
  const child = start(command, "ignore");
  const lines = new Lines(child, name);
  // A runtime that traces its collections prints some before.
  const first = await within(lines.find(/^listening \d+$/), ANSWER_MS_MAX, name);
  const port = Number(first.split(" ")[1]);
  return serverOf(child, port, lines, () => within(lines.next(), ANSWER_MS_MAX, name));
}

function serverOf(
  child: ChildProcess,
  port: number,
  lines: Lines,
  line: () => Promise<string>,
): Server {
  return {
    pid: child.pid!,
    port,
    line,
    count: (pattern) => lines.count(pattern),
    stop() {
      if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<void>();
      child.once("exit", () => resolve());
      child.kill("SIGKILL");
      return promise;
    },
  };
}

/** A port of 127.0.0.1 that is free now: for servers that do not choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Starts a server that listens on a port which it was told, and waits until it does. */
export async function startServerAt(command: Command, port: number): Promise<Server> {
  const name = command.argv.join(" ");
  const child = start(command, "ignore");
  const lines = new Lines(child, name);
  const ended = lines.next();
  ended.catch(() => {}); // unless it ends before it listens, nobody asks
  const end = performance.now() + ANSWER_MS_MAX;
  while (!await listens(port)) {
    if (child.exitCode !== null) await ended;
    if (performance.now() > end) throw new Error(`${name} does not listen on ${port}`);
  }
  return serverOf(child, port, lines, () => ended);
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    await setTimeout(10);
    return false;
  } finally {
    socket.destroy();
  }
}

/** A program that runs until it is told to end. */
export interface Held {
  /** Ends its standard input and waits until it has ended in order. */
  finish(): Promise<void>;
}

/** Starts a program that prints "ready" and waits for the end of its standard input. */
export async function hold(command: Command): Promise<Held> {
  const name = command.argv.join(" ");
  const child = start(command, "pipe");
  const ended = new Promise<void>((resolve, reject) => {
    child.once(
      "close",
      (code) => code === 0 ? resolve() : reject(new Error(`${name}: code ${code}`)),
    );
  });
  ended.catch(() => {}); // told by `next` below, or by `finish`
  const lines = new Lines(child, name);
  const first = await within(lines.next(), ANSWER_MS_MAX, name);
  if (first !== "ready") throw new Error(`${name} printed "${first}", not "ready"`);
  return {
    finish() {
      child.stdin!.end();
      return within(ended, ANSWER_MS_MAX, name);
    },
  };
}

/** A program that runs until it is told to end. */
export interface Program {
  /** Sends a signal. */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  /** Sends a signal that ends it, unless it has ended; resolves when it has. */
  end(name: "SIGINT" | "SIGKILL"): Promise<void>;
}

/** Starts a program and does not wait for anything. */
export function startProgram(command: Command): Program {
  const child = start(command, "ignore");
  child.stdout!.resume();
  child.stderr!.resume();
  const ended = new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("close", () => resolve());
  });
  return {
    signal: (name) => void child.kill(name),
    end(name) {
      child.kill(name);
      return within(ended, ANSWER_MS_MAX, command.argv.join(" "));
    },
  };
}

/** Runs a program to its end: what it printed. Rejects when it ends with another code than 0. */
export function run(command: Command): Promise<string> {
  const child = start(command, "ignore");
  let out = "";
  let errors = "";
  child.stdout!.on("data", (bytes) => out += String(bytes));
  child.stderr!.on("data", (bytes) => errors += String(bytes));
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once("error", reject);
  child.once("close", (code, signal) => {
    const name = command.argv.join(" ");
    if (code === 0) resolve(out);
    else reject(new Error(`${name}: code ${code}, signal ${signal}\n${errors}`));
  });
  return promise;
}
