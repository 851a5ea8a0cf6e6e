/**
 * All addresses of a pool: which of them is used next.
 */
import { choose, type Endpoint, type Member } from "./endpoint.ts";

/** The addresses of a pool, and what is idle of them. */
export class Group {
  readonly endpoints: readonly Endpoint[];
  /** Connections that nobody uses. */
  idleCount = 0;
  readonly #isUsable = (endpoint: Endpoint) => this.isUsable(endpoint);
  readonly #hasIdle = (endpoint: Endpoint) => endpoint.idle.length > 0 && this.isUsable(endpoint);

  /** A group of one address, or more. */
  constructor(endpoints: readonly Endpoint[]) {
    this.endpoints = endpoints;
  }

  /** Whether an address may be used. When none could be, all may: one of them will be back first. */
  isUsable(endpoint: Endpoint): boolean {
    return !endpoint.isEjected || this.endpoints.every((each) => each.isEjected);
  }

  /** An address to connect to; null when all that may be used were tried. */
  toDial(tried?: ReadonlySet<Endpoint>): Endpoint | null {
    if (tried === undefined) return choose(this.endpoints, this.#isUsable);
    return choose(this.endpoints, (each) => !tried.has(each) && this.isUsable(each));
  }

  /** Takes the idle connection that was used last, of an address that is chosen; null without one. */
  take(): Member | null {
    if (this.idleCount === 0) return null;
    const endpoint = choose(this.endpoints, this.#hasIdle);
    if (endpoint === null) return null;
    this.idleCount -= 1;
    return endpoint.idle.pop()!;
  }

  /** Nobody uses a connection from now on. */
  add(member: Member, nowMs: number): void {
    member.state = "idle";
    member.idleSinceMs = nowMs;
    member.endpoint.idle.push(member);
    this.idleCount += 1;
  }

  /** Takes out one that is idle. */
  remove(member: Member): void {
    const { idle } = member.endpoint;
    idle.splice(idle.indexOf(member), 1);
    this.idleCount -= 1;
  }

  /** Takes out all that are idle, of one address or of all. */
  removeAll(of: readonly Endpoint[] = this.endpoints): Member[] {
    const members = of.flatMap(({ idle }) => idle.splice(0));
    this.idleCount -= members.length;
    return members;
  }

  /** All that are idle, those that lie there longest first at each address. */
  get idle(): Member[] {
    return this.endpoints.flatMap(({ idle }) => idle);
  }

  /** An address that may be back, or that has two connections less than another; null without one. */
  lacking(nowMs: number): Endpoint | null {
    let [least, most]: [Endpoint | null, Endpoint | null] = [null, null];
    for (const endpoint of this.endpoints) {
      if (endpoint.isDueForProbe(nowMs)) return endpoint;
      if (endpoint.isEjected) continue;
      if (least === null || endpoint.connectionCount < least.connectionCount) least = endpoint;
      if (most === null || endpoint.connectionCount > most.connectionCount) most = endpoint;
    }
    if (least === null || most === null) return null;
    return most.connectionCount - least.connectionCount > 1 ? least : null;
  }
}
