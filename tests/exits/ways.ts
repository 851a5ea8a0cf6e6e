/**
 * The ways in which a server ends, and how each of them must look from outside.
 */
import { AssertionError } from "@std/assert";
import { setTimeout } from "node:timers";
import { createListener, type TcpAddress } from "../../mod.ts";
import { type Ended, type Program, start } from "../support/child.ts";
import type { Random } from "../support/random.ts";
import { type Client, connectMany } from "./load.ts";
import { FLUSHED, STREAM_FILE } from "./party.ts";
import { FlushedFile } from "./flushed.ts";

/** A server is one loop, or a cluster of two pollers. */
export type Shape = "loop" | "cluster";

/** How a server ends. */
export interface Way {
  readonly name: string;
  /** The first argument of server.ts. */
  readonly act: string;
  /** The signals that end it, one after the other; SIGHUP makes it act. */
  readonly signals: readonly NodeJS.Signals[];
  /** The exit codes and signals that are right. */
  readonly outcomes: readonly (number | string)[];
  /** Whether what was flushed arrives although the connection may end by a reset. */
  readonly isGraceful: boolean;
  /** A line of standard error that tells of it; no line may be there unless given. */
  readonly says?: RegExp;
  /** One shape alone. */
  readonly shape?: Shape;
  /**
   * Whether the runtime may go on as if nothing had happened: Bun 1.4 does after an error that a
   * timer throws, also without netpoll. Then it has to serve on.
   */
  readonly mayGoOn?: boolean;
}

function acting(act: string, code: number, more: Partial<Way> = {}): Way {
  return { name: act, act, signals: ["SIGHUP"], outcomes: [code], isGraceful: false, ...more };
}

function killed(signal: NodeJS.Signals): Way {
  return { ...acting("none", 0), name: signal, signals: [signal], outcomes: [signal] };
}

function drained(codes: number[], ...signals: NodeJS.Signals[]): Way {
  const isGraceful = signals.length === 1;
  const name = `shutdownOnSignals, ${signals.join(" and ")}`;
  return { ...acting("signals", 0), name, signals, outcomes: [0, ...codes], isGraceful };
}

/**
 * An error of a microtask that another microtask began is "null" in Deno's own words, where both run
 * within a call of ours (`core.runMicrotasks`).
 */
const THROWN = /thrown on purpose|Uncaught null/;

/** Of two signals that are pending the kernel gives the one with the lower number first. */
const SECOND = [130, 143];

/** All of them. */
export const WAYS: readonly Way[] = [
  acting("process.exit", 3),
  acting("own exit", 3),
  acting("shutdown", 0, { isGraceful: true }),
  acting("unref", 0, { shape: "cluster" }),
  acting("throw", 1, { says: THROWN, mayGoOn: true }),
  acting("rejection", 1, { says: /rejected on purpose/, mayGoOn: true }),
  killed("SIGINT"),
  killed("SIGTERM"),
  killed("SIGKILL"),
  drained([], "SIGINT"),
  drained([], "SIGTERM"),
  drained(SECOND, "SIGTERM", "SIGINT"),
  drained(SECOND, "SIGINT", "SIGTERM"),
];

const PLACES = ["listener", "timer", "immediate", "microtask", "handler"];
/** Two of each kind. */
const CLIENTS = 14;
/** How much the load may grow beyond its begin before the end comes. */
const MORE_BYTES_MAX = 6_000_000;
/** What comes after an error that ended nothing. */
const GO_ON_BYTES = 1_000_000;
/** A hang is seen after this time; a run takes less than a second on an idle machine. */
const HANG_MS = 30_000;
const CRASHES = /panic|segmentation fault|has crashed|core dumped|fatal|assert|unreachable/i;
const CRASH_SIGNALS = ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGTRAP", "SIGFPE"];

/** A promise, or a failure when it takes too long. */
export async function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AssertionError(`it hangs: ${what}`)), HANG_MS);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until something holds, which takes a while. */
export async function when(holds: () => boolean, what: string): Promise<void> {
  const wait = async () => {
    while (!holds()) await new Promise<void>((resolve) => setTimeout(resolve, 1));
  };
  await inTime(wait(), what);
}

/** Throws where a program ended in no order. */
export function assertNoCrash({ code, signal, stdout, stderr }: Ended): void {
  const isCrash = CRASH_SIGNALS.includes(signal ?? "") || CRASHES.test(stderr);
  if (isCrash) throw new AssertionError(`a crash: ${signal ?? code}\n${stdout}${stderr}`);
}

/** Throws where a port is in use. */
export function assertFree(port: number): void {
  createListener("tcp", `127.0.0.1:${port}`).close();
}

/** A port that is free at the moment. */
export function freePort(): number {
  using listener = createListener("tcp", "127.0.0.1:0");
  return (listener.address as TcpAddress).port;
}

function sumOf(clients: readonly Client[]): number {
  return clients.reduce((bytes, { received }) => bytes + received, 0);
}

/** Waits until each has begun, and for more by chance. */
export async function underLoad(clients: readonly Client[], random: Random): Promise<void> {
  const isOver = new Set<Client>();
  for (const client of clients) void client.ended.finally(() => isOver.add(client)).catch(() => {});
  await when(() => clients.every((one) => one.hasBegun || isOver.has(one)), "all begin");
  const enough = sumOf(clients) + random.below(MORE_BYTES_MAX);
  await when(() => sumOf(clients) >= enough || isOver.size > 0, "more bytes");
  if (isOver.size > 0) throw new AssertionError("a connection ended before the server");
}

/** Throws unless what was flushed has arrived, as far as it was promised. */
export async function assertArrived(
  clients: readonly Client[],
  flushed: FlushedFile,
  isGraceful: boolean,
): Promise<Record<string, number>> {
  const ends: Record<string, number> = {};
  for (const client of clients) {
    const end = await inTime(client.ended, `the end of ${client.kind} ${client.id}`);
    ends[end] = (ends[end] ?? 0) + 1;
    const due = flushed.read(client.id);
    if (client.received >= due || end === "reset" && !isGraceful) continue;
    throw new AssertionError(
      `${client.kind} ${client.id} ended by ${end} after ${client.received} of ${due} flushed bytes`,
    );
  }
  return ends;
}

/** Ends a program. How it ended; a runtime that only prints an error has to serve on before. */
async function end(way: Way, program: Program, clients: readonly Client[]): Promise<Ended> {
  for (const signal of way.signals) program.signal(signal);
  if (!way.mayGoOn) return await inTime(program.ended, "the end");
  await when(() => program.outcome !== null || way.says!.test(program.stderr), "the error");
  const before = sumOf(clients);
  await when(() => program.outcome !== null || sumOf(clients) > before + GO_ON_BYTES, "more bytes");
  if (program.outcome !== null) return program.outcome;
  const { stderr, stdout } = await program.stop("SIGTERM");
  return { code: 1, signal: null, stdout, stderr };
}

/** Throws unless a program ended as its way says. */
function assertOutcome(way: Way, ended: Ended): void {
  assertNoCrash(ended);
  const { code, signal, stderr } = ended;
  const isRight = way.outcomes.includes((code ?? signal)!) &&
    (way.says === undefined ? stderr === "" : way.says.test(stderr));
  if (!isRight) throw new AssertionError(`it ended with ${code ?? signal}:\n${stderr}`);
}

/** What a run needs of its surroundings. */
export interface Place {
  /** A folder for files. */
  readonly folder: string;
  /** The file with all streams. */
  readonly streamPath: string;
}

/** Starts a server, loads it, ends it, and looks at what is left. How its connections ended. */
export async function endOnce(
  way: Way,
  shape: Shape,
  { folder, streamPath }: Place,
  random: Random,
): Promise<Record<string, number>> {
  const path = `${folder}/flushed-${random.seed}`;
  using flushed = new FlushedFile(path);
  const place = random.pick(shape === "loop" ? PLACES : PLACES.slice(0, -1));
  const env = { [FLUSHED]: path, [STREAM_FILE]: streamPath };
  const args = [way.act, place, shape, "0"];
  const program: Program = start("tests/exits/server.ts", { args, env, timeoutMs: 3 * HANG_MS });
  try {
    const port = Number((await program.find(/port (\d+)\n/, HANG_MS))[1]);
    const clients = connectMany(`127.0.0.1:${port}`, CLIENTS, random);
    await underLoad(clients, random);
    assertOutcome(way, await end(way, program, clients));
    assertFree(port);
    return await assertArrived(clients, flushed, way.isGraceful);
  } catch (error) {
    if (error instanceof Error) error.message += ` (${shape}, ${place})`;
    throw error;
  } finally {
    await program.stop();
  }
}
