/**
 * One run of a scenario with a fault, and whether it ended as it must.
 */
import { AssertionError } from "@std/assert";
import process from "node:process";
import { setTimeout } from "node:timers";
import { configure, NetpollError, SystemError } from "../../mod.ts";
import { describe } from "../../src/core/errno.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import {
  clearFaults,
  countCalls,
  delayCall,
  failWith,
  type Fault,
  FAULT_KINDS,
  shorten,
  usedFaults,
} from "../support/faults.ts";
import { held, leaks } from "../support/leaks.ts";
import { NO_TLS } from "../support/pki.ts";
import { CLUSTER_SCENARIOS } from "./cluster_scenarios.ts";
import { DATAGRAM_SCENARIOS } from "./datagram_scenarios.ts";
import { type Effect, LATE, NONE, numberOf, SHORT } from "./errnos.ts";
import type { Calls, Injection } from "./plan.ts";
import { SCENARIOS } from "./scenarios.ts";
import type { Scenario } from "./stage.ts";
import { TLS_SCENARIOS } from "./tls_scenarios.ts";

/** A run. */
export interface Outcome {
  /** How many calls each injection had an effect on. */
  readonly usedBy: readonly number[];
  /** Why it is a failure; null if it is none. */
  readonly failure: string | null;
  /** It did not end: nothing else can be tried in this process. */
  readonly hangs: boolean;
}

/** Far above what a scenario needs on the slowest machine: one that takes longer hangs. */
const PATIENCE_MS = 10_000;
const LATE_MICROS = 3000;
/** All scenarios by name. Those of TLS need OpenSSL, and its program for their certificates. */
export const ALL: Readonly<Record<string, Scenario>> = {
  ...SCENARIOS,
  ...DATAGRAM_SCENARIOS,
  ...NO_TLS === false ? TLS_SCENARIOS : {},
  ...CLUSTER_SCENARIOS,
};

/** Errors that nobody waited for, and lines of the log, of the run that is under way. */
let noted: unknown[] = [];
/** Errors that reached nobody but the runtime. */
let uncaught: unknown[] = [];

for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => void uncaught.push(error));
}

function inject({ call, effect, at, count = 1 }: Injection): void {
  const fault: Fault = { skip: at, count };
  if (effect === NONE) countCalls(call);
  else if (effect === LATE) delayCall(call, LATE_MICROS, fault);
  else if (effect === SHORT) shorten(call as Parameters<typeof shorten>[0], 1, fault);
  else failWith(call, numberOf(effect), fault);
}

function* causesOf(error: unknown): Generator<unknown> {
  yield error;
  if (error instanceof AggregateError) { for (const each of error.errors) yield* causesOf(each); }
  if (error instanceof Error && error.cause !== undefined) yield* causesOf(error.cause);
}

/** Whether an error, or a line of the log, names the call that was made to fail. */
function names(error: unknown, effect: Effect): boolean {
  if (typeof error === "string") {
    return error.includes(effect) || error.includes(describe(numberOf(effect)));
  }
  for (const each of causesOf(error)) {
    if (each instanceof SystemError && each.code === effect) return true;
    if (effect.startsWith("EAI_") && each instanceof NetpollError) return true;
  }
  return false;
}

function show(error: unknown): string {
  return [...causesOf(error)]
    .map((each) => each instanceof Error ? each.stack ?? each.message : String(each))
    .join("\n  because of ");
}

/** Why a run that ended with an error, or null, is a failure; null if it is none. */
function judge(
  error: unknown,
  injections: readonly Injection[],
  isElsewhere: boolean,
): string | null {
  const reached = uncaught.filter((each) => !isOfPoller(each, injections));
  if (reached.length > 0) return `an error reached nobody: ${reached.map(show).join("\n")}`;
  if (error === null) return null;
  const effects = injections.filter(({ call }) => usedFaults(call) > 0).map(({ effect }) => effect);
  const errnos = effects.filter((effect) => ![SHORT, LATE, NONE].includes(effect));
  // The kernel's answer to a descriptor that is watched already is the answer to a caller's mistake.
  if (error instanceof TypeError && errnos.includes("EEXIST")) return null;
  if (!(error instanceof NetpollError)) return `no typed error: ${show(error)}`;
  if (errnos.length === 0) return `an error although no call failed: ${show(error)}`;
  // No thread is to be had: to users, "not ready" is something else.
  if (errnos.includes("EAGAIN")) errnos.push("ENOMEM");
  // An interrupted connect goes on by itself (connect(2)), which nobody waits for with datagrams.
  if (injections.some(({ call }) => call === "connect")) errnos.push("EINPROGRESS");
  // A descriptor that is still watched, for its removal failed, cannot be added again.
  if (injections.some(({ call }) => call === "epollCtl")) errnos.push("EEXIST");
  const all = [error, ...noted];
  if (isElsewhere || errnos.some((errno) => all.some((each) => names(each, errno)))) return null;
  return `the error names no call: ${all.map(show).join("\n")}`;
}

/**
 * Whether it is the error of a poller that cannot wait: somebody has closed its descriptor. It is
 * thrown to the runtime, for nobody else can be told.
 */
function isOfPoller(error: unknown, injections: readonly Injection[]): boolean {
  return injections.some(({ call, effect }) => call === "epollWait" && names(error, effect));
}

class Hang extends Error {}

async function within(run: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Hang()), PATIENCE_MS);
  });
  try {
    await Promise.race([run, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a scenario with faults, after which nothing of it may be left. */
export async function attempt(name: string, injections: readonly Injection[]): Promise<Outcome> {
  const scenario = ALL[name];
  if (scenario === undefined) throw new TypeError(`Cannot run ${name}: no scenario has this name`);
  noted = [];
  uncaught = [];
  const timers = threadPoller().timerCount;
  let failure: string | null = null;
  let hangs = false;
  let usedBy: number[] = [];
  try {
    await leaks(async () => {
      for (const injection of injections) inject(injection);
      let error: unknown = null;
      try {
        await within(scenario((each) => void noted.push(each)));
      } catch (thrown) {
        error = thrown;
      }
      hangs = error instanceof Hang;
      usedBy = injections.map(({ call }) => usedFaults(call));
      failure = hangs
        ? `it hangs; held: ${JSON.stringify(held())}; noted: ${noted.map(show).join("\n")}`
        : judge(error, injections, name in CLUSTER_SCENARIOS);
      clearFaults();
    });
  } catch (error) {
    clearFaults();
    failure ??= error instanceof AssertionError ? `a leak: ${error.message}` : show(error);
  }
  const left = threadPoller().timerCount - timers;
  if (left > 0) failure ??= `${left} timers are left`;
  return { usedBy, failure, hangs };
}

/** Sends the log of this process to the runs, and makes what is made once and kept. */
export async function begin(name: string): Promise<void> {
  configure({ log: (line) => void noted.push(line) });
  await attempt(name, []); // what the runtime makes for its first Worker stays
  const { failure } = await attempt(name, []);
  if (failure !== null) throw new Error(`${name} fails without a fault: ${failure}`);
}

/** The calls that a scenario makes. */
export async function callsOf(name: string): Promise<Calls> {
  const { usedBy } = await attempt(
    name,
    FAULT_KINDS.map((call) => ({ call, effect: NONE, at: 0 })),
  );
  return FAULT_KINDS.map((call, i) => [call, usedBy[i]!] as const).filter(([, count]) => count > 0);
}
