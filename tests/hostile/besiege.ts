/**
 * An attack on a server, beside a client that behaves well, and what is asserted of it.
 */
import { assert, AssertionError } from "@std/assert";
import { readFileSync } from "node:fs";
import type { Random } from "../support/random.ts";
import { delay } from "../support/until.ts";
import { Attacker } from "./attacker.ts";
import { eventually } from "./eventually.ts";
import type { HostileServer } from "./running.ts";
import { FULL_BYTES } from "./bounds.ts";
import type { Report } from "./server.ts";
import { type Attack, bytesOf, describe, Siege, type Size } from "./siege.ts";

const KIB = 1024;
const MIB = KIB * KIB;
/** The time in which an idle poller must have stood still. */
const IDLE_MS = 30;
/** An idle server has this many turns: the question itself may cause one. */
const IDLE_TURNS_MAX = 2;
/** And this share of a CPU: the answer to the question, and the runtime's own threads. */
const IDLE_CPU_SHARE_MAX = 0.5;

/**
 * The factor within which others are served: before the answer to one request of theirs, a server
 * takes at most so much of each attacker, whatever it sends. It is the most that one event may
 * receive (LIMITS.md), and again what both kernels hold of a connection.
 */
const TAKEN_BYTES_MAX = 2 * MIB;
/**
 * And at most so many connections that come meanwhile: eight times what one event accepts, and as
 * many as wait in the kernel's queue, which the server has no part in.
 */
const CONNECTED_MAX = 512 + 4096;

/** JavaScript's own part of a connection, and the kernel's events of it. */
const OBJECT_BYTES = 16 * KIB;
/** The part of the process that does not depend on the number of connections: its heap breathes. */
const HEAP_BYTES = 96 * MIB;
/** The client that behaves well, the upstream of a proxy, and what is shared. */
const SHARED_BYTES = 4 * FULL_BYTES;

/** The client beside an attack, which asks one thing after the other. */
class Client {
  readonly #siege: Siege;
  readonly #mayBeCut: boolean;
  #socket: Attacker;
  #n = 50_000;

  constructor(siege: Siege, mayBeCut: boolean) {
    this.#siege = siege;
    this.#mayBeCut = mayBeCut;
    this.#socket = new Attacker(siege.server.port);
  }

  /** Asks once. Fails unless the answer is right, and comes within the factor. */
  async ask(): Promise<void> {
    const { target, attackers } = this.#siege;
    const n = this.#n++ % 60_000;
    const [sentBefore, connectedBefore] = [this.#siege.sentBytes, this.#siege.connected];
    const bound = TAKEN_BYTES_MAX * (1 + attackers.length);
    this.#begin();
    let at = 0;
    const bytes = bytesOf(target.request(n));
    const answer = target.answer(n);
    await eventually(() => {
      if (this.#mayBeCut && this.#socket.isOver) {
        this.#begin();
        at = 0;
      }
      if (at < bytes.length) at += this.#socket.push(bytes, at);
      this.#socket.take();
      return this.#socket.received.includes(answer);
    }, () => `an answer to others; ${describe(this.#socket)}`);
    const taken = this.#siege.sentBytes - sentBefore;
    const came = this.#siege.connected - connectedBefore;
    assert(taken <= bound + TAKEN_BYTES_MAX * came, `${taken} bytes were taken before one answer`);
    assert(came <= CONNECTED_MAX, `${came} connections came before one answer`);
    const { received } = this.#socket;
    if (!target.isShared) assert(received.endsWith(answer), "what follows is no answer of ours");
    this.#siege.answered += 1;
  }

  /** Forgets what it has heard, and connects again where it may have been cut. */
  #begin(): void {
    this.#socket.take();
    this.#socket.received = "";
    if (!this.#socket.isOver || !this.#mayBeCut) return;
    this.#socket.close();
    this.#socket = new Attacker(this.#siege.server.port);
  }

  /** Takes what has come. */
  listen(): void {
    this.#socket.take();
  }

  close(): void {
    this.#socket.close();
  }
}

/** The sums of what was asserted. */
export interface Withstood {
  /** Connections of attackers, or their datagrams. */
  readonly connected: number;
  /** Bytes that were taken from them. */
  readonly sentBytes: number;
  /** Answers that the client beside them had. */
  readonly answered: number;
  /** The most memory that the server had more than before. */
  readonly grownBytes: number;
}

/** Fails unless the server stands still. */
async function assertIdle(server: HostileServer, when: string): Promise<void> {
  let last: Report | null = null;
  let what = "";
  await eventually(async () => {
    if (last !== null) await delay(IDLE_MS);
    const now = await server.report();
    const before = last;
    last = now;
    if (before === null) return false;
    const turns = now.turns - before.turns;
    const share = (now.cpuMicros - before.cpuMicros) / (now.uptimeMicros - before.uptimeMicros);
    what = `${turns} turns and ${(100 * share).toFixed(0)} % of a CPU`;
    return turns <= IDLE_TURNS_MAX && share <= IDLE_CPU_SHARE_MAX;
  }, () => `an idle server ${when}: in ${IDLE_MS} ms it has ${what}`);
}

/**
 * The sockets at a port as the kernel has them, with their ports, states, and bytes to send and to
 * read (proc_net_tcp): a connection that it still has is no fault of the server's.
 */
function socketsOf(port: number): string[] {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync("/proc/net/tcp", "utf8").split("\n")
    .filter((line) => line.includes(local))
    .map((line) => line.trim().split(/\s+/).slice(1, 5).join(" "));
}

/** Fails unless nothing more is held than before. */
async function assertNothingLeft(
  server: HostileServer,
  before: Report,
  client: Client,
): Promise<void> {
  const descriptorsMax = before.descriptors + (server.target.spareDescriptors ?? 0);
  let now = before;
  await eventually(
    async () => {
      client.listen(); // to what attackers had said to all
      now = await server.report();
      return now.active <= before.active && now.watched <= before.watched &&
        now.blocks <= before.blocks && now.descriptors <= descriptorsMax;
    },
    () =>
      `nothing left: ${JSON.stringify(before)} before, ${
        JSON.stringify(now)
      } now; in the kernel: ` +
      socketsOf(server.port).join(", "),
  );
}

/** Attacks a server, and asserts what is promised. */
export async function besiege(
  server: HostileServer,
  attack: Attack,
  size: Size,
  random: Random,
): Promise<Withstood> {
  await server.started();
  const siege = new Siege(server, size, random);
  const client = new Client(siege, attack.cutsAll === true);
  let isOver = false;
  try {
    await client.ask();
    const before = await server.report();
    let grownBytes = 0;
    const assertMemory = async () => {
      const now = await server.report();
      const most = SHARED_BYTES + siege.attackers.length * attack.heldBytes;
      assert(now.blockBytes <= most, `${now.blockBytes} bytes of blocks, not up to ${most}`);
      const grown = now.residentBytes - before.residentBytes;
      grownBytes = Math.max(grownBytes, grown);
      const grownMax = HEAP_BYTES + most + siege.attackers.length * OBJECT_BYTES;
      assert(grown <= grownMax, `${grown} bytes more resident, not up to ${grownMax}`);
    };
    const beside = (async () => {
      for (let n = 0; !isOver; n++) {
        await client.ask();
        if (n % 64 === 32) await assertMemory();
        await delay(0);
      }
    })();
    const attacking = attack.run(siege).finally(() => isOver = true);
    const first = await Promise.allSettled([Promise.race([attacking, beside]), attacking, beside]);
    for (const each of first) if (each.status === "rejected") throw each.reason;
    await assertMemory();
    if (attack.cutsAll !== true) await assertIdle(server, "while the attackers wait");
    await client.ask();
    const { sentBytes } = siege;
    siege.release();
    await assertNothingLeft(server, before, client);
    await assertIdle(server, "after the attack");
    await client.ask();
    return { connected: siege.connected, sentBytes, answered: siege.answered, grownBytes };
  } catch (error) {
    const { errors } = await server.report().catch(() => ({ errors: ["it is dead"] }));
    throw new AssertionError(`${(error as Error).message} (errors there: ${errors.join("; ")})`, {
      cause: error,
    });
  } finally {
    isOver = true;
    siege.release();
    client.close();
  }
}
