/**
 * Workers are killed at random under load, and their number changes: what lives goes on, and nothing
 * is left of what died.
 *
 * NETPOLL_KILL_SECONDS says for how long; a few seconds unless it does.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { type Connection, dial, NetpollError } from "../../mod.ts";
import { killWorker } from "../../src/server/cluster.ts";
import { TestCluster } from "../support/cluster.ts";
import { leaks } from "../support/leaks.ts";
import { seededRandom } from "../support/random.ts";
import { NARROW } from "../support/slow_peer.ts";
import { delay, until } from "../support/until.ts";

const SECONDS = Number(process.env["NETPOLL_KILL_SECONDS"] ?? 2);
/** The last exchanges may take so long, on the busiest machine. */
const END_MS = 15_000;
const CLIENTS = 20;
const POLLERS = 3;
const MESSAGE_BYTES_MAX = 20_000;

/** One client: connects, exchanges a few messages, each compared, and connects anew. */
class Client {
  rounds = 0;
  lost = 0;
  readonly #next: () => number;
  readonly #at: string;

  constructor(at: string, seed: number) {
    this.#at = at;
    this.#next = seededRandom(seed).next;
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      let connection: Connection | null = null;
      try {
        connection = await dial("tcp", this.#at);
        for (let n = 0; n < 5 && !isOver(); n++) await this.#exchange(connection);
      } catch (error) {
        // The end of a connection may come with its Worker's; a wrong byte may not.
        if (!(error instanceof NetpollError)) throw error;
        this.lost += 1;
      } finally {
        connection?.reset();
      }
    }
  }

  async #exchange({ reader, writer }: Connection): Promise<void> {
    const bytes = Buffer.alloc(1 + Math.floor(this.#next() * MESSAGE_BYTES_MAX));
    // Upper case: none of the handler's own words.
    for (let i = 0; i < bytes.length; i++) bytes[i] = 65 + Math.floor(this.#next() * 26);
    writer.writeBinary(bytes, { copy: true });
    await writer.flush();
    await reader.wait(bytes.length);
    assert(bytes.equals(reader.next(bytes.length)), "what comes back is what was sent");
    assertEquals(reader.length, 0);
    reader.release();
    this.rounds += 1;
  }
}

test("the end of a Worker is no end of the answer that it owes: its peer is reset", async () => {
  await using test = new TestCluster({ pollerCount: 1 }, NARROW);
  using peer = test.connect();
  peer.send("much");
  await until(() => native.readable(peer.fd) === 1, "the answer begins");
  await test.cluster.metrics(); // the Worker answers between two turns: it knows what it owes by now
  killWorker(test.cluster, 0);
  await until(() => peer.isOver, "the end at the peer");
  assert(peer.isReset && peer.received.length < 1 << 20, `${peer.received.length} bytes`);
});

/** Something that ends a Worker: from outside, by an error, or by its own exit. */
async function killOne(test: TestCluster, at: string, pick: number): Promise<void> {
  const index = Math.floor(pick * POLLERS);
  if (pick * POLLERS - index < 0.5) return killWorker(test.cluster, index);
  const connection = await dial("tcp", at);
  connection.writer.writeString(pick < 0.5 ? "exit" : "throw");
  await connection.writer.flush();
  await connection.reader.wait(1).catch(() => {}); // the end comes with the Worker's
  connection.reset();
}

/** Changes the number of pollers again and again. How often. */
async function resizeAtRandom(
  { cluster }: TestCluster,
  next: () => number,
  isOver: () => boolean,
): Promise<number> {
  for (let count = 0;; count++) {
    await delay(100 + next() * 400);
    if (isOver()) return count;
    try {
      await cluster.resize(1 + Math.floor(next() * (POLLERS + 1)), { timeoutMs: 200 });
    } catch (error) {
      // A Worker that starts may be killed, too: then there are as many as before.
      if (!(error instanceof NetpollError)) throw error;
    }
  }
}

async function killAtRandom(): Promise<{ rounds: number; lost: number; ends: number }> {
  await using test = new TestCluster({ pollerCount: POLLERS, loadBalance: "random" });
  await test.askMany(POLLERS); // a Worker that dies before all have begun ends the cluster
  const { address } = test.listener;
  const at = `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`;
  const end = performance.now() + SECONDS * 1000;
  let isOver = false;
  const clients = Array.from({ length: CLIENTS }, (_, n) => new Client(at, n + 1));
  const running = Promise.all(clients.map((client) => client.run(() => isOver)));
  const { seed, next } = seededRandom(process.env["SEED"]);
  console.log(`  SEED=${seed}`);
  const resizing = resizeAtRandom(test, seededRandom(seed + 1).next, () => isOver);
  try {
    while (performance.now() < end) {
      await Promise.race([running, resizing, delay(50 + next() * 150)]);
      await killOne(test, at, next());
    }
  } finally {
    isOver = true; // in any case: no client may go on without a server
  }
  // Nobody is killed any more: who still waits then would wait for ever.
  await within(END_MS, Promise.all([running, resizing]));
  const sum = (of: (client: Client) => number) => clients.reduce((all, one) => all + of(one), 0);
  return {
    rounds: sum((client) => client.rounds),
    lost: sum((client) => client.lost),
    ends: test.errors.length,
  };
}

async function within(ms: number, running: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("a client waits for ever")), ms);
  });
  await Promise.race([running, late]).finally(() => clearTimeout(timer));
}

async function startOnce(): Promise<void> {
  await using test = new TestCluster({ pollerCount: POLLERS });
  await test.askMany(1);
}

test(
  "Cluster serves on while Workers are killed and their number changes, and leaves nothing behind",
  {
    timeout: SECONDS * 1000 + 20_000,
  },
  async () => {
    await startOnce(); // what a runtime opens for its first Worker, it keeps
    const { rounds, lost, ends } = await leaks(killAtRandom);
    console.log(
      `  ${ends} Workers ended; ${rounds} messages were right, ${lost} connections ended`,
    );
    assertGreater(ends, 0);
    assertGreater(rounds, 0);
  },
);
