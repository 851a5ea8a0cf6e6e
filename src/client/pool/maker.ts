/**
 * Making connections for a pool, and probing them: what may take long, and is ended with the pool.
 */
import type { Connection } from "../../connection/connection.ts";
import type { ConnectionEnd } from "../../connection/settings.ts";
import { insideOf } from "../../connection/socket_connection.ts";
import { counts } from "../../core/counts.ts";
import { ClosedError, TimeoutError } from "../../core/errors.ts";
import { chance } from "../../core/jitter.ts";
import { POOL_LIFETIME_JITTER } from "../../core/limits.ts";
import { ignore } from "../../core/promises.ts";
import { withSignal } from "../../core/signal.ts";
import type { Network } from "../../net/address.ts";
import { checkDestination, localRaw } from "../../net/look_up.ts";
import { checkSocketOptions } from "../../net/socket.ts";
import { type AddressLike, writtenStream } from "../../net/written.ts";
import { clock } from "../../poll/clock.ts";
import { threadPoller } from "../../poll/thread_poller.ts";
import { Timer } from "../../poll/timer_wheel.ts";
import { clientTlsOf } from "../../transport/client_tls.ts";
import { dial } from "../dial.ts";
import { headerOf } from "../proxy_option.ts";
import type { Connect, Endpoint, Member } from "./endpoint.ts";
import type { PoolDialOptions, PoolSettings } from "./options.ts";

/**
 * Where the connections of a pool come from: an address, or a function that makes one, which may log
 * in, begin TLS or read a greeting first. When the signal is aborted nobody wants it any more.
 */
export type PoolSource = AddressLike | ((options: { signal: AbortSignal }) => Promise<Connection>);

/** The time, in milliseconds of the clock that deadlines have. */
export function nowMs(): number {
  return clock.now() / 1000;
}

/** Throws for options with which no address, or not this one, can be dialled. */
function checkDialled(network: Network, text: string, options: PoolDialOptions): void {
  const { localAddress, proxyProtocol, tls } = options;
  checkDestination(network, text);
  checkSocketOptions(options);
  localRaw(localAddress);
  headerOf(proxyProtocol);
  if (tls !== undefined) clientTlsOf(tls).nameOf(network, text);
}

/**
 * The name of a source, and how it is connected to.
 *
 * @throws {TypeError} The address or an option is malformed: no dial could succeed.
 * @throws {RangeError} A number among the options is out of range.
 */
export function connectOf(source: PoolSource, options: PoolDialOptions): [string, Connect] {
  if (typeof source === "function") {
    // One that throws has failed as one that rejects.
    return [source.name || "(a function)", async (signal) => await source({ signal })];
  }
  const { network, text } = writtenStream(source);
  checkDialled(network, text, options);
  const { timeoutMs: _, onDisconnect, ...rest } = options;
  const name = network === "unix" ? `unix:${text}` : text;
  const dialOptions = {
    ...rest,
    onDisconnect(connection: Connection, context: undefined, end: ConnectionEnd) {
      pooled.get(connection)?.(); // an idle one is of no use once its peer has ended its side
      return onDisconnect?.(connection, context, end);
    },
  };
  return [name, (signal) => dial(network, text, { ...dialOptions, signal })];
}

/** Connections that a pool has, and who hears of their end. No two pools can have the same. */
const pooled = new WeakMap<Connection, () => void>();

/** Makes connections. */
export class Maker {
  readonly #settings: PoolSettings;
  readonly #onEnd: (member: Member) => void;
  readonly #running = new Set<AbortController>();

  /** Makes connections by these settings; `onEnd` hears when one has closed, or its peer has. */
  constructor(settings: PoolSettings, onEnd: (member: Member) => void) {
    this.#settings = settings;
    this.#onEnd = onEnd;
  }

  /** Connects to an address, within the time of a dial. */
  async connect(endpoint: Endpoint): Promise<Member> {
    const { dial: { timeoutMs = 0 }, lifetimeMs } = this.#settings;
    const close = (late: Connection) => void late?.close?.({ timeoutMs: 0 });
    const connection = await this.#within("dial", timeoutMs, endpoint.connect, close);
    const inside = insideOf(connection, "pool");
    if (!connection.isActive) throw new ClosedError("Cannot pool a connection that was closed");
    if (pooled.has(connection)) {
      throw new TypeError("Cannot pool a connection that is in a pool already: make a new one");
    }
    const lifeMs = lifetimeMs * (1 - POOL_LIFETIME_JITTER * chance.next());
    const member: Member = {
      connection,
      inside,
      endpoint,
      expiryMs: lifetimeMs === 0 ? Infinity : nowMs() + lifeMs,
      timeoutsMs: [connection.readTimeoutMs, connection.writeTimeoutMs, connection.idleTimeoutMs],
      state: "made",
      idleSinceMs: 0,
    };
    const onEnd = () => this.#onEnd(member);
    pooled.set(connection, onEnd);
    connection.addCloseCallback(onEnd);
    return member;
  }

  /** Asks the probe of the pool about a connection. Why it cannot be used; null when it can. */
  async probe({ connection }: Member): Promise<{ readonly error: unknown } | null> {
    const { probe, probeTimeoutMs } = this.#settings;
    const run = async (signal: AbortSignal) => await probe!(connection, { signal });
    try {
      const answer = await this.#within("read", probeTimeoutMs, run, ignore);
      return answer === false ? { error: new Error("The probe refuses the connection") } : null;
    } catch (error) {
      return { error };
    }
  }

  /** Runs something that may take so long; 0 is for ever. What comes too late is for `onLate`. */
  async #within<T>(
    operation: "dial" | "read",
    timeoutMs: number,
    run: (signal: AbortSignal) => Promise<T>,
    onLate: (value: T) => void,
  ): Promise<T> {
    const ending = new AbortController();
    const { signal } = ending;
    const onTimer = () => {
      counts.timeouts[operation] += 1;
      ending.abort(new TimeoutError(operation, timeoutMs));
    };
    const timer = new Timer({ onTimer }, true);
    if (timeoutMs > 0) threadPoller().setTimer(timer, timeoutMs);
    this.#running.add(ending);
    const running = run(signal);
    running.then((value) => signal.aborted && onLate(value), ignore);
    try {
      return await withSignal(running, signal);
    } finally {
      threadPoller().cancelTimer(timer);
      this.#running.delete(ending);
    }
  }

  /** Ends all that is under way. */
  cancel(reason: unknown): void {
    for (const ending of this.#running) ending.abort(reason);
  }
}
