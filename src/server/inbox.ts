/**
 * Connections that another thread has accepted, taken out of the ring that brings them.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { ACCEPTS_PER_EVENT_MAX, RING_COUNT_MAX } from "../core/limits.ts";
import { Family, packAddress, rawEnds } from "../net/address.ts";
import type { Poller } from "../poll/poller.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";
import type { ConnectionSource, SourceOwner } from "./source.ts";

/** The end of a ring at which a Worker takes connections. */
export class Inbox implements Watcher, ConnectionSource {
  /** The ring's bell. */
  readonly fd: number;
  readonly #ring: number;
  readonly #poller: Poller;
  readonly #owner: SourceOwner;
  readonly #onTaken: () => void;
  readonly #ends = rawEnds();
  #token: number;
  #isPaused = false;

  /**
   * Begins to take what a ring brings; `onTaken` is called after each.
   *
   * @throws {SystemError} There is no such ring, or its bell cannot be watched.
   */
  constructor(ring: number, poller: Poller, owner: SourceOwner, onTaken: () => void) {
    this.fd = check("join a ring", native.ringJoin(ring));
    this.#ring = ring;
    this.#poller = poller;
    this.#owner = owner;
    this.#onTaken = onTaken;
    this.#token = poller.add(this, Interest.READ | Interest.EDGE);
  }

  onEvent(): void {
    if (this.#token < 0) return;
    // The bell rings again only when nothing was left: what is left is ours to remember.
    if (this.#takeSome() === ACCEPTS_PER_EVENT_MAX) this.#poller.again(this);
  }

  /** A connection could not be made of a descriptor, which is closed: go on with the next. */
  onFailure(): void {
    this.#poller.again(this);
  }

  #takeSome(): number {
    const { raw, local, header } = this.#ends;
    for (let n = 0; n < ACCEPTS_PER_EVENT_MAX; n++) {
      if (this.#isPaused || this.#token < 0) return n;
      const fd = native.ringTake(this.#ring, raw);
      if (fd < 0) return n;
      // Nobody's when it arrived at a listener of every address: the connection asks, if need be.
      const isKnown = local[0] !== Family.UNSPECIFIED;
      const [timeoutMs, bytesMax] = header as unknown as [number, number];
      try {
        this.#owner.onAccept(fd, {
          local: isKnown ? packAddress(local) : null,
          remote: packAddress(raw),
          header: bytesMax === 0 ? null : { timeoutMs, bytesMax },
        });
      } finally {
        this.#onTaken();
      }
    }
    return ACCEPTS_PER_EVENT_MAX;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    // The bell may have been answered while nothing was taken.
    this.#poller.again(this);
  }

  retry(): void {}

  ref(): void {}

  unref(): void {}

  drain(): void {
    for (let n = 0; n < RING_COUNT_MAX / ACCEPTS_PER_EVENT_MAX; n++) {
      if (this.#takeSome() < ACCEPTS_PER_EVENT_MAX) return;
    }
  }

  /** Takes nothing any more. The ring is this thread's until it ends. */
  close(): void {
    if (this.#token < 0) return;
    this.#poller.remove(this.#token, this.fd);
    this.#token = -1;
  }
}
