import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { ClosedError, type Connection, EofError, TimeoutError } from "../../mod.ts";
import { clearFaults, failWith, hasFaults, shorten } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, pairWith, pattern } from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { soon, ticks } from "../support/until.ts";

const BYTES_MAX = 300_000;
const EAGAIN = 11;
const ABORTED = new Error("aborted on purpose");
/** Every byte of a direction says where it stands. */
const BYTES = pattern(2 ** 22);

/** One end, and the model of what it sent and saw. */
class End {
  readonly connection: Connection;
  readonly #random: Random;
  /** Bytes that were flushed, in all. */
  flushed = 0;
  /** Bytes that were read, in all: a prefix of what the other end flushed. */
  seen = 0;
  isWriteEnded = false;
  isClosed = false;
  #waiting: Promise<void> | null = null;
  readonly pending: Promise<unknown>[] = [];

  constructor(connection: Connection, random: Random) {
    this.connection = connection;
    this.#random = random;
  }

  /** A signal that is aborted soon, sometimes. */
  #signal(): AbortSignal | undefined {
    if (this.#random.chance(0.8)) return undefined;
    const controller = new AbortController();
    void ticks(this.#random.below(4)).then(() => controller.abort(ABORTED));
    return controller.signal;
  }

  send(): void {
    if (this.isWriteEnded || this.isClosed) return;
    const count = 1 + this.#random.below(this.#random.chance(0.3) ? BYTES_MAX : 2000);
    if (this.flushed + count > BYTES.length) return;
    const { writer } = this.connection;
    try {
      writer.writeBinary(BYTES.subarray(this.flushed, this.flushed + count));
    } catch (error) {
      assert(error instanceof ClosedError, `writing: ${error}`);
      return;
    }
    this.flushed += count;
    // Ignored rejections are no unhandled ones: half of these are.
    const flushed = writer.flush({ signal: this.#signal() });
    if (this.#random.chance(0.5)) this.pending.push(flushed.catch((error) => this.#check(error)));
  }

  #check(error: unknown): void {
    const isKnown = error === ABORTED || error instanceof TimeoutError ||
      error instanceof ClosedError;
    assert(isKnown, `an error of another kind: ${error}`);
  }

  /** Reads some of what is there, and looks whether it is what was sent. */
  read(most: number): void {
    const { reader } = this.connection;
    const count = Math.min(reader.length, most);
    if (count === 0 || this.isClosed) return;
    const bytes = reader.next(count);
    assertBytes(bytes, BYTES.subarray(this.seen, this.seen + count), `the stream at ${this.seen}`);
    this.seen += count;
    reader.release();
  }

  receive(): void {
    if (this.isClosed) return;
    if (this.#waiting !== null) return this.read(this.#random.below(1000));
    const { reader } = this.connection;
    const count = reader.length + 1 + this.#random.below(this.#random.chance(0.2) ? 100_000 : 500);
    const before = this.seen;
    this.#waiting = reader.wait(count, { signal: this.#signal() }).then(
      () =>
        assert(this.isClosed || reader.length + this.seen - before >= count, "so many are there"),
      (error) => this.#check(error),
    ).finally(() => {
      this.#waiting = null;
    });
    this.pending.push(this.#waiting);
  }

  fault(): void {
    if (!hasFaults || this.isClosed) return;
    const { fd } = this.connection;
    if (fd < 0) return;
    const [count, skip] = [1 + this.#random.below(4), this.#random.below(3)];
    const call = this.#random.pick(["send", "recv"] as const);
    if (this.#random.chance(0.5)) shorten(call, 1 + this.#random.below(700), { fd, count, skip });
    else failWith(call, EAGAIN, { fd, count, skip });
  }

  endWrite(): void {
    this.isWriteEnded = true;
    this.pending.push(this.connection.closeWrite());
  }

  /** One random step. */
  step(): void {
    const dice = this.#random.below(100);
    const { connection } = this;
    if (dice < 35) this.send();
    else if (dice < 65) this.receive();
    else if (dice < 73) this.read(this.#random.below(50_000));
    else if (dice < 78) connection.pauseRead();
    else if (dice < 88) connection.resumeRead();
    else if (dice < 92) connection.readTimeoutMs = this.#random.below(3);
    else if (dice < 94) connection.writeTimeoutMs = this.#random.below(3);
    else if (dice < 98) this.fault();
    else if (this.#random.chance(0.2)) this.endWrite();
  }

  /** Reads until the end. */
  async drain(): Promise<unknown> {
    const { connection } = this;
    connection.resumeRead();
    connection.readTimeoutMs = 0;
    connection.writeTimeoutMs = 0;
    await Promise.race([this.#waiting, ticks(1)]);
    for (;;) {
      this.read(Infinity);
      try {
        while (this.#waiting !== null) {
          this.read(Infinity);
          await ticks(1);
        }
        await connection.reader.wait(1);
      } catch (error) {
        this.read(Infinity);
        return error;
      }
    }
  }
}

async function inOrder(a: End, b: End): Promise<void> {
  a.endWrite();
  b.endWrite();
  const errors = await soon(Promise.all([a.drain(), b.drain()]), "both read to the end");
  for (const error of errors) {
    assert(error instanceof EofError && error.cause === undefined, `${error}`);
  }
  assertEquals([a.seen, b.seen], [b.flushed, a.flushed], "every byte arrived");
}

/** One end goes, in one way or another: the other one sees a prefix, and an end. */
async function atOnce(gone: End, left: End, random: Random): Promise<void> {
  gone.isClosed = true;
  let unsent = 0;
  if (random.chance(0.5)) {
    gone.connection.reset();
    unsent = Infinity;
  } else {
    const closing = gone.connection.close({ timeoutMs: random.pick([0, 10_000]) });
    void closing.then((result) => unsent = result.unsentBytes);
  }
  const error = await soon(left.drain(), "the one that is left reads to the end");
  assert(error instanceof EofError, `${error}`);
  await ticks(1);
  const isExact = needs("exact account").skip === false;
  if (unsent < Infinity && isExact) {
    assertEquals(left.seen + unsent, gone.flushed, "all but what it said");
  } else if (unsent < Infinity) {
    assert(left.seen + unsent >= gone.flushed && left.seen <= gone.flushed, "a bound of the rest");
  } else assert(left.seen <= gone.flushed);
}

async function schedule(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const [a, b] = pairWith().map((each) => new End(each, random)) as [End, End];
  try {
    const steps = 20 + random.below(120);
    for (let i = 0; i < steps; i++) {
      random.pick([a, b]).step();
      if (random.chance(0.4)) await ticks(1 + random.below(2));
    }
    clearFaultsIfAny();
    if (random.chance(0.6)) await inOrder(a, b);
    else if (random.chance(0.5)) await atOnce(a, b, random);
    else await atOnce(b, a, random);
    await soon(Promise.all([a.connection.close(), b.connection.close()]));
    await soon(Promise.all([...a.pending, ...b.pending]), "nothing is left waiting");
  } finally {
    clearFaultsIfAny();
    a.connection.reset();
    b.connection.reset();
  }
}

function clearFaultsIfAny(): void {
  if (hasFaults) clearFaults();
}

test("random schedules: each end sees what the other sent, in order, once, and then its end", {
  timeout: 60_000,
}, () =>
  leaks(async () => {
    const given = process.env["NETPOLL_SEED"];
    const count = Number(process.env["NETPOLL_SCHEDULES"] ?? 150);
    const seeds = seededRandom(given);
    for (let i = 0; i < (given === undefined ? count : 1); i++) {
      const seed = given === undefined ? seeds.below(2 ** 32) : Number(given);
      try {
        await schedule(seed);
      } catch (error) {
        (error as Error).message += ` (NETPOLL_SEED=${seed} runs it again)`;
        throw error;
      }
    }
  }));
