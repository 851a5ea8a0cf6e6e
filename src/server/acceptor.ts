/**
 * Taking connections from a listener, a bounded number at a time, and waiting when no descriptor is left.
 */
import { clearTimeout, setTimeout } from "node:timers";
import { config } from "../core/config.ts";
import { ERRNO, NOT_READY } from "../core/errno.ts";
import { SystemError } from "../core/errors.ts";
import { ACCEPT_BACKOFF_MS, ACCEPTS_PER_EVENT_MAX } from "../core/limits.ts";
import { describeAddress, packAddress, type PackedAddress, rawAddress } from "../net/address.ts";
import type { ListenerSocket } from "../net/listener.ts";
import type { Poller } from "../poll/poller.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";

/** What an acceptor does with what it takes. */
export interface AcceptorOwner {
  /** A connection, and who it is from. */
  onAccept(fd: number, peer: PackedAddress): void;
  /** The listener is broken: nothing comes any more. */
  onAcceptFailure(error: SystemError): void;
}

/** Errors of the connection that was to be taken, not of the listener (accept(2)): take the next. */
const PASSING: ReadonlySet<number> = new Set([
  ERRNO.ECONNABORTED,
  ERRNO.EPERM,
  ERRNO.EPROTO,
]);
/** No descriptor or memory is left: what runs will give some back. */
const EXHAUSTED: ReadonlySet<number> = new Set([
  ERRNO.EMFILE,
  ERRNO.ENFILE,
  ERRNO.ENOBUFS,
  ERRNO.ENOMEM,
]);

/** Takes connections from one listener. */
export class Acceptor implements Watcher {
  readonly #listener: ListenerSocket;
  readonly #poller: Poller;
  readonly #owner: AcceptorOwner;
  readonly #peer = rawAddress();
  #token: number;
  #backoff = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /**
   * Begins to take connections.
   *
   * @throws {SystemError} The poller cannot watch the listener.
   */
  constructor(listener: ListenerSocket, poller: Poller, owner: AcceptorOwner) {
    this.#listener = listener;
    this.#poller = poller;
    this.#owner = owner;
    this.#token = poller.add(this, Interest.READ);
  }

  get fd(): number {
    return this.#listener.fd;
  }

  onEvent(): void {
    // Level-triggered: connections that are left are reported again on the next turn.
    for (let n = 0; n < ACCEPTS_PER_EVENT_MAX; n++) {
      const fd = this.#listener.accept(this.#peer);
      if (fd < 0) {
        if (fd === NOT_READY) return;
        if (PASSING.has(-fd)) continue;
        return this.#onError(-fd);
      }
      this.#backoff = 0;
      this.#owner.onAccept(fd, packAddress(this.#peer));
      if (this.#token < 0) return; // a callback closed the listener
    }
  }

  onFailure(): void {}

  #onError(errno: number): void {
    const where = describeAddress(this.#listener.address);
    const error = new SystemError("accept a connection on", errno, where);
    if (EXHAUSTED.has(errno)) return this.#backOff(error);
    this.#owner.onAcceptFailure(error);
  }

  /** Stops for a while: the listener would be reported ready all the time. */
  #backOff(error: SystemError): void {
    if (this.#backoff === 0) {
      config.log(`netpoll: ${error.message}; trying again until there are some`);
    }
    const last = ACCEPT_BACKOFF_MS.length - 1;
    const delayMs = ACCEPT_BACKOFF_MS[Math.min(this.#backoff++, last)]!;
    this.#poller.modify(this.#token, this.fd, Interest.NONE);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#poller.modify(this.#token, this.fd, Interest.READ);
    }, delayMs);
  }

  /** Stops, and closes the listener. */
  close(): void {
    if (this.#token < 0) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#poller.remove(this.#token, this.fd);
    this.#token = -1;
    this.#listener.close();
  }
}
