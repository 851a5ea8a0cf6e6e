import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  BusyError,
  ClosedError,
  configure,
  type Connection,
  ConnectionPool,
  everyLoss,
  FakeClock,
  lengthPrefixed,
  LinkBuffer,
  memoryPair,
  reconnecting,
  type ReconnectingState,
  responder,
  tagged,
  TimeoutError,
  UnansweredError,
} from "../../mod.ts";
import { config } from "../../src/core/config.ts";
import { textOf } from "../buffer/balanced.ts";
import { leaks } from "../support/leaks.ts";
import { serveAt } from "../support/pool_bed.ts";
import { seededRandom } from "../support/random.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

const codec = tagged(lengthPrefixed());
const answering = responder<Uint8Array, Uint8Array>(codec, (body) => body);

/** Connections in memory, whose other ends a test has. */
class Line {
  readonly peers: Connection[] = [];
  /** The number of dials that fail first. */
  failures = 0;
  dials = 0;

  readonly connect = (): Promise<Connection> => {
    this.dials += 1;
    if (this.failures > 0) {
      this.failures -= 1;
      return Promise.reject(new Error("refused"));
    }
    const [ours, theirs] = memoryPair();
    this.peers.push(theirs);
    return Promise.resolve(ours);
  };

  /** The other end of the connection that is there. */
  get peer(): Connection {
    return this.peers.at(-1)!;
  }

  serve(): void {
    this.peer.setOnRequest(answering);
  }
}

test("request() over one connection after the other; none that was not sent is lost", async () => {
  await leaks(async () => {
    let server = serveAt(answering);
    const states: ReconnectingState[] = [];
    const client = reconnecting(server.address, codec, {
      timeoutMs: 5000,
      backoffMs: 1,
      backoffMsMax: 5,
      onStateChange: (state) => states.push(state),
    });
    assertEquals(textOf(await soon(client.request("one"))), "one");
    await server.stop();
    await until(() => client.state !== "connected", "the loss is seen");
    const waiting = ["two", "three"].map((text) => client.request(text));
    assertEquals([client.isActive, client.pendingCount], [true, 2]);
    await ticks(20);
    server = serveAt(answering, server.address);
    assertEquals((await soon(Promise.all(waiting))).map(textOf), ["two", "three"]);
    await client.close();
    await server.stop();
    assertEquals(states.slice(0, 2), ["connecting", "connected"]);
    assertEquals([states.includes("waiting"), states.at(-1)], [true, "closed"]);
    assertInstanceOf(await soon(client.closed), ClosedError);
  });
});

test("request() that was sent rejects with sent: true, and is repeated if it is idempotent", async () => {
  const line = new Line();
  const client = reconnecting(line.connect, codec, { backoffMs: 1, backoffMsMax: 1 });
  await until(() => client.state === "connected", "it connects");
  const once = client.request("once");
  const again = client.request("again", { idempotent: true });
  const { peer } = line;
  await soon(peer.reader.wait(20)); // both are there
  peer.reset();
  const error = await soon(assertRejects(() => once, UnansweredError));
  assertEquals([error.sent, error.code], [true, "ERR_UNANSWERED"]);
  await until(() => line.peers.length > 1, "it connects again");
  line.serve();
  assertEquals(textOf(await soon(again)), "again");
  await client.close();
});

test("request() that was sent over a connection that we close ourselves is not repeated either", async () => {
  using clock = new FakeClock();
  const peers: Connection[] = [];
  const client = reconnecting(() => {
    const [ours, theirs] = memoryPair({ first: { idleTimeoutMs: 1000 } });
    peers.push(theirs);
    return Promise.resolve(ours);
  }, codec);
  await until(() => client.state === "connected", "it connects");
  const failure = assertRejects(() => client.request("once"), UnansweredError);
  await clock.advance(1100);
  const error = await soon(failure);
  assertEquals(error.sent, true);
  assertInstanceOf(error.cause, ClosedError);
  await client.close();
  for (const peer of peers) await peer.close();
});

test("request() is repeated no more than the budget allows", async () => {
  for (const retryBudget of [0, 10]) {
    const line = new Line();
    let sends = 0;
    const client = reconnecting(
      async () => {
        const connection = await line.connect();
        line.peer.setOnRequest((peer) => {
          sends += 1;
          peer.reset();
        });
        return connection;
      },
      codec,
      { backoffMs: 1, backoffMsMax: 1, retryBudget },
    );
    const result = client.request("x", { idempotent: true });
    await soon(assertRejects(() => result, UnansweredError));
    assertEquals(sends, 1 + retryBudget);
    await client.close();
  }
});

test("request() waits for a connection until its deadline or signal, and says why there is none", async () => {
  using clock = new FakeClock();
  const line = new Line();
  line.failures = Infinity;
  const client = reconnecting(line.connect, codec, { pendingMax: 2, backoffMsMax: 1000 });
  const late = client.request("late", { timeoutMs: 5000 });
  const aborting = new AbortController();
  const aborted = client.request("aborted", { signal: aborting.signal });
  const failures = Promise.all([
    assertRejects(() => late, TimeoutError),
    assertRejects(() => aborted, Error, "enough"),
  ]);
  await assertRejects(() => client.request("more"), BusyError);
  aborting.abort(new Error("enough"));
  await clock.advance(5001);
  const [error] = await soon(failures);
  assertEquals([error.message, (error.cause as Error).message], [
    "The answer did not come within 5000 ms",
    "refused",
  ]);
  // Full jitter below 100, 200, 400, 800, 1000 … ms: neither a storm, nor a long silence.
  assert(line.dials >= 5 && line.dials < 200, `${line.dials} dials`);
  line.failures = 0;
  await clock.advance(1001);
  await until(() => client.state === "connected", "it connects in the end");
  line.serve();
  assertEquals(textOf(await soon(client.request("at last"))), "at last");
  await client.close();
});

test("request() does not wait when no try can do better, and the client goes on", async () => {
  let isWrong = true;
  const line = new Line();
  const make = () => {
    if (isWrong) throw new TypeError("a mistake");
    return line.connect();
  };
  const client = reconnecting(make, codec, { backoffMs: 1, backoffMsMax: 2 });
  await soon(assertRejects(() => client.request("x"), TypeError, "a mistake"));
  isWrong = false;
  await until(() => client.state === "connected", "it goes on");
  line.serve();
  assertEquals(textOf(await soon(client.request("y"))), "y");
  await client.close();
});

test("a connection that ends at once is followed by a pause, as one that was refused", async () => {
  using clock = new FakeClock();
  const line = new Line();
  const client = reconnecting(async () => {
    const connection = await line.connect();
    void line.peer.close();
    return connection;
  }, codec);
  for (let i = 0; i < 50; i++) await clock.advance(100);
  assert(line.dials >= 3 && line.dials < 60, `${line.dials} dials`);
  await client.close();
});

test("reconnecting() of a pool has one of its connections, and leaves it to its user", async () => {
  await leaks(async () => {
    const servers = [serveAt(answering), serveAt(answering)];
    const pool = new ConnectionPool(servers.map(({ address }) => address), { max: 4 });
    const clients = [1, 2, 3].map(() => reconnecting(pool, codec, { backoffMs: 1 }));
    const answers = clients.map((client, n) => client.request(`${n}`, { timeoutMs: 4000 }));
    assertEquals((await soon(Promise.all(answers))).map(textOf), ["0", "1", "2"]);
    assertEquals(pool.metrics().inUse, 3);
    await servers[0]!.stop();
    const more = clients.map((client, n) =>
      client.request(`${n}`, { timeoutMs: 4000, idempotent: true })
    );
    assertEquals((await soon(Promise.all(more))).map(textOf), ["0", "1", "2"]);
    for (const client of clients) await client.close();
    assertEquals([pool.isActive, pool.metrics().inUse], [true, 0]);
    await pool.close();
    await servers[1]!.stop();
    const client = reconnecting(pool, codec);
    assertInstanceOf(await soon(client.closed), ClosedError); // there is nothing to come
  });
});

test("drain() waits for what was begun; close() rejects it", async () => {
  const line = new Line();
  const client = reconnecting(line.connect, codec);
  await until(() => client.state === "connected", "it connects");
  const result = client.request("slow");
  const drained = client.drain();
  assertEquals(await client.drain({ timeoutMs: 1 }), { unansweredCount: 1 });
  await assertRejects(() => client.request("new"), ClosedError);
  assertEquals([await stateOf(drained), client.isActive], ["pending", false]);
  line.serve();
  assertEquals(textOf(await soon(result)), "slow");
  assertEquals(await soon(drained), { unansweredCount: 0 });
  await client.close();

  const other = reconnecting(line.connect, codec);
  await until(() => other.state === "connected", "it connects");
  const cut = assertRejects(() => other.request("cut"), ClosedError);
  await ticks(2);
  await other.close();
  await soon(cut);
  await other.close();
  await assertRejects(() => other.request("late"), ClosedError);
});

test("every request settles once, whatever happens to connections", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    using clock = new FakeClock();
    const random = seededRandom(seed);
    const line = new Line();
    const client = reconnecting(line.connect, codec, { backoffMs: 5, backoffMsMax: 20 });
    const settled: number[] = [];
    const results: Promise<unknown>[] = [];
    for (let step = 0; step < 100; step++) {
      if (random.chance(0.5)) {
        const n = results.length;
        const idempotent = random.chance(0.5);
        const timeoutMs = random.pick([0, 30]);
        const result = client.request(`${n}`, { idempotent, timeoutMs }).then(
          (body) => assertEquals(textOf(body), `${n}`),
          (error) => {
            const isFine = error instanceof UnansweredError ? error.sent : timeoutMs > 0;
            assert(isFine, `${error}, seed ${seed}`);
          },
        );
        results.push(result.then(() => void settled.push(n)));
      } else if (random.chance(0.3)) line.peers.at(-1)?.reset();
      else if (random.chance(0.6)) line.peers.at(-1)?.setOnRequest(answering);
      else if (random.chance(0.2)) line.failures = 2;
      else await clock.advance(random.below(20));
      await ticks(random.below(3));
    }
    for (let i = 0; settled.length < results.length; i++) {
      assert(i < 200, `requests without an end, seed ${seed}`);
      line.peers.at(-1)?.setOnRequest(answering);
      await clock.advance(20);
    }
    await soon(Promise.all(results));
    assertEquals(new Set(settled).size, results.length);
    await client.close();
    for (const peer of line.peers) await peer.close({ timeoutMs: 0 });
  }
});

test("a body that can be written once is not sent again: the request says whether it was sent", async () => {
  const line = new Line();
  const client = reconnecting(line.connect, codec, { backoffMs: 1, backoffMsMax: 2 });
  await until(() => client.state === "connected", "it is connected");
  const body = new LinkBuffer();
  body.writeString("once");
  body.flush();
  const failed = client.request(body, { idempotent: true });
  await soon(line.peer.reader.wait(1));
  await line.peer.close({ timeoutMs: 0 });
  const error = await soon(assertRejects(() => failed, UnansweredError));
  assertEquals([error.sent, client.pendingCount], [true, 0]);
  await client.close();
});

test("request() rejects with the reason of its signal, whatever that is", async () => {
  const client = reconnecting(() => new Promise<Connection>(() => {}), codec);
  const abort = new AbortController();
  const reason = new TimeoutError("read", 77);
  const failed = client.request("x", { signal: abort.signal }).catch((error) => error);
  abort.abort(reason);
  assert(await soon(failed) === reason);
  await client.close();
});

test("onStateChange may fail, also later: the client goes on, and the log says so", async () => {
  const said: string[] = [];
  const { log } = config;
  configure({ log: (line) => said.push(line) });
  try {
    const line = new Line();
    let calls = 0;
    const onStateChange = () => {
      if (calls++ > 0) return Promise.reject(new Error("later"));
      throw new Error("at once");
    };
    const client = reconnecting(line.connect, codec, { onStateChange });
    await until(() => said.length >= 2, "both are told");
    line.serve();
    assertEquals(textOf(await soon(client.request("x"))), "x");
    await client.close();
    assertEquals(said.slice(0, 2).map((each) => /at once|later/.exec(each)?.[0]), [
      "at once",
      "later",
    ]);
  } finally {
    configure({ log });
  }
});

test("reconnecting() refuses what means nothing", () => {
  const make = (options: unknown) => () => reconnecting("h:1", codec, options as undefined);
  assertThrows(make({ retries: 1 }), TypeError, "Unknown option");
  assertThrows(make({ retryRatio: 2 }), RangeError);
  assertThrows(make({ retryRatio: "0.5" }), RangeError, '"0.5"');
  for (const name of ["pendingMax", "timeoutMs", "backoffMs", "retryRatio", "retryBudget"]) {
    assertThrows(make({ [name]: null }), RangeError, "null");
  }
  const pool = new ConnectionPool("h:1");
  assertThrows(() => reconnecting(pool, codec, { dial: {} }), TypeError, "has its own");
  assertThrows(() => reconnecting("h", codec), TypeError, "no port");
  assertThrows(make({ backoffMs: 0 }), RangeError);
  assertThrows(make({ backoffMs: 50, backoffMsMax: 10 }), RangeError);
  assertThrows(make({ onStateChange: 5 }), TypeError);
  assertThrows(() => reconnecting("h:1", {} as typeof codec), TypeError);
  assertThrows(() => reconnecting("nowhere://h", codec), TypeError);
});

test("request() that may be repeated is answered wherever its first connection is lost", () =>
  leaks(async () => {
    const second = { onRequest: answering };
    await everyLoss(async (first) => {
      const connections = [first];
      const client = reconnecting(() => {
        const connection = connections.pop() ?? memoryPair({ second })[0];
        return Promise.resolve(connection);
      }, codec);
      const asked = ["a", "b"].map((text) => client.request(text, { idempotent: true }));
      const answers = await Promise.allSettled(asked);
      await client.close();
      assertEquals(answers.map((each) => each.status), ["fulfilled", "fulfilled"]);
      assertEquals((await Promise.all(asked)).map(textOf), ["a", "b"]);
    }, { second });
  }));
