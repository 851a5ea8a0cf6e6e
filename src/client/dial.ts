/**
 * Dialling: a connection to somebody who listens.
 */
import { currentScope } from "../../ffi/context.ts";
import { native } from "../../ffi/load.ts";
import { checkCallbacks } from "../connection/callbacks.ts";
import type { Connection } from "../connection/connection.ts";
import { connectionOf } from "../connection/limited_connection.ts";
import { socketTransport } from "../transport/descriptor.ts";
import { Handshake } from "../transport/handshake.ts";
import type { OnEnd, Preliminary } from "../transport/preliminary.ts";
import { HeaderSending } from "../transport/proxy_headers.ts";
import { tlsTransport } from "../transport/tls_transport.ts";
import { transportTo } from "../transport/unix_transport.ts";
import { clientTlsOf } from "../transport/client_tls.ts";
import { type ConnectionSettings, settings } from "../connection/settings.ts";
import { check } from "../core/check.ts";
import { counts, countSocketError } from "../core/counts.ts";
import { ERRNO } from "../core/errno.ts";
import { SystemError, TimeoutError } from "../core/errors.ts";
import { DIAL_ATTEMPT_DELAY_MS, SELF_CONNECT_RETRIES } from "../core/limits.ts";
import { placed } from "../core/place.ts";
import { checkSignal, checkTimeout, readOptions, show } from "../core/options.ts";
import {
  describeAddress,
  Family,
  formatAddress,
  type Network,
  packAddress,
  type PackedAddress,
  rawAddress,
  unpackAddress,
} from "../net/address.ts";
import { bindLocal, type Destination, localRaw, locate, resolve } from "../net/look_up.ts";
import { type AddressLike, givenStream } from "../net/written.ts";
import { checkPermitted, connect, type Origin } from "../net/permitted.ts";
import { applyOptions, getOption, Option, type SocketOptions } from "../net/socket.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";
import { DIAL_OPTIONS, type DialOptions } from "./dial_options.ts";
import { headerOf } from "./proxy_option.ts";
import { type DialMessage, dials } from "./messages.ts";

export type { DialOptions };

/** The values that all attempts of one dial share. */
interface Route {
  readonly options: SocketOptions;
  readonly local: Uint32Array | null;
  /** The origin of the addresses. */
  readonly origin: Origin;
}

/** One attempt to connect to one address. */
class Attempt implements Watcher {
  readonly fd: number;
  readonly #poller: Poller;
  readonly #raw: Uint32Array;
  readonly #origin: Origin;
  readonly #onEnd: (attempt: Attempt, error: unknown) => void;
  #token = -1;

  /** Begins to connect. `onEnd` is called once, later or within `begin`. */
  constructor(
    poller: Poller,
    raw: Uint32Array,
    { options, local, origin }: Route,
    onEnd: (attempt: Attempt, error: unknown) => void,
  ) {
    this.#poller = poller;
    this.#raw = raw;
    this.#origin = origin;
    this.#onEnd = onEnd;
    this.fd = check("open a socket", native.socket(raw[0]!));
    try {
      applyOptions(this.fd, raw[0]!, options);
      if (local !== null) bindLocal(this.fd, local);
    } catch (error) {
      native.close(this.fd);
      throw error;
    }
  }

  /** The address that it connects to. */
  get remote(): PackedAddress {
    return packAddress(this.#raw);
  }

  /** Connects. */
  begin(): void {
    let failure: unknown = null;
    try {
      const code = connect(this.fd, this.#raw, this.#origin);
      if (code === -ERRNO.EINPROGRESS) {
        this.#token = this.#poller.add(this, Interest.WRITE);
        return;
      }
      if (code !== 0) failure = this.#errorOf(-code);
    } catch (error) {
      failure = error;
    }
    this.#onEnd(this, failure);
  }

  onEvent(): void {
    const errno = getOption(this.fd, Option.ERROR);
    this.#unwatch();
    if (errno === 0) return this.#onEnd(this, null);
    countSocketError(errno);
    this.#onEnd(this, this.#errorOf(errno));
  }

  onFailure(error: unknown): void {
    this.#onEnd(this, error);
  }

  #errorOf(errno: number): SystemError {
    return connectError(errno, this.#raw);
  }

  /**
   * Whether it is connected to itself: a port of this machine that nobody listens on, chosen by the
   * kernel as its own, answers its own opening (simultaneous open, RFC 9293 §3.5).
   */
  get isSelf(): boolean {
    if (this.#raw[0] === Family.UNIX) return false;
    const [local, remote] = [rawAddress(), rawAddress()];
    if (native.name(this.fd, 0, local) < 0 || native.name(this.fd, 1, remote) < 0) return false;
    return local.every((word, i) => word === remote[i]);
  }

  #unwatch(): void {
    if (this.#token < 0) return;
    this.#poller.remove(this.#token, this.fd);
    this.#token = -1;
  }

  /** Gives the attempt up. */
  cancel(): void {
    this.#unwatch();
    native.close(this.fd);
  }
}

function connectError(errno: number, raw: Uint32Array): SystemError {
  const address = formatAddress(raw);
  return placed(new SystemError("connect", errno, `to ${describeAddress(address)}`), address);
}

/**
 * Attempts at several addresses of one host, each begun when the one before has failed or has had
 * its time: the first that connects wins (RFC 8305, "Happy Eyeballs").
 */
class Race implements TimerOwner {
  readonly result: Promise<Attempt>;
  readonly #poller: Poller;
  readonly #raws: Uint32Array[];
  readonly #route: Route;
  readonly #running = new Set<Attempt>();
  readonly #stagger = new Timer(this);
  readonly #resolve: (attempt: Attempt) => void;
  readonly #reject: (error: unknown) => void;
  #firstError: unknown = null;
  #selfCount = 0;
  #isOver = false;

  /** A race that has not begun. */
  constructor(poller: Poller, raws: readonly Uint32Array[], route: Route) {
    this.#poller = poller;
    this.#raws = [...raws];
    this.#route = route;
    const { promise, resolve, reject } = Promise.withResolvers<Attempt>();
    this.result = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Begins the next attempt. */
  next(): void {
    const raw = this.#raws.shift();
    if (raw === undefined || this.#isOver) return;
    if (this.#raws.length > 0) this.#poller.setTimer(this.#stagger, DIAL_ATTEMPT_DELAY_MS);
    this.#start(raw);
  }

  #start(raw: Uint32Array): void {
    try {
      const attempt = new Attempt(
        this.#poller,
        raw,
        this.#route,
        (ended, error) => this.#onEnd(ended, raw, error),
      );
      this.#running.add(attempt);
      attempt.begin();
    } catch (error) {
      this.#onError(error);
    }
  }

  onTimer(): void {
    this.next();
  }

  #onEnd(attempt: Attempt, raw: Uint32Array, error: unknown): void {
    this.#running.delete(attempt);
    if (error === null && !attempt.isSelf) {
      this.#end();
      return this.#resolve(attempt);
    }
    attempt.cancel();
    if (error !== null) this.#onError(error);
    else if (this.#choosesPort && this.#selfCount++ < SELF_CONNECT_RETRIES) this.#start(raw);
    else this.#onError(connectError(ERRNO.ECONNREFUSED, raw));
  }

  /** Whether the kernel chooses our port: then it may choose another one. */
  get #choosesPort(): boolean {
    const { local } = this.#route;
    return local === null || local[1] === 0;
  }

  #onError(error: unknown): void {
    this.#firstError ??= error;
    if (this.#raws.length > 0) return this.next();
    if (this.#running.size > 0) return;
    this.cancel(this.#firstError);
  }

  #end(): void {
    this.#isOver = true;
    this.#poller.cancelTimer(this.#stagger);
    for (const attempt of this.#running) attempt.cancel();
    this.#running.clear();
  }

  /** Gives all attempts up. */
  cancel(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    this.#reject(error);
  }
}

/**
 * Passes an attempt on unless the time is up or the signal says so first; then `onLate` cleans up.
 */
async function within(
  promise: Promise<Attempt>,
  poller: Poller,
  { timeoutMs = 0, signal }: { timeoutMs?: number; signal?: AbortSignal },
  onLate: (error: unknown) => void,
): Promise<Attempt> {
  if (timeoutMs === 0 && signal === undefined) return await promise;
  const late = Promise.withResolvers<never>();
  let isLate = false;
  const end = (error: unknown) => {
    isLate = true;
    onLate(error);
    late.reject(error);
  };
  // It may have connected already, and its promise be on the way.
  promise.then((attempt) => isLate && attempt.cancel(), () => {});
  const onTimer = () => {
    counts.timeouts.dial += 1;
    end(new TimeoutError("dial", timeoutMs));
  };
  const timer = new Timer({ onTimer });
  const onAbort = () => end(signal!.reason);
  if (timeoutMs > 0) poller.setTimer(timer, timeoutMs);
  signal?.addEventListener("abort", onAbort);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    poller.cancelTimer(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/**
 * Connects to somebody who listens. The address is a text, or any {@linkcode AddressLike}.
 *
 * All addresses of a host are tried, each 250 ms after the one before or as soon as that failed;
 * the first that connects wins. With `onRequest` the connection is served like an accepted one and
 * closes by itself after the peer's end; without, it stays until it is closed.
 *
 * Under Deno the program needs `--allow-net` for the address, which for a Unix socket is
 * `unix:PATH`, and then `--allow-read` and `--allow-write` for the path, too. An address that a name
 * resolves to must not be one of `--deny-net`.
 *
 * @throws {SystemError} Nobody listens (`code` is `"ECONNREFUSED"`), there is no way to it, …; of
 * several addresses, the first's. `address` and `port` say which, as of the other errors below.
 * @throws {TimeoutError} It took longer than `timeoutMs`; its `operation` is `"dial"`. Or the TLS
 * handshake did: `"handshake"`.
 * @throws {TlsError} The server's certificate is not trusted or for another host, or it speaks no TLS.
 * @throws {ResolveError} The host name is unknown (`code` is `"ENOTFOUND"`).
 * @throws {Error} Deno's `NotCapable`: `Deno.connect` would not be permitted that address either.
 * @throws {TypeError} The network or the address is malformed.
 *
 * @example
 * ```ts
 * import { createListener, dial, EventLoop } from "@netpoll/netpoll";
 *
 * const listener = createListener("tcp", "127.0.0.1:0");
 * const loop = new EventLoop(({ reader, writer }) => {
 *   writer.writeBinary(reader.next(reader.length));
 *   writer.flush();
 *   reader.release();
 * });
 * const served = loop.serve(listener);
 *
 * await using connection = await dial(listener.address, { timeoutMs: 1000 });
 * connection.writer.writeString("hello");
 * await connection.writer.flush();
 * await connection.reader.wait(5);
 * console.log(connection.reader.readString(5)); // "hello"
 *
 * await connection.close();
 * await loop.shutdown();
 * await served;
 * ```
 */
export function dial<C = undefined>(
  network: Network,
  address: AddressLike,
  options?: DialOptions<C>,
): Promise<Connection>;
/**
 * Connects to an address that says its network itself, such as `connection.remoteAddress` or
 * `listener.address`.
 */
export function dial<C = undefined>(
  address: AddressLike,
  options?: DialOptions<C>,
): Promise<Connection>;
export async function dial<C = undefined>(
  first: Network | AddressLike,
  second?: AddressLike | DialOptions<C>,
  third?: DialOptions<C>,
): Promise<Connection> {
  const { network, text: address, options } = givenStream(first, second, third);
  const read = readOptions("dial", options, DIAL_OPTIONS);
  checkSignal("dial", read.signal);
  checkCallbacks(read);
  const bounds: ConnectionSettings = settings(read);
  if (read.timeoutMs !== undefined) checkTimeout("timeoutMs", read.timeoutMs);
  if (network !== "tcp" && network !== "tcp4" && network !== "tcp6" && network !== "unix") {
    throw new TypeError(
      `Cannot dial the network ${show(network)}: it is "tcp", "tcp4", "tcp6" or "unix"`,
    );
  }
  read.signal?.throwIfAborted();
  if (!dials.isHeard) return await open(network, address, read, bounds);
  const message: DialMessage = { network, address, connection: null, durationMs: null };
  const since = clock.now();
  const start = () => open(network, address, read, bounds);
  try {
    const connection = await dials.start(message, start, undefined, undefined);
    message.connection = connection;
    dials.end(message, (clock.now() - since) / 1000);
    return connection;
  } catch (error) {
    dials.fail(message, (clock.now() - since) / 1000, error);
    throw error;
  }
}

/** Dials what was checked. */
async function open<C>(
  network: Network,
  address: string,
  read: DialOptions<C>,
  bounds: ConnectionSettings,
): Promise<Connection> {
  const local = localRaw(read.localAddress);
  const header = headerOf(read.proxyProtocol);
  const tls = read.tls === undefined ? null : clientTlsOf(read.tls);
  const serverName = tls === null ? "" : tls.nameOf(network, address);
  const destination = locate(network, address);
  const poller = threadPoller();
  poller.prepareTimers(); // from here on an attempt is under way that a failure would leave behind
  const scope = currentScope(); // of the call: what follows an await may have another
  const dialling = new Dialling(destination, read, local);
  const steps: Step[] = [];
  if (header !== null) {
    steps.push((fd, onEnd) => {
      const bytes = header((end) => socketTransport.name(fd, end));
      return new HeaderSending(poller, fd, bytes, onEnd);
    });
  }
  if (tls !== null) {
    steps.push((fd, onEnd) => {
      tls.begin(fd, serverName, address);
      return new Handshake(poller, fd, null, onEnd);
    });
  }
  const attempt = await within(
    dialling.run(poller, steps),
    poller,
    read,
    (error) => dialling.cancel(error),
  ).catch((error) => {
    throw placed(error, dialling.at === null ? null : unpackAddress(dialling.at));
  });
  const service = {
    poller,
    callbacks: read,
    scope,
    settings: bounds,
    owner: null,
    io: tls === null ? transportTo(attempt.remote) : tlsTransport,
    isDialled: true,
  };
  const ends = { local: null, remote: attempt.remote };
  try {
    const connection = connectionOf<C>(service, attempt.fd, ends);
    connection.start();
    return connection.face;
  } catch (error) {
    native.close(attempt.fd);
    throw error;
  }
}

/** Makes what comes before the first byte: a header that is sent, a handshake. */
type Step = (fd: number, onEnd: OnEnd) => Preliminary;

/** A look-up and the race after it, either of which can be given up. */
class Dialling {
  readonly #destination: Destination;
  readonly #route: Route;
  /** The address of errors that know none: the first of several, until one has won. */
  at: PackedAddress | null = null;
  #race: Race | null = null;
  #cancelled: { readonly error: unknown } | null = null;
  /** Ends the step that is under way. */
  #giveUp: ((error: unknown) => void) | null = null;

  constructor(destination: Destination, options: SocketOptions, local: Uint32Array | null) {
    this.#destination = destination;
    this.#route = { options, local, origin: destination.origin };
  }

  /** Connects, and does what comes before the first byte. */
  async run(poller: Poller, steps: readonly Step[]): Promise<Attempt> {
    // Without a wait where none is needed: the program may leave its directory after the call.
    const { found } = this.#destination;
    const raws = "network" in found ? await resolve(found) : found;
    this.#checkCancelled();
    // The runtime's own call tries the first address alone: where that is refused, so is the name.
    // Of the others each is asked for when its turn comes.
    checkPermitted(raws[0]!, this.#route.origin);
    this.at = packAddress(raws[0]!);
    this.#race = new Race(poller, raws, this.#route);
    this.#race.next();
    const attempt = await this.#race.result;
    this.at = attempt.remote;
    try {
      for (const step of steps) {
        this.#checkCancelled();
        await this.#do(step, attempt.fd);
      }
      return attempt;
    } catch (error) {
      attempt.cancel();
      throw error;
    }
  }

  /** Throws if it was given up while nothing was there to end. */
  #checkCancelled(): void {
    if (this.#cancelled !== null) throw this.#cancelled.error;
  }

  #do(step: Step, fd: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const preliminary = step(fd, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
    this.#giveUp = (error) => {
      preliminary.cancel();
      reject(error);
    };
    preliminary.begin();
    return promise;
  }

  cancel(error: unknown): void {
    this.#cancelled = { error };
    this.#race?.cancel(error);
    this.#giveUp?.(error);
  }
}
