/**
 * Every attack on every server that it is for.
 */
import { readFileSync } from "node:fs";
import type { Random } from "../support/random.ts";
import { ATTACKS } from "./attacks.ts";
import { besiege, type Withstood } from "./besiege.ts";
import { datagramPairs, DatagramServer } from "./datagram_attacks.ts";
import type { DatagramTarget } from "./datagram_targets.ts";
import { HostileServer } from "./running.ts";
import type { Attack, Size } from "./siege.ts";
import { TARGETS } from "./targets.ts";

/** The servers that run, so that one is attacked in many ways. */
export class Servers {
  readonly #all = new Map<string, HostileServer | DatagramServer>();

  /** The one for an attack. */
  for(target: string, { settings }: Attack): HostileServer {
    const key = target + JSON.stringify(settings ?? {});
    return this.#get(key, () => new HostileServer(target, settings));
  }

  /** The one of datagrams. */
  of(target: DatagramTarget): DatagramServer {
    return this.#get(target.name, () => new DatagramServer(target));
  }

  #get<T extends HostileServer | DatagramServer>(key: string, make: () => T): T {
    let server = this.#all.get(key) as T | undefined;
    if (server === undefined) this.#all.set(key, server = make());
    return server;
  }

  /** Ends all of them. */
  async stop(): Promise<void> {
    await Promise.all([...this.#all.values()].map((each) => each.stop()));
    this.#all.clear();
  }
}

/** An attack on a server. */
export interface Pair {
  readonly name: string;
  readonly attack: string;
  readonly target: string;
  /** What it sends. */
  readonly of: "connections" | "datagrams";
  /** Why it cannot be done here; "" when it can. */
  readonly obstacle: string;
  run(servers: Servers, random: Random): Promise<Withstood>;
}

/** Descriptors that an attack leaves to the runtime. */
const SPARE_DESCRIPTORS = 200;

/** The most connections that one process can have here. */
function connectionsMax(): number {
  const limits = readFileSync("/proc/self/limits", "utf8");
  return Number(/Max open files +(\d+)/.exec(limits)?.[1] ?? 1024) - SPARE_DESCRIPTORS;
}

function sizeOf({ counts: [small, full] }: Attack, size: "small" | "full"): Size {
  if (size === "small") return { count: small, isFull: false };
  return { count: Math.min(full, connectionsMax()), isFull: true };
}

/** All pairs, server by server. */
export function pairs(size: "small" | "full"): Pair[] {
  return [...streamPairs(size), ...floods(size)];
}

function floods(size: "small" | "full"): Pair[] {
  return datagramPairs(size).map(({ name, attack, target, run }) => ({
    name,
    attack,
    target: target.name,
    of: "datagrams",
    obstacle: "",
    run: (servers, random) => run(servers.of(target), random),
  }));
}

function streamPairs(size: "small" | "full"): Pair[] {
  return TARGETS.flatMap(({ name: target }) =>
    ATTACKS.filter(({ targets }) => targets === undefined || targets.includes(target)).map(
      (attack) => ({
        name: `a server of ${target} serves others during ${attack.name}, and holds nothing then`,
        attack: attack.name,
        target,
        of: "connections",
        obstacle: attack.obstacle ?? "",
        run: (servers: Servers, random: Random) =>
          besiege(servers.for(target, attack), attack, sizeOf(attack, size), random),
      }),
    )
  );
}
