/**
 * Every attack on every server that it is for.
 */
import type { Random } from "../support/random.ts";
import { ATTACKS } from "./attacks.ts";
import { besiege, type Withstood } from "./besiege.ts";
import { HostileServer } from "./running.ts";
import type { Attack } from "./siege.ts";
import { TARGETS } from "./targets.ts";

/** The servers that run, so that one is attacked in many ways. */
export class Servers {
  readonly #all = new Map<string, HostileServer>();

  /** The one for an attack. */
  for(target: string, { settings }: Attack): HostileServer {
    const key = target + JSON.stringify(settings ?? {});
    let server = this.#all.get(key);
    if (server === undefined) this.#all.set(key, server = new HostileServer(target, settings));
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
  /** Why it cannot be done here; "" when it can. */
  readonly obstacle: string;
  run(servers: Servers, random: Random): Promise<Withstood>;
}

/** All pairs, server by server. */
export function pairs(size: "small" | "full"): Pair[] {
  return TARGETS.flatMap(({ name: target }) =>
    ATTACKS.filter(({ targets }) => targets === undefined || targets.includes(target)).map(
      (attack) => ({
        name: `a server of ${target} serves others during ${attack.name}, and holds nothing then`,
        attack: attack.name,
        target,
        obstacle: attack.obstacle ?? "",
        run: (servers: Servers, random: Random) =>
          besiege(
            servers.for(target, attack),
            attack,
            attack.counts[size === "small" ? 0 : 1],
            random,
          ),
      }),
    )
  );
}
