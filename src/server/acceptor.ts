/**
 * Taking connections from a listener, a bounded number at a time, and waiting when no descriptor is
 * left.
 */
import { clearTimeout, setTimeout } from "node:timers";
import { native } from "../../ffi/load.ts";
import { say } from "../core/config.ts";
import { counts } from "../core/counts.ts";
import { ERRNO, NOT_READY } from "../core/errno.ts";
import { SystemError } from "../core/errors.ts";
import { placed } from "../core/place.ts";
import {
  ACCEPT_BACKOFF_MS,
  ACCEPT_LOG_MS,
  ACCEPTS_PER_EVENT_MAX,
  DRAIN_ACCEPTS_MAX,
} from "../core/limits.ts";
import {
  describeAddress,
  packAddress,
  type PackedAddress,
  type RawEnds,
  rawEnds,
  type StreamAddress,
} from "../net/address.ts";
import type { ListenerSocket } from "../net/listener_socket.ts";
import { acceptError } from "../net/messages.ts";
import { cut } from "../net/socket.ts";
import { type Claim, claimOn, type Ration } from "../poll/ration.ts";
import { type AcceptQueue, acceptQueue } from "../net/tcp_info.ts";
import type { Poller } from "../poll/poller.ts";
import { type Turn, turn } from "../poll/turn.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";
import { tellRefused } from "./refusals.ts";
import type { ConnectionSource, SourceOwner } from "./source.ts";

/**
 * Errors of the connection that was to be taken, not of the listener: take the next. Linux passes
 * on what the network already knows to be wrong with it (accept(2), "Error handling").
 */
const PASSING: ReadonlySet<number> = new Set([
  ERRNO.ECONNABORTED,
  ERRNO.EPERM,
  ERRNO.EPROTO,
  ERRNO.ENONET,
  ERRNO.ENOPROTOOPT,
  ERRNO.EOPNOTSUPP,
  ERRNO.ENETDOWN,
  ERRNO.ENETUNREACH,
  ERRNO.ETIMEDOUT,
  ERRNO.EHOSTDOWN,
  ERRNO.EHOSTUNREACH,
]);
/** No descriptor or memory is left: what runs will give some back. */
const EXHAUSTED: ReadonlySet<number> = new Set([
  ERRNO.EMFILE,
  ERRNO.ENFILE,
  ERRNO.ENOBUFS,
  ERRNO.ENOMEM,
]);

/** A listener. */
export interface ListenerMetrics {
  /** The address where it listens. */
  address: StreamAddress;
  /** Connections that nobody accepted yet; null for a Unix socket. */
  queue: AcceptQueue | null;
}

/** Takes connections from one listener. */
export class Acceptor implements Watcher, ConnectionSource {
  readonly #listener: ListenerSocket;
  readonly #poller: Poller;
  readonly #owner: SourceOwner;
  /** The peer of the connection that was taken last, and the address where it arrived, if known. */
  readonly ends: RawEnds;
  #token: number;
  /**
   * A descriptor to give up when there is no other: with it, peers that wait in vain can be told.
   */
  #spare: number;
  #isPaused = false;
  /** Says how many may be taken; null for any number. */
  readonly #claim: Claim | null;
  /** As many as may be were taken: the next ones wait in the kernel's queue. */
  #isWaiting = false;
  #isRef = true;
  #backoff = 0;
  /** When it was last said that no descriptor is left. */
  #saidAtMicros = -Infinity;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /**
   * Begins to take connections, of a ration if there is one.
   *
   * @throws {SystemError} The poller cannot watch the listener.
   */
  constructor(
    listener: ListenerSocket,
    poller: Poller,
    owner: SourceOwner,
    ration: Ration | null,
  ) {
    this.#listener = listener;
    this.#claim = claimOn([ration], () => this.#onTokens());
    this.#poller = poller;
    this.#owner = owner;
    this.ends = rawEnds(listener.localOfAccepted);
    this.#token = poller.add(this, listener.isHeld ? Interest.NONE : Interest.READ);
    this.#spare = native.eventfd();
    listener.onClose = () => this.#stop();
    listener.onThaw = () => this.#watchIfFree();
  }

  get fd(): number {
    return this.#listener.fd;
  }

  onEvent(): void {
    if (this.#claim !== null) return this.#takeRationed(this.#claim);
    // Level-triggered: connections that are left are reported again on the next turn.
    this.#takeSome(ACCEPTS_PER_EVENT_MAX, turn);
  }

  /** The address where it listens, and the queue there. */
  metrics(): ListenerMetrics {
    const { address, fd } = this.#listener;
    return { address, queue: acceptQueue(fd) };
  }

  /** Takes as many as there are tokens for. */
  #takeRationed(claim: Claim): void {
    const { allowance } = claim;
    if (allowance >= 1) {
      return claim.take(this.#takeSome(Math.min(allowance, ACCEPTS_PER_EVENT_MAX), turn));
    }
    counts.limits.acceptWaits += 1;
    this.#isWaiting = true;
    this.#watchIfFree();
    claim.wait();
  }

  #onTokens(): void {
    this.#isWaiting = false;
    this.#watchIfFree();
  }

  /**
   * Takes as many as it may, and as the turn has time for if it is given one. How many came, those
   * included that were broken already.
   */
  #takeSome(most: number, within?: Turn): number {
    const { raw } = this.ends;
    for (let n = 0; n < most; n++) {
      if (this.#isPaused || this.#token < 0) return n;
      // An accept that finds nobody costs 3.6 µs, half of one that does, and this 0.4: most events
      // bring one connection.
      if (n > 0 && native.readable(this.fd) === 0) return n;
      const fd = this.#listener.accept(raw);
      if (fd >= 0) {
        this.#backoff = 0;
        this.#pass(fd, packAddress(raw));
        if (within?.step()) return n + 1;
      } else if (!PASSING.has(-fd)) {
        if (fd !== NOT_READY) this.#onError(-fd);
        return n;
      }
    }
    return most;
  }

  /** Passes a connection on, with the bounds of the PROXY header that a proxy has to begin with. */
  #pass(fd: number, remote: PackedAddress): void {
    const { localOfAccepted: local, headers } = this.#listener;
    if (headers === null) return this.#owner.onAccept(fd, { local, remote, header: null });
    const header = headers.boundsOf(remote);
    this.ends.header.set([header?.timeoutMs ?? 0, header?.bytesMax ?? 0]);
    if (header !== null || !headers.isClosed) {
      return this.#owner.onAccept(fd, { local, remote, header });
    }
    counts.proxyProtocol.untrusted += 1;
    tellRefused({ fd, local, remote }, "untrusted");
    this.#owner.onRefuse(fd);
  }

  onFailure(): void {}

  #onError(errno: number): void {
    const { address } = this.#listener;
    const where = describeAddress(address);
    const error = placed(new SystemError("accept a connection on", errno, where), address);
    if (acceptError.isHeard) acceptError.publish({ address, error });
    if (EXHAUSTED.has(errno)) this.#backOff(error);
    else this.#owner.onAcceptFailure(error);
  }

  /** Stops for a while: the listener would be reported ready all the time. */
  #backOff(error: SystemError): void {
    const last = ACCEPT_BACKOFF_MS.length - 1;
    this.#say(error);
    if (this.#backoff > last) this.#turnAway();
    const delayMs = ACCEPT_BACKOFF_MS[Math.min(this.#backoff++, last)]!;
    this.#watch(Interest.NONE);
    this.#timer = setTimeout(() => this.retry(), delayMs);
  }

  /** One line now and then: a server at its limit takes one connection whenever another goes. */
  #say(error: SystemError): void {
    const now = native.now();
    if (now - this.#saidAtMicros < ACCEPT_LOG_MS * 1000) return;
    this.#saidAtMicros = now;
    say("warn", `${error.message}; trying again until there are some`);
  }

  /** Nothing was given back for long: whoever waits is reset, lest he wait for ever. */
  #turnAway(): void {
    if (this.#spare < 0) return;
    native.close(this.#spare);
    for (let n = 0; n < ACCEPTS_PER_EVENT_MAX; n++) {
      const fd = this.#listener.accept(this.ends.raw);
      if (fd < 0) break;
      cut(fd);
      native.close(fd);
    }
    this.#spare = native.eventfd();
  }

  /** Takes what waits already, as far as that goes: the listener is about to close. */
  drain(): void {
    if (this.#listener.isHeld) return; // another process does
    const events = DRAIN_ACCEPTS_MAX / ACCEPTS_PER_EVENT_MAX;
    for (let n = 0; n < events && this.#timer === null && !this.#isPaused; n++) {
      if (this.#takeSome(ACCEPTS_PER_EVENT_MAX) < ACCEPTS_PER_EVENT_MAX) return;
    }
  }

  /** A descriptor may be free again: tries at once. */
  retry(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#spare < 0) this.#spare = native.eventfd();
    this.#watchIfFree();
  }

  /** Takes no connections until `resume`: they wait in the kernel's queue. */
  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#watchIfFree();
  }

  /** Takes connections again. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#watchIfFree();
  }

  /** Watches the listener unless there is a reason to take nobody. */
  #watchIfFree(): void {
    const isFree = !this.#isPaused && !this.#isWaiting && this.#timer === null;
    this.#watch(isFree && !this.#listener.isHeld ? Interest.READ : Interest.NONE);
  }

  ref(): void {
    if (this.#isRef) return;
    this.#isRef = true;
    if (this.#token >= 0) this.#poller.ref();
  }

  unref(): void {
    if (!this.#isRef) return;
    this.#isRef = false;
    if (this.#token >= 0) this.#poller.unref();
  }

  #watch(interest: number): void {
    if (this.#token < 0) return;
    try {
      this.#poller.modify(this.#token, this.fd, interest);
    } catch (error) {
      // Nobody would tell of connections, or always.
      this.#owner.onAcceptFailure(error as SystemError);
    }
  }

  /** Stops, and closes the listener. */
  close(): void {
    this.#listener.close();
  }

  /** The listener is about to close, whoever closes it. */
  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#claim?.close();
    this.ref(); // the poller counts all that it watches
    this.#poller.remove(this.#token, this.fd);
    this.#token = -1;
    this.#listener.onClose = this.#listener.onThaw = null;
    if (this.#spare >= 0) native.close(this.#spare);
    this.#spare = -1;
    this.#owner.onStop(this);
  }
}
