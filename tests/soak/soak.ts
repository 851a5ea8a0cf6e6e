/**
 * The soak: a loop and a cluster of two serve everything at once, to clients that stay and to
 * clients that come and go. Now and then all pause, the collector runs, and what is held is counted.
 */
import { readdirSync } from "node:fs";
import process from "node:process";
import { setTimeout } from "node:timers";
import { AssertionError } from "@std/assert";
import {
  Cluster,
  createDatagramSocket,
  createListener,
  type DatagramSocket,
  EventLoop,
  type TcpAddress,
} from "../../mod.ts";
import { collect } from "../runtime/collect.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { connectTo, type Open, OPENS, type Session } from "./clients.ts";
import { DATAGRAM_SESSIONS } from "./datagrams.ts";
import {
  failures,
  onDatagram,
  onError,
  onRequest,
  options,
  STREAM_FILE,
  UPSTREAM,
} from "./services.ts";

/** What is held while everybody pauses. */
export interface Sample {
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly watched: number;
  readonly timers: number;
  readonly blocks: number;
  readonly slabs: number;
  readonly pinnedBytes: number;
  readonly connections: number;
  readonly datagramSockets: number;
}

/** What a soak did. */
export interface Soaked {
  readonly samples: readonly Sample[];
  readonly rounds: number;
  readonly bytes: number;
  /** Connections, and sockets of datagrams, that came and went. */
  readonly churned: number;
}

/** How the soak runs. */
export interface SoakOptions {
  readonly seconds: number;
  /** The time between two pauses. */
  readonly periodMs: number;
  readonly seed: number;
  /** The file of all streams. */
  readonly streamPath: string;
  readonly onSample?: (sample: Sample, index: number) => void;
}

/** Rounds of a connection that goes again. */
const CHURN_ROUNDS_MAX = 4;
/** So often a Worker is asked to collect: each gets one of two connections that follow each other. */
const WORKERS = 2;
/** What goes on after the last answer: acknowledgements, closes, completions. */
const SETTLE_MS_MAX = 5000;

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Where clients stop for a pause. */
class Gate {
  #open: PromiseWithResolvers<void> | null = null;
  #waiting = 0;
  #clients = 0;
  #failure: unknown = null;

  /** A client that passes here between its rounds. Its failure ends the soak. */
  add(run: Promise<void>): void {
    this.#clients += 1;
    run.catch((error) => this.#failure ??= error).finally(() => this.#clients -= 1);
  }

  async pass(): Promise<void> {
    if (this.#open === null) return;
    this.#waiting += 1;
    await this.#open.promise;
    this.#waiting -= 1;
  }

  /** Waits until all stand still. */
  async close(): Promise<void> {
    this.#open = Promise.withResolvers();
    while (this.#waiting < this.#clients) {
      this.check();
      await delay(2);
    }
  }

  open(): void {
    this.#open?.resolve();
    this.#open = null;
  }

  check(): void {
    if (this.#failure !== null) throw this.#failure;
    if (failures.length > 0) throw new AssertionError(`a handler failed: ${failures[0]}`);
  }
}

/** A soak that runs. */
class Soak {
  rounds = 0;
  bytes = 0;
  churned = 0;
  readonly samples: Sample[] = [];
  readonly #options: SoakOptions;
  readonly #gate = new Gate();
  readonly #loop: EventLoop;
  readonly #cluster: Cluster;
  readonly #datagrams: DatagramSocket;
  readonly #served: Promise<void>[];
  readonly #addresses: string[] = [];
  #isOver = false;
  #id = 0;

  constructor(soakOptions: SoakOptions) {
    this.#options = soakOptions;
    process.env[STREAM_FILE] = soakOptions.streamPath;
    this.#loop = new EventLoop(onRequest, { ...options, onError });
    const listeners = [0, 1].map(() => createListener("tcp", "127.0.0.1:0"));
    for (const listener of listeners) {
      this.#addresses.push(`127.0.0.1:${(listener.address as TcpAddress).port}`);
    }
    process.env[UPSTREAM] = this.#addresses[0];
    this.#cluster = new Cluster(new URL("./services.ts", import.meta.url), {
      pollerCount: WORKERS,
    });
    this.#datagrams = createDatagramSocket("udp", "127.0.0.1:0", { onDatagram, onError });
    this.#served = [this.#loop.serve(listeners[0]!), this.#cluster.serve(listeners[1]!)];
  }

  async #rounds(session: Session, count: number, random: Random): Promise<void> {
    for (let n = 0; n < count; n++) {
      const bytes = await session.round(random); // apart: others add to the sum meanwhile
      this.bytes += bytes;
      this.rounds += 1;
    }
  }

  /** A connection that lives throughout. */
  async #stay(at: string, open: Open, id: number): Promise<void> {
    const random = seededRandom(this.#options.seed + id);
    const session = await open(at, id);
    while (!this.#isOver) {
      await this.#gate.pass();
      await this.#rounds(session, 1, random);
      await delay(random.below(3));
    }
    await session.close();
  }

  /** Connections that come and go: some end in order, some by a reset. */
  async #churn(at: string, open: Open, id: number): Promise<void> {
    const random = seededRandom(this.#options.seed + id);
    while (!this.#isOver) {
      await this.#gate.pass();
      const session = await open(at, id);
      await this.#rounds(session, random.below(CHURN_ROUNDS_MAX), random);
      if (random.chance(0.3)) session.reset();
      await session.close();
      this.churned += 1;
      await delay(random.below(10));
    }
  }

  async #collect(): Promise<void> {
    collect();
    for (let n = 0; n < WORKERS; n++) {
      const connection = await connectTo(this.#addresses[1]!, "g");
      connection.writer.writeString("g");
      await connection.writer.flush();
      await connection.reader.wait(1);
      await connection.close();
    }
  }

  async #look(): Promise<Sample> {
    const { total } = await this.#cluster.metrics();
    return {
      residentBytes: process.memoryUsage().rss,
      descriptors: readdirSync("/proc/self/fd").length,
      watched: total.poller.watchedCount,
      timers: total.poller.timerCount,
      blocks: total.memory.blockCount,
      slabs: total.memory.wrappedSlabCount,
      pinnedBytes: total.memory.pinnedBytes,
      connections: this.#loop.connectionCount + this.#cluster.connectionCount,
      datagramSockets: total.datagrams.activeCount,
    };
  }

  /** What is held once nothing moves any more. */
  async #sample(): Promise<Sample> {
    await this.#collect();
    const end = performance.now() + SETTLE_MS_MAX;
    let last = "";
    for (;;) {
      const sample = await this.#look();
      const { residentBytes: _, slabs: _slabs, ...rest } = sample;
      const now = JSON.stringify(rest);
      if (now === last && sample.pinnedBytes === 0 || performance.now() > end) return sample;
      last = now;
      await delay(50);
    }
  }

  /** Of each kind, and of each server, a client that stays, and one that comes and goes. */
  #begin(opens: readonly Open[], addresses: readonly string[]): void {
    for (const open of opens) {
      for (const at of addresses) {
        this.#gate.add(this.#stay(at, open, this.#id++));
        this.#gate.add(this.#churn(at, open, this.#id++));
      }
    }
  }

  async run(): Promise<Soaked> {
    const { seconds, periodMs, onSample } = this.#options;
    this.#begin(OPENS, this.#addresses);
    const group = await this.#cluster.bindDatagram("udp", "127.0.0.1:0");
    const ports = [this.#datagrams.localAddress, group].map(({ port }) => port);
    this.#begin(Object.values(DATAGRAM_SESSIONS), ports.map((port) => `127.0.0.1:${port}`));
    const end = performance.now() + 1000 * seconds;
    try {
      while (performance.now() < end) {
        await delay(periodMs);
        await this.#gate.close();
        const sample = await this.#sample();
        this.samples.push(sample);
        onSample?.(sample, this.samples.length);
        this.#gate.open();
      }
      this.#gate.check();
      return this;
    } finally {
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    this.#isOver = true;
    this.#gate.open();
    await delay(100);
    await this.#datagrams.close();
    await this.#loop.shutdown({ timeoutMs: 2000 });
    await this.#cluster.shutdown({ timeoutMs: 2000 });
    await Promise.all(this.#served);
  }
}

/** Soaks for some time. Throws at the first wrong byte, and at whatever fails. */
export function soak(soakOptions: SoakOptions): Promise<Soaked> {
  return new Soak(soakOptions).run();
}
