/**
 * One attack under way: who was connected, and what each sends and hears.
 */
import { Buffer } from "node:buffer";
import type { Random } from "../support/random.ts";
import { delay } from "../support/until.ts";
import { Attacker, type AttackerOptions } from "./attacker.ts";
import { eventually } from "./eventually.ts";
import type { HostileServer, Settings } from "./running.ts";
import type { Target } from "./targets.ts";

/** One kind of attack. */
export interface Attack {
  readonly name: string;
  /** The servers that it is for; all unless given. */
  readonly targets?: readonly string[];
  /** How the server is started; as always unless given. */
  readonly settings?: Settings;
  /** Its connections in the suite, and at full size. */
  readonly counts: readonly [small: number, full: number];
  /** The bytes of blocks that a connection may hold. */
  readonly heldBytes: number;
  /** Why it cannot be done here; "" when it can. */
  readonly obstacle?: string;
  /** Whether deadlines are a part of it, so that whoever is late is cut. */
  readonly cutsAll?: boolean;
  run(siege: Siege): Promise<void>;
}

/** How large an attack is. */
export interface Size {
  /** Its connections. */
  readonly count: number;
  readonly isFull: boolean;
}

/** The bytes of a text in latin1. */
export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

/** One attack under way. */
export class Siege {
  readonly server: HostileServer;
  readonly target: Target;
  readonly random: Random;
  /** How many connections the attack has. */
  readonly count: number;
  /** Whether it is as large as it gets. */
  readonly isFull: boolean;
  /** All that were connected, and not released. */
  attackers: Attacker[] = [];
  /** How many were connected. */
  connected = 0;
  /** The answers that the client beside them had. */
  answered = 0;
  #released = 0;

  constructor(server: HostileServer, { count, isFull }: Size, random: Random) {
    this.server = server;
    this.target = server.target;
    this.count = count;
    this.isFull = isFull;
    this.random = random;
  }

  /** What the kernel took of all attackers so far. */
  get sentBytes(): number {
    return this.attackers.reduce((sum, each) => sum + each.sentBytes, this.#released);
  }

  connect(options?: AttackerOptions): Attacker {
    const attacker = new Attacker(this.server.port, options);
    this.connected += 1;
    this.attackers.push(attacker);
    return attacker;
  }

  /** Connects so many; a busy kernel has its time for it. */
  async connectAll(count: number, options?: AttackerOptions): Promise<Attacker[]> {
    const all: Attacker[] = [];
    for (let i = 0; i < count; i++) {
      all.push(this.connect(options));
      if (i % 64 === 63) await delay(0); // timers of others are due as well
    }
    return all;
  }

  /** Sends all of a text, as far as the server takes it; what comes meanwhile is taken. */
  async send(attacker: Attacker, text: string | Uint8Array, pieceBytes = Infinity): Promise<void> {
    const bytes = typeof text === "string" ? bytesOf(text) : text;
    let at = 0;
    await eventually(() => {
      while (at < bytes.length && !attacker.isOver) {
        const count = attacker.push(bytes, at, Math.min(pieceBytes, bytes.length - at));
        if (count === 0) break;
        at += count;
      }
      attacker.take();
      return at === bytes.length || attacker.isOver;
    }, `room for ${bytes.length} bytes`);
  }

  /** Waits for the answers to some requests, in their order. */
  async hear(attacker: Attacker, ...numbers: number[]): Promise<void> {
    let from = 0;
    for (const n of numbers) {
      const answer = this.target.answer(n);
      await eventually(() => {
        attacker.take();
        const at = attacker.received.indexOf(answer, from);
        if (at >= 0) from = at + answer.length;
        return at >= 0;
      }, () => `answer ${n}; ${describe(attacker)}`);
    }
  }

  /** Waits until the server has ended these connections. */
  async over(all: readonly Attacker[], what: string): Promise<void> {
    await eventually(() => {
      for (const each of all) each.take();
      return all.every((each) => each.isOver);
    }, () => `the end of ${what}; ${describe(all.find((each) => !each.isOver))}`);
  }

  /** Closes some attackers, by an end or by a reset, and forgets them. */
  release(some: readonly Attacker[] = this.attackers): void {
    for (const each of some) {
      this.#released += each.sentBytes;
      if (this.random.chance(0.5)) each.reset();
      else each.close();
    }
    const gone = new Set(some);
    this.attackers = this.attackers.filter((each) => !gone.has(each));
  }
}

/** The state of a connection, in words. */
export function describe(attacker: Attacker | undefined): string {
  if (attacker === undefined) return "all are over";
  const { sentBytes, received, receivedBytes, isEnded, isReset } = attacker;
  const state = isReset ? "reset" : isEnded ? "ended" : "open";
  return `${state}, ${sentBytes} bytes sent, ${receivedBytes} received, the last of them ` +
    JSON.stringify(received.slice(-200));
}
