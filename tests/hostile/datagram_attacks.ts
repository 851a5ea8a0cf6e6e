/**
 * Floods of datagrams from changing addresses, beside a client that asks and is answered. The kernel
 * drops what a server has no time for, questions included: they are asked again.
 */
import { assert, AssertionError } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { createDatagramSocket, type DatagramSocket, packPeer, TimeoutError } from "../../mod.ts";
import type { Program } from "../../scripts/program.ts";
import { start } from "../support/child.ts";
import type { Random } from "../support/random.ts";
import { delay, tick } from "../support/until.ts";
import type { Withstood } from "./besiege.ts";
import { DATAGRAM_TARGETS, type DatagramTarget } from "./datagram_targets.ts";
import { eventually } from "./eventually.ts";
import { Flooder, type Forge } from "./flooder.ts";

const MIB = 1024 * 1024;
/** The server has served so many when its memory is first looked at: its heap has its size then. */
const WARM_COUNT = 4000;
/** The heap breathes, and the table of an example is full: no datagram has a part in it. */
const GROWN_BYTES_MAX = 96 * MIB;
const ANSWER_MS = 100;
/** Batches between two questions. */
const BATCHES_PER_QUESTION = 100;
const IDLE_MS = 200;
const IDLE_CPU_SHARE_MAX = 0.5;
/** A second has so many ticks of a process's clock (proc(5), sysconf(_SC_CLK_TCK)). */
const TICKS_PER_SECOND = 100;
const LONGEST_BYTES = 65_507;
const SEGMENTS_MAX = 64;
const SERVER_MS_MAX = 600_000;

/** Some bytes by chance, after those that are given. */
function some(room: Uint8Array, random: Random, length: number, ...head: number[]): number {
  for (let i = 0; i < Math.min(length, 64); i++) room[i] = random.below(256);
  room.set(head.slice(0, length));
  return length;
}

/** The head of each protocol here, and of none; what follows is by chance. */
const HEADS: readonly (readonly number[])[] = [
  [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], // a question of DNS, whose name is anything
  [0, 1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1], // … that points to itself
  [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63],
  [4 << 3 | 3], // NTP
  [0, 1, 97, 98], // TFTP: to read a file,
  [0, 2, 97, 0, 111, 99, 116, 101, 116, 0], // to write one,
  [0, 4, 0, 1], // and an acknowledgement of what nobody sent
  [1], // a connection is opened,
  [2], // and another goes on
  [],
];

/** An attack of datagrams: what is sent. */
interface DatagramAttack {
  readonly name: string;
  /** Datagrams, or trains, in the suite, and at full size. */
  readonly counts: readonly [small: number, full: number];
  /** The servers that it is for; all unless given. */
  readonly targets?: readonly string[];
  readonly forge: Forge;
}

const ATTACKS: readonly DatagramAttack[] = [
  {
    name: "a flood from changing addresses",
    targets: ["datagram echo"],
    counts: [50_000, 1_000_000],
    forge: (room, random) => ({ length: some(room, random, 32) }),
  },
  {
    name: "garbage from changing addresses",
    counts: [6400, 200_000],
    forge: (room, random) => ({
      length: some(room, random, random.below(80), ...random.pick(HEADS)),
    }),
  },
  { name: "empty datagrams", counts: [6400, 200_000], forge: () => ({ length: 0 }) },
  {
    name: "the longest datagrams",
    counts: [200, 10_000],
    forge: (room, random) => ({
      length: some(room, random, LONGEST_BYTES, ...random.pick(HEADS)),
    }),
  },
  {
    name: "trains of odd sizes",
    counts: [640, 20_000],
    forge(room, random) {
      const segment = 1 + random.below(random.chance(0.5) ? 4 : 1000);
      const length = 1 + random.below(segment * SEGMENTS_MAX);
      some(room, random, Math.min(length, room.length));
      return { length, segment: segment < length ? segment : 0 };
    },
  },
];

/** The memory, the descriptors and the ticks of a process, as the kernel has them (proc(5)). */
function look(pid: number): { bytes: number; descriptors: number; ticks: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  return {
    bytes: 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)![1]),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    ticks: Number(stat[11]) + Number(stat[12]),
  };
}

/** A server of datagrams in a process of its own, and a client of it. */
export class DatagramServer {
  readonly target: DatagramTarget;
  readonly #program: Program;
  readonly #client: DatagramSocket;
  #n = 0;
  port = 0;
  /** The answers that the client had. */
  answered = 0;

  constructor(target: DatagramTarget) {
    this.target = target;
    const args = ["127.0.0.1:0", ...target.args ?? []];
    this.#program = start(target.file, { args, timeoutMs: SERVER_MS_MAX });
    this.#client = createDatagramSocket("udp4", "127.0.0.1:0", { readTimeoutMs: ANSWER_MS });
  }

  async started(): Promise<void> {
    if (this.port > 0) return;
    this.port = Number((await this.#program.find(/Listening on .*:(\d+);/))[1]);
  }

  look(): ReturnType<typeof look> {
    return look(this.#program.pid);
  }

  /** Asks until it is answered. */
  async ask(): Promise<void> {
    const { question, isAnswer } = this.target;
    const n = ++this.#n;
    await eventually(async () => {
      this.#client.writeTo(packPeer(`127.0.0.1:${this.port}`), question(n));
      await this.#client.flush();
      try {
        await this.#client.wait();
      } catch (error) {
        if (error instanceof TimeoutError) return false;
        throw error;
      }
      // An answer that came late is one to a question before.
      return Array.from(this.#client.datagrams, ({ bytes }) => isAnswer(n, bytes)).includes(true);
    }, `an answer of ${this.target.name}`);
    this.#client.release();
    this.answered += 1;
  }

  /** Ends it. Fails unless it ends in order. */
  async stop(): Promise<void> {
    await this.#client.close();
    await this.#program.stop("SIGINT");
    const { code, signal, stderr } = await this.#program.ended;
    assert(code === 0, `${this.target.name} ended with ${signal ?? code}: ${stderr}`);
  }
}

async function flood(
  server: DatagramServer,
  flooder: Flooder,
  count: number,
  forge: Forge,
): Promise<number> {
  let mostBytes = 0;
  const before = flooder.sentCount;
  for (let batch = 0; flooder.sentCount - before < count; batch++) {
    flooder.send(forge);
    await tick(); // the server takes more of it than if it came at once
    if (batch % BATCHES_PER_QUESTION !== 0) continue;
    await server.ask();
    mostBytes = Math.max(mostBytes, server.look().bytes);
  }
  return mostBytes;
}

async function assertIdle(server: DatagramServer): Promise<void> {
  let share = 1;
  await eventually(async () => {
    const { ticks } = server.look();
    await delay(IDLE_MS);
    share = (server.look().ticks - ticks) / TICKS_PER_SECOND / (IDLE_MS / 1000);
    return share <= IDLE_CPU_SHARE_MAX;
  }, () => `an idle server: it has ${(100 * share).toFixed(0)} % of a CPU`);
}

/** Floods a server, and asserts what is promised. */
async function besiege(
  server: DatagramServer,
  { forge }: DatagramAttack,
  count: number,
  random: Random,
): Promise<Withstood> {
  await server.started();
  const answeredBefore = server.answered;
  using flooder = new Flooder(server.port, random);
  try {
    await flood(server, flooder, Math.min(count, WARM_COUNT), forge);
    await server.ask();
    const before = server.look();
    const grownBytes = await flood(server, flooder, count, forge) - before.bytes;
    assert(grownBytes <= GROWN_BYTES_MAX, `${grownBytes} bytes more resident`);
    flooder.close();
    await assertIdle(server);
    await server.ask();
    await eventually(
      () => server.look().descriptors <= before.descriptors,
      () => `${before.descriptors} descriptors again: there are ${server.look().descriptors}`,
    );
    const { sentCount, sentBytes } = flooder;
    const answered = server.answered - answeredBefore;
    return { connected: sentCount, sentBytes, answered, grownBytes };
  } catch (error) {
    throw new AssertionError((error as Error).message, { cause: error });
  }
}

/** One attack on one server. */
export interface DatagramPair {
  readonly name: string;
  readonly attack: string;
  readonly target: DatagramTarget;
  /** Attacks the server. */
  run(server: DatagramServer, random: Random): Promise<Withstood>;
}

/** All pairs, server by server. */
export function datagramPairs(size: "small" | "full"): DatagramPair[] {
  return DATAGRAM_TARGETS.flatMap((target) =>
    ATTACKS.filter(({ targets }) => targets?.includes(target.name) ?? true).map((attack) => ({
      name: `a server of ${target.name} answers others during ${attack.name}, and holds nothing`,
      attack: attack.name,
      target,
      run: (server: DatagramServer, random: Random) =>
        besiege(server, attack, attack.counts[size === "small" ? 0 : 1], random),
    }))
  );
}
