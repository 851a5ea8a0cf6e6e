/**
 * Which faults a scenario meets, in which order: a function of its calls and of a seed, so that what has
 * died goes on behind the run at which it died.
 */
import type { Call } from "../support/faults.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { type Effect, effectsOf } from "./errnos.ts";

/** What is done to which call. */
export interface Injection {
  readonly call: Call;
  readonly effect: Effect;
  /** Calls of the kind that pass before it. */
  readonly at: number;
  /** Calls that have it; one unless given. */
  readonly count?: number;
}

/** The kinds of calls that a scenario makes, with how many there are of each. */
export type Calls = readonly (readonly [Call, number])[];

/** Which calls of a kind a fault meets: all of the first ones, or some. */
export type Mode = "all" | "sample";

/** How much is tried, and in which order. */
export interface Extent {
  readonly seed: number;
  /** Of a sample: the first calls of a kind, and how many later ones. */
  readonly first: number;
  readonly later: number;
  /** Runs with several faults at once. */
  readonly several: number;
  /** In a random order, with a run of several faults now and then. */
  readonly isShuffled: boolean;
  /** Only this kind of call, this effect, this call of the kind. */
  readonly call?: string;
  readonly effect?: string;
  readonly at?: number;
}

/** So many calls of a kind are reached. */
export const CALLS_MAX = 200;
/** A sample has this part of the runs with several faults. */
const SAMPLED_SHARE = 1 / 4;
const SEVERAL_MAX = 4;
const COUNT_MAX = 3;
/** In a random order, a run with several faults comes after so many with one. */
const SINGLES_PER_SEVERAL = 4;

/** The calls of a kind, of `count`, at which an effect is tried. */
function placesOf(count: number, mode: Mode, extent: Extent, random: Random): number[] {
  if (extent.at !== undefined) return [extent.at];
  const reach = Math.min(count, CALLS_MAX);
  if (mode === "all") return Array.from({ length: reach }, (_, at) => at);
  const places = new Set(Array.from({ length: Math.min(reach, extent.first) }, (_, at) => at));
  const all = Math.min(reach, extent.first + extent.later);
  while (places.size < all) places.add(random.below(reach));
  return [...places];
}

function singlesOf(calls: Calls, mode: Mode, extent: Extent, random: Random): Injection[] {
  return calls.filter(([call]) => (extent.call ?? call) === call).flatMap(([call, count]) =>
    effectsOf(call).filter((effect) => (extent.effect ?? effect) === effect).flatMap((effect) =>
      placesOf(count, mode, extent, random).map((at) => ({ call, effect, at }))
    )
  );
}

/** Several faults at once, of different kinds: another of the same kind would replace it. */
function severalOf(calls: Calls, random: Random): Injection[] {
  const faults = new Map<Call, Injection>();
  for (let n = 1 + random.below(SEVERAL_MAX); n > 0; n--) {
    const [call, count] = random.pick([...calls]);
    const effect = random.pick(effectsOf(call));
    const at = random.below(Math.min(CALLS_MAX, count));
    faults.set(call, { call, effect, at, count: 1 + random.below(COUNT_MAX) });
  }
  return [...faults.values()];
}

function shuffle<T>(values: T[], random: Random): T[] {
  for (let i = values.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [values[i], values[j]] = [values[j]!, values[i]!];
  }
  return values;
}

/** How many single faults there are in all. */
export function possibleFaults(calls: Calls): number {
  return calls.reduce(
    (sum, [call, count]) => sum + effectsOf(call).length * Math.min(count, CALLS_MAX),
    0,
  );
}

/** The runs of a scenario that makes these calls: the faults of each. */
export function planOf(calls: Calls, mode: Mode, extent: Extent): (readonly Injection[])[] {
  const random = seededRandom(extent.seed);
  // In a random order the time is what is limited.
  const singles = singlesOf(calls, extent.isShuffled ? "all" : mode, extent, random).map((
    one,
  ): readonly Injection[] => [one]);
  const isChosen = (extent.call ?? extent.effect ?? extent.at) !== undefined;
  if (isChosen) return singles;
  if (!extent.isShuffled) {
    const several = mode === "all" ? extent.several : Math.ceil(extent.several * SAMPLED_SHARE);
    return [...singles, ...Array.from({ length: several }, () => severalOf(calls, random))];
  }
  return shuffle(singles, random).flatMap((one, i) =>
    i % SINGLES_PER_SEVERAL === 0 && extent.several > 0 ? [severalOf(calls, random), one] : [one]
  );
}

/** Faults as text, which {@linkcode parseInjections} reads: `recv:EIO:3,send:short:0:2`. */
export function describeInjections(injections: readonly Injection[]): string {
  return injections.map(({ call, effect, at, count = 1 }) =>
    `${call}:${effect}:${at}${count > 1 ? `:${count}` : ""}`
  ).join(",");
}

/** Reads what {@linkcode describeInjections} has written. */
export function parseInjections(text: string): Injection[] {
  return text.split(",").map((one) => {
    const [call, effect, at, count = "1"] = one.split(":");
    const isKnown = call !== undefined && effect !== undefined &&
      [at, count].every((number) => /^\d+$/.test(number ?? "")) &&
      isEffectOf(call, effect);
    if (!isKnown) throw new TypeError(`${one} is no fault; one is recv:EIO:3, or send:short:0:2`);
    return { call: call as Call, effect, at: Number(at), count: Number(count) };
  });
}

function isEffectOf(call: string, effect: string): boolean {
  try {
    return effectsOf(call as Call).includes(effect);
  } catch {
    return false; // there is no such kind of call
  }
}
