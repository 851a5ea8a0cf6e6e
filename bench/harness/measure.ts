/**
 * Measures candidates in scenarios.
 *
 * Every round measures every server once, in an order that rotates, so that whatever else the
 * machine does meets all alike. A ratio is taken within a round; its median over all rounds is the
 * figure.
 */
import { type Candidate, commandOf, LIMIT } from "./candidates.ts";
import { type Server, startServer } from "./child.ts";
import { load, type LoadOptions } from "./load.ts";
import { weigh } from "./memory.ts";
import { Progress } from "./progress.ts";
import type { Series } from "./results.ts";
import { type Scenario, serversOf } from "./scenarios.ts";
import { median } from "./statistics.ts";
import { countCalls, countCollections } from "./traces.ts";

/** The measurements of a run, and their lengths. */
export interface Plan {
  readonly scenarios: readonly Scenario[];
  readonly candidates: readonly Candidate[];
  /** Rounds of each scenario; as many as it wants, and at least 9, when null. */
  readonly rounds: number | null;
  readonly seconds: number;
  readonly warmupSeconds: number;
  /** Seconds of counting system calls, and of counting collections; 0: not at all. */
  readonly traceSeconds: number;
  /** The scenarios in which they are counted. */
  readonly traced: readonly Scenario[];
  readonly serverCpu: number;
  readonly loadCpu: number;
}

/** The seconds of each measurement unless told otherwise: so that the default run is over in time. */
export const DEFAULT_SECONDS = { seconds: 0.25, warmupSeconds: 0.1, traceSeconds: 0.2 };
/** Rounds of a scenario that does not want more. */
export const ROUNDS = 9;
/** Runs in which the speed of a closed loop is measured, for a share of it. */
const SPEED_ROUNDS = 3;
/** A new server is loaded so long before anything counts: its runtime compiles meanwhile. */
const PRIME_SECONDS = 1;
/** Few: where memory is judged, that of all the others is still to come. */
const PRIME_CONNECTIONS = 10;

/** The number of rounds of a scenario. */
export function roundsOf({ rounds }: Plan, scenario: Scenario): number {
  return rounds === null ? scenario.rounds ?? ROUNDS : Math.min(rounds, scenario.rounds ?? rounds);
}

function traces({ traceSeconds, traced }: Plan, scenario: Scenario): boolean {
  return traceSeconds > 0 && scenario.isMemory === undefined && traced.includes(scenario);
}

/**
 * True when system calls are counted. Under strace an open loop falls behind: the closed one with the
 * same messages tells. Bytes of slow readers would count as messages.
 */
function tracesCalls(plan: Plan, scenario: Scenario): boolean {
  return traces(plan, scenario) && scenario.rate === undefined && scenario.slow === undefined;
}

/** True when a candidate can take part in a scenario and leave the machine its memory. */
export function canAnswer(candidate: Candidate, scenario: Scenario): boolean {
  if (candidate.isUnbounded && scenario.slow !== undefined) return false;
  return candidate.modes?.includes(scenario.mode ?? "echo") ?? true;
}

/** The number of steps of a scenario. */
function stepsOf(plan: Plan, scenario: Scenario): number {
  const candidates = plan.candidates.filter((one) => canAnswer(one, scenario)).length;
  const speeds = { limit: 1, own: candidates, none: 0 }[scenario.rate?.of ?? "none"] * SPEED_ROUNDS;
  return candidates * (roundsOf(plan, scenario) + (traces(plan, scenario) ? 1 : 0)) + speeds;
}

/** The servers of some scenarios, while these are measured. */
class Measurement {
  readonly #plan: Plan;
  readonly #progress: Progress;
  readonly #servers = new Map<Candidate, Server>();
  /** Traces that failed, and why. */
  readonly notes: string[] = [];

  constructor(plan: Plan, progress: Progress) {
    this.#plan = plan;
    this.#progress = progress;
  }

  /** Measures a scenario with all candidates that can answer it. */
  async run(scenario: Scenario): Promise<Series[]> {
    const candidates = this.#plan.candidates.filter((one) => canAnswer(one, scenario));
    const all = candidates.map((candidate) => ({
      candidate,
      series: newSeries(scenario, candidate),
    }));
    const rounds = roundsOf(this.#plan, scenario);
    if (scenario.rate !== undefined) await this.#setRates(scenario, all);
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < all.length; i++) {
        const { candidate, series } = all[(i + round) % all.length]!;
        const text = `${scenario.name}, round ${round + 1} of ${rounds}: ${candidate.title}`;
        this.#progress.step(text);
        await this.#attempt(candidate, series, () => this.#measure(scenario, candidate, series));
      }
    }
    if (traces(this.#plan, scenario)) await this.#trace(scenario, all);
    return all.map(({ series }) => series);
  }

  /** Ends all servers. */
  async stop(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.stop()));
    this.#servers.clear();
  }

  async #serverOf(candidate: Candidate, scenario: Scenario): Promise<Server> {
    let server = this.#servers.get(candidate);
    if (server === undefined) {
      server = await startServer(commandOf(candidate, scenario, this.#plan.serverCpu));
      this.#servers.set(candidate, server);
      const seconds = Math.min(PRIME_SECONDS, 4 * this.#plan.seconds);
      await load(server, fewer(scenario), { ...this.#options(seconds), warmupSeconds: 0 });
    }
    return server;
  }

  #options(seconds: number, rate?: number | null): LoadOptions {
    const { warmupSeconds, loadCpu } = this.#plan;
    return { seconds, warmupSeconds, cpu: loadCpu, rate: rate ?? undefined };
  }

  async #measure(scenario: Scenario, candidate: Candidate, series: Series): Promise<void> {
    if (scenario.isMemory) {
      const { connections, messageBytes } = scenario;
      const all = { connections, messageBytes, isWarmedUp: false };
      const { before, after } = await weigh(candidate, all);
      series.residentBytes.push((after.residentBytes - before.residentBytes) / connections);
      return;
    }
    const server = await this.#serverOf(candidate, scenario);
    series.rounds.push(
      await load(server, scenario, this.#options(this.#plan.seconds, series.rate)),
    );
  }

  /** Gives up a candidate that fails, and goes on with the others. Nothing goes without C. */
  async #attempt(
    candidate: Candidate,
    series: Series,
    measure: () => Promise<void>,
  ): Promise<void> {
    if (series.failure !== null) return;
    try {
      await measure();
    } catch (error) {
      if (candidate === LIMIT) throw error;
      series.failure = String((error as Error).message).trim();
      series.rounds = [];
      await this.#servers.get(candidate)?.stop();
      this.#servers.delete(candidate);
    }
  }

  /** The rates of an open loop: from what a closed one reaches now, on this machine. */
  async #setRates(scenario: Scenario, all: readonly Pair[]): Promise<void> {
    const { share, of } = scenario.rate!;
    const asked = of === "own" ? all : all.filter(({ candidate }) => candidate === LIMIT);
    const speeds = new Map<Candidate, number[]>(asked.map(({ candidate }) => [candidate, []]));
    for (let round = 0; round < SPEED_ROUNDS; round++) {
      for (const { candidate, series } of asked) {
        this.#progress.step(`${scenario.name}: how fast is ${candidate.title}?`);
        await this.#attempt(candidate, series, async () => {
          const server = await this.#serverOf(candidate, scenario);
          const result = await load(server, scenario, this.#options(this.#plan.seconds));
          speeds.get(candidate)!.push(result.messages_per_s);
        });
      }
    }
    for (const { candidate, series } of all) {
      series.rate = Math.round(share * median(speeds.get(of === "own" ? candidate : LIMIT)!));
    }
  }

  async #trace(scenario: Scenario, all: readonly Pair[]): Promise<void> {
    const { serverCpu, traceSeconds: seconds } = this.#plan;
    for (const { candidate, series } of all) {
      this.#progress.step(`${scenario.name}: calls and collections of ${candidate.title}`);
      if (series.failure !== null) continue;
      const note = (error: Error) => {
        const [line] = error.message.trim().split("\n").slice(-1);
        this.notes.push(`traces of ${candidate.name} in ${scenario.name}: ${line}`);
        return null;
      };
      const options = this.#options(seconds, series.rate);
      series.collections = await countCollections(candidate, scenario, { ...options, serverCpu })
        .catch(note);
      if (!tracesCalls(this.#plan, scenario)) continue;
      const server = await this.#serverOf(candidate, scenario);
      series.calls = await countCalls(server, scenario, options).catch(note);
    }
  }
}

/** A candidate and its figures. */
interface Pair {
  readonly candidate: Candidate;
  readonly series: Series;
}

/** A scenario with few connections. */
function fewer({ connections, receivers, ...scenario }: Scenario): Scenario {
  return {
    ...scenario,
    connections: Math.min(connections, PRIME_CONNECTIONS),
    receivers: receivers === undefined ? undefined : PRIME_CONNECTIONS,
    idle: undefined,
    slow: undefined,
    stretch: undefined,
  };
}

function newSeries(scenario: Scenario, candidate: Candidate): Series {
  return {
    scenario: scenario.name,
    candidate: candidate.name,
    rounds: [],
    rate: null,
    calls: null,
    collections: null,
    residentBytes: [],
    failure: null,
  };
}

/** Measures all. Calls back after each scenario with everything so far, for a run that is ended early. */
export async function measure(
  plan: Plan,
  onSeries: (all: readonly Series[], notes: readonly string[]) => void,
): Promise<void> {
  const steps = plan.scenarios.reduce((sum, scenario) => sum + stepsOf(plan, scenario), 0);
  const keys = new Set(plan.scenarios.map(serversOf));
  const progress = new Progress(steps);
  const all: Series[] = [];
  const notes: string[] = [];
  for (const key of keys) {
    const measurement = new Measurement(plan, progress);
    try {
      for (const scenario of plan.scenarios.filter((one) => serversOf(one) === key)) {
        all.push(...await measurement.run(scenario));
        onSeries(all, [...notes, ...measurement.notes]);
      }
    } finally {
      await measurement.stop();
    }
    notes.push(...measurement.notes);
  }
  progress.end();
}
