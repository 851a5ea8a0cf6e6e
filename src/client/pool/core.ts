/**
 * The inside of a pool: who gets which connection, and when.
 */
import { BusyError, ClosedError } from "../../core/errors.ts";
import { fullJitter } from "../../core/jitter.ts";
import { RECONNECT_MS } from "../../core/limits.ts";
import {
  checkNumber,
  checkOptions,
  checkSignal,
  checkTimeout,
  type Known,
} from "../../core/options.ts";
import { settlesWithin } from "../../poll/settles_within.ts";
import { threadPoller } from "../../poll/thread_poller.ts";
import { Timer } from "../../poll/timer_wheel.ts";
import { Endpoint, isOfPeer, type Member } from "./endpoint.ts";
import { Group } from "./group.ts";
import { Lease, type Lender } from "./lease.ts";
import { connectOf, Maker, nowMs, type PoolSource } from "./maker.ts";
import { nothingClosed, type PoolCloseReason, type PoolMetrics } from "./metrics.ts";
import {
  type AcquireOptions,
  type PoolDrainOptions,
  type PoolDrainResult,
  type PoolOptions,
  type PoolSettings,
  poolSettings,
} from "./options.ts";
import { WaitQueue } from "./wait_queue.ts";

const ACQUIRE_OPTIONS: Known<AcquireOptions> = { timeoutMs: 1, signal: 1 };
const DRAIN_OPTIONS: Known<PoolDrainOptions> = { timeoutMs: 1 };

/** An idle connection that ends within so many milliseconds was none. */
const SOON_MS = 1000;

/** True for a connection of which nothing ever came, and which the peer has ended. */
function isUseless({ inside }: Member): boolean {
  return inside.readEnd !== null && inside.input.total === 0 && inside.input.length === 0;
}

/** Why something came to nothing. */
interface Failure {
  readonly error: unknown;
}

/** A pool, without what its users see. */
export class PoolCore {
  readonly #settings: PoolSettings;
  readonly #group: Group;
  readonly #maker: Maker;
  readonly #waiting = new WaitQueue<Lease>("acquire", () => this.#checkEmpty());
  readonly #leased = new Set<Member>();
  /** Dials that are under way. */
  readonly #dials = new Set<Promise<Failure | null>>();
  /** Connections that are closing. */
  readonly #closing = new Set<Promise<unknown>>();
  readonly #sweep = new Timer({ onTimer: () => this.#tend() });
  readonly #lender: Lender = {
    takeBack: (lent, failure) => this.#takeBack(lent as Member, failure),
  };
  #state: "open" | "draining" | "closed" = "open";
  #dialingCount = 0;
  #probingCount = 0;
  #createdCount = 0;
  #acquiredCount = 0;
  readonly #closedBy = nothingClosed();
  readonly #wait = { count: 0, sumMs: 0, maxMs: 0 };
  readonly #failures = { dial: 0, probe: 0 };
  /** Dials in a row that failed for nobody but `min`, and when the next may be. */
  #fillFailureCount = 0;
  #fillMs = 0;
  /** A connection is on its way to an address that lacks some. */
  #isEvening = false;
  /** Resolves when nobody waits, and nobody has a connection. */
  #emptied: PromiseWithResolvers<void> | null = null;

  /** A pool for an address, or for several that are all as good. */
  constructor(source: PoolSource | readonly PoolSource[], options: PoolOptions = {}) {
    this.#settings = poolSettings(options);
    const { ejectAfter, ejectMs, dial, min } = this.#settings;
    const sources = Array.isArray(source)
      ? source as readonly PoolSource[]
      : [source as PoolSource];
    if (sources.length === 0) throw new TypeError("Cannot make a pool of no address: give one");
    // There is nowhere else to go from a single address.
    const after = sources.length === 1 ? 0 : ejectAfter;
    this.#group = new Group(
      sources.map((each) => new Endpoint(...connectOf(each, dial), after, ejectMs)),
    );
    this.#maker = new Maker(this.#settings, (member) => this.#onEnd(member));
    if (min > 0) queueMicrotask(() => this.#fill());
  }

  /** Connections: idle, in use, probed and on their way. */
  get size(): number {
    return this.#group.idleCount + this.#leased.size + this.#probingCount + this.#dialingCount;
  }

  /** Whether connections can be acquired: neither `drain` nor `close` was called. */
  get isActive(): boolean {
    return this.#state === "open";
  }

  // ---- acquiring --------------------------------------------------------------------------------

  /** Lends a connection, as soon as one is free and it is the caller's turn. */
  acquire(options?: AcquireOptions): Promise<Lease> {
    const { timeoutMs = this.#settings.timeoutMs, signal } = options ?? {};
    try {
      checkOptions("acquire", options, ACQUIRE_OPTIONS);
      checkSignal("acquire", signal);
      checkTimeout("timeoutMs", timeoutMs);
      signal?.throwIfAborted();
      if (this.#state !== "open") throw new ClosedError("Cannot acquire: the pool was closed");
      const isFree = this.#waiting.count === 0 && this.#group.idleCount > 0;
      const member = isFree && this.#settings.probe === null ? this.#takeIdle() : null;
      if (member !== null) return Promise.resolve(this.#lend(member));
      if (this.#waiting.count >= this.#settings.waitingMax) {
        throw new BusyError(`Cannot acquire: ${this.#waiting.count} others wait for a connection`);
      }
      const waiter = this.#waiting.add(nowMs(), { timeoutMs, signal });
      this.#serve();
      return waiter.promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Takes an idle connection that can be used; null without one. */
  #takeIdle(): Member | null {
    for (let member; (member = this.#group.take()) !== null;) {
      const fault = this.#faultOf(member);
      if (fault === null) return member;
      this.#drop(member, fault);
    }
    return null;
  }

  /** Why a connection cannot be given to anybody; null when it can. */
  #faultOf(
    { connection, inside, expiryMs }: Member,
    isReceiving = true,
  ): PoolCloseReason | null {
    if (!inside.isAtRest(isReceiving)) {
      const isOver = !connection.isActive || inside.readEnd !== null;
      return isOver ? "ended" : "unclean";
    }
    return expiryMs <= nowMs() ? "lifetime" : null;
  }

  #lend(member: Member): Lease {
    member.state = "leased";
    member.endpoint.usedCount += 1;
    this.#leased.add(member);
    this.#acquiredCount += 1;
    return new Lease(this.#lender, member);
  }

  /** True when each who waits has a connection on the way. */
  get #isHelped(): boolean {
    return this.#dialingCount + this.#probingCount >= this.#waiting.count;
  }

  /** Whether one more can be made. One that closes may still send: it is the server's, too. */
  get #hasRoom(): boolean {
    return this.size + this.#closing.size < this.#settings.max;
  }

  /** Gives those who wait what there is, and begins to make what there is not. */
  #serve(): void {
    const { probe } = this.#settings;
    while (this.#waiting.count > 0 && this.#state !== "closed") {
      const member = probe === null || !this.#isHelped ? this.#takeIdle() : null;
      if (member !== null) this.#giveOrProbe(member);
      else if (this.#isHelped || !this.#hasRoom) break;
      else void this.#dialForWaiting();
    }
    this.#fill();
    this.#even();
    this.#checkEmpty();
  }

  #giveOrProbe(member: Member): void {
    const { probe, probeIdleMs } = this.#settings;
    const isDue = probe !== null && nowMs() - member.idleSinceMs >= probeIdleMs;
    if (isDue) void this.#probe(member);
    else this.#give(member);
  }

  /** Gives a connection to who has waited longest. */
  #give(member: Member): void {
    const waiter = this.#waiting.shift()!;
    const waitMs = nowMs() - waiter.sinceMs;
    this.#wait.count += 1;
    this.#wait.sumMs += waitMs;
    this.#wait.maxMs = Math.max(this.#wait.maxMs, waitMs);
    waiter.resolve(this.#lend(member));
  }

  /** Gives a connection to whom it helps; without anybody it lies idle. */
  #offer(member: Member): void {
    if (this.#state === "closed") this.#drop(member, "closed");
    else if (this.#waiting.count > 0) this.#give(member);
    else if (this.#state === "draining") this.#drop(member, "closed");
    else {
      this.#group.add(member, nowMs());
      this.#planAt(this.#dueOf(member));
    }
  }

  // ---- making and probing -----------------------------------------------------------------------

  /** Connects to an address, or when it fails to another. Why none could be; else null. */
  #dial(first: Endpoint): Promise<Failure | null> {
    const dialing = this.#tryAll(first);
    this.#dials.add(dialing);
    return dialing.finally(() => this.#dials.delete(dialing));
  }

  async #tryAll(first: Endpoint): Promise<Failure | null> {
    const tried = new Set<Endpoint>();
    let failure: Failure | null = null;
    this.#dialingCount += 1;
    for (let at: Endpoint | null = first; at !== null;) {
      tried.add(at);
      at.dialingCount += 1;
      const made = await this.#maker.connect(at).catch((error) => ({ error }));
      at.dialingCount -= 1;
      if (!("error" in made)) {
        this.#dialingCount -= 1;
        this.#createdCount += 1;
        at.letIn();
        this.#offer(made);
        return null;
      }
      failure ??= made;
      this.#failures.dial += 1;
      this.#waiting.cause = made.error;
      this.#fail(at);
      at = this.#state === "closed" ? null : this.#group.toDial(tried);
    }
    this.#dialingCount -= 1;
    return failure;
  }

  /** Connects for those who wait. When nobody else is on the way to them, one hears why it failed. */
  async #dialForWaiting(): Promise<void> {
    const failure = await this.#dial(this.#group.toDial()!);
    if (failure !== null && !this.#isHelped) this.#waiting.shift()?.reject(failure.error);
    this.#serve();
  }

  async #probe(member: Member): Promise<void> {
    const { endpoint, connection } = member;
    member.state = "probed";
    endpoint.usedCount += 1;
    this.#probingCount += 1;
    const failure = await this.#maker.probe(member);
    endpoint.usedCount -= 1;
    this.#probingCount -= 1;
    connection.reader.release();
    const fault = this.#state === "closed"
      ? "closed"
      : failure !== null
      ? "failed"
      : this.#faultOf(member);
    if (fault === "failed") {
      this.#failures.probe += 1;
      this.#waiting.cause = failure!.error;
      this.#fail(endpoint);
    }
    if (fault === null) {
      endpoint.succeed();
      this.#offer(member);
    } else this.#drop(member, fault);
    this.#serve();
  }

  #fail(endpoint: Endpoint): void {
    if (!endpoint.fail(nowMs())) return;
    for (const member of this.#group.removeAll([endpoint])) this.#drop(member, "ejected");
  }

  // ---- coming back ------------------------------------------------------------------------------

  #takeBack(member: Member, failure: Failure | null): void {
    if (!this.#leased.delete(member)) return; // the pool was closed meanwhile
    const { endpoint, connection } = member;
    endpoint.usedCount -= 1;
    connection.reader.release();
    // When it lies idle first, the kernel is asked when somebody gets it: once is enough.
    const isWanted = this.#waiting.count > 0 || member.inside.input.total === 0;
    const fault = failure === null ? this.#faultOf(member, isWanted) : "failed";
    const isFailed = failure === null ? isUseless(member) : isOfPeer(failure.error);
    if (isFailed) this.#fail(endpoint);
    else if (failure === null) this.#succeed(endpoint);
    if (fault !== null) this.#drop(member, fault);
    else if (this.#makesRoom(member)) this.#drop(member, "moved");
    else {
      this.#resetTimeouts(member);
      this.#offer(member);
    }
    this.#serve();
  }

  #succeed(endpoint: Endpoint): void {
    endpoint.succeed();
    this.#fillFailureCount = 0;
  }

  #resetTimeouts({ connection, timeoutsMs: [read, write, idle] }: Member): void {
    if (connection.readTimeoutMs !== read) connection.readTimeoutMs = read;
    if (connection.writeTimeoutMs !== write) connection.writeTimeoutMs = write;
    if (connection.idleTimeoutMs !== idle) connection.idleTimeoutMs = idle;
  }

  /** Closes a connection, which is the pool's no more. */
  #drop(member: Member, reason: PoolCloseReason): void {
    member.state = "gone";
    this.#closedBy[reason] += 1;
    const closing = member.connection.close(reason === "ended" ? { timeoutMs: 0 } : undefined);
    this.#closing.add(closing);
    void closing.finally(() => {
      this.#closing.delete(closing);
      this.#even(); // the room may have been made for that
      this.#serve();
    });
  }

  /** An idle connection has ended: its peer, the network or its own deadline did that. */
  #onEnd(member: Member): void {
    if (member.state !== "idle") return;
    this.#group.remove(member);
    this.#drop(member, "ended");
    // A server that takes connections and ends them at once must not get one after the other.
    if (isUseless(member) && nowMs() - member.idleSinceMs < SOON_MS) {
      this.#fail(member.endpoint);
      this.#delayFill();
    }
    this.#serve();
  }

  // ---- several addresses ------------------------------------------------------------------------

  /** Begins a connection to an address that lacks some: one at a time, and nobody waits for it. */
  #even(): void {
    if (this.#group.endpoints.length === 1 || this.#isEvening || !this.#hasRoom) return;
    const endpoint = this.#state === "open" ? this.#group.lacking(nowMs()) : null;
    if (endpoint === null) return;
    this.#isEvening = true;
    void this.#dial(endpoint).then(() => {
      this.#isEvening = false;
      this.#serve();
    });
  }

  /** Whether a connection of a full pool goes, so that one to another address can be made. */
  #makesRoom({ endpoint }: Member): boolean {
    const { max } = this.#settings;
    if (this.#group.endpoints.length === 1 || this.#isEvening) return false;
    if (this.#state !== "open" || this.size + 1 < max) return false;
    const lacking = this.#group.lacking(nowMs());
    if (lacking === null || lacking === endpoint) return false;
    // The one that comes back is counted no more.
    return lacking.isEjected || endpoint.connectionCount > lacking.connectionCount;
  }

  // ---- tending ----------------------------------------------------------------------------------

  /** When an idle connection is to be looked at, in milliseconds. */
  #dueOf({ idleSinceMs, expiryMs }: Member): number {
    const { idleTimeoutMs } = this.#settings;
    return Math.min(idleTimeoutMs === 0 ? Infinity : idleSinceMs + idleTimeoutMs, expiryMs);
  }

  /** Looks again then. One timer for all, which does not keep the process alive. */
  #planAt(dueMs: number): void {
    if (dueMs === Infinity || (this.#sweep.isSet && this.#sweep.expiryMs <= dueMs)) return;
    threadPoller().setTimer(this.#sweep, Math.max(1, dueMs - nowMs()));
  }

  /** Closes what is idle for too long, too old or ended, and makes what `min` lacks. */
  #tend(): void {
    const { idleTimeoutMs, min } = this.#settings;
    const now = nowMs();
    for (const member of this.#group.idle) {
      const isLong = idleTimeoutMs > 0 && member.idleSinceMs + idleTimeoutMs <= now;
      const fault = this.#faultOf(member) ?? (isLong && this.size > min ? "idle" : null);
      if (fault === null) this.#planAt(isLong ? member.expiryMs : this.#dueOf(member));
      else {
        this.#group.remove(member);
        this.#drop(member, fault);
      }
    }
    this.#fill();
  }

  /** Makes the connections that `min` lacks, unless that has just failed. */
  #fill(): void {
    if (this.#state !== "open" || this.size >= this.#settings.min) return;
    if (nowMs() < this.#fillMs) return this.#planAt(this.#fillMs);
    while (this.size < this.#settings.min && this.#hasRoom) void this.#fillOne();
  }

  async #fillOne(): Promise<void> {
    const failure = await this.#dial(this.#group.toDial()!);
    if (failure !== null) this.#delayFill();
    this.#serve();
  }

  #delayFill(): void {
    this.#fillMs = nowMs() + fullJitter(this.#fillFailureCount++, ...RECONNECT_MS);
  }

  /** Makes connections until there are so many. */
  async warmUp(count: number = this.#settings.min): Promise<void> {
    checkNumber("the count of warmUp", count, 0, this.#settings.max);
    for (;;) {
      if (this.#state !== "open") throw new ClosedError("Cannot warm up: the pool was closed");
      // Those that others have begun count as well.
      while (this.size < count && this.#hasRoom) void this.#fillOne();
      if (this.size - this.#dialingCount >= count) return;
      if (this.#dials.size === 0) await Promise.race(this.#closing);
      const failure = (await Promise.all(this.#dials)).find((each) => each !== null);
      if (failure !== undefined) throw failure!.error;
    }
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** Nobody waits for what is still under way then: `close()` ends it. */
  #checkEmpty(): void {
    if (this.#waiting.count === 0 && this.#leased.size === 0) this.#emptied?.resolve();
  }

  #closeIdle(): void {
    for (const member of this.#group.removeAll()) this.#drop(member, "closed");
  }

  /** Lends to those who wait already; resolves when all has come back, or the time is over. */
  async drain(options: PoolDrainOptions = {}): Promise<PoolDrainResult> {
    checkOptions("drain", options, DRAIN_OPTIONS);
    const timeoutMs = checkTimeout("timeoutMs", options.timeoutMs ?? 0);
    if (this.#state === "open") this.#state = "draining";
    if (this.#waiting.count === 0) this.#closeIdle();
    this.#emptied ??= Promise.withResolvers();
    this.#checkEmpty();
    const isEmpty = await settlesWithin(this.#emptied.promise, timeoutMs);
    const cutCount = isEmpty ? 0 : this.#leased.size;
    await this.close();
    return { cutCount };
  }

  /** Closes all connections, and gives up what is under way. */
  async close(): Promise<void> {
    this.#state = "closed";
    const error = new ClosedError("Cannot go on: the pool was closed");
    threadPoller().cancelTimer(this.#sweep);
    this.#maker.cancel(error);
    for (let waiter; (waiter = this.#waiting.shift()) !== null;) waiter.reject(error);
    this.#closeIdle();
    for (const member of this.#leased) {
      this.#leased.delete(member);
      member.endpoint.usedCount -= 1;
      this.#drop(member, "closed");
    }
    this.#emptied?.resolve();
    await Promise.all(this.#closing);
  }

  /** The counts of the pool, at this moment. */
  metrics(): PoolMetrics {
    const dialing = this.#dialingCount;
    return {
      size: this.size,
      idle: this.#group.idleCount,
      inUse: this.#leased.size,
      dialing,
      probing: this.#probingCount,
      waiting: this.#waiting.count,
      created: this.#createdCount,
      closed: { ...this.#closedBy },
      acquired: this.#acquiredCount,
      wait: { ...this.#wait },
      failures: { ...this.#failures, acquire: this.#waiting.givenUpCount },
      addresses: this.#group.endpoints.map((each) => ({
        address: each.name,
        size: each.connectionCount,
        inUse: each.usedCount,
        idle: each.idle.length,
        failures: each.failureCount,
        isEjected: each.isEjected,
      })),
    };
  }
}
