/**
 * A handshake: between the socket's connection and the first byte of its user's.
 */
import { native } from "../../ffi/load.ts";
import { counts } from "../core/counts.ts";
import { ERRNO } from "../core/errno.ts";
import { type NetpollError, SystemError, TimeoutError, TlsError } from "../core/errors.ts";
import { unpackAddress } from "../net/address.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { turn } from "../poll/turn.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";
import { failureOf } from "../tls/failure.ts";
import { socketTransport } from "./descriptor.ts";
import { tlsHandshake } from "./messages.ts";
import { askedName, tlsInfo } from "./tls_info.ts";

/** The results of a step: `enum tls_step` of libnetpoll.c. */
const Step = { DONE: 0, WANTS_READ: 1, WANTS_WRITE: 2, WANTS_CHOICE: 3 } as const;
/** No context: it refuses the client. */
const NONE = -1;

/** Chooses a context for the name that a client asks for; a negative number refuses it. */
export type Choose = (serverName: string | null) => Promise<number>;

/** A handshake on its way, of a descriptor that has TLS. Whoever makes it closes the descriptor. */
export class Handshake implements Watcher, TimerOwner {
  readonly fd: number;
  readonly #poller: Poller;
  readonly #choose: Choose | null;
  readonly #onEnd: (error: NetpollError | null) => void;
  readonly #timeoutMs: number;
  readonly #timer = new Timer(this);
  #token = -1;
  #interest: number = Interest.READ;
  #isOver = false;
  /** When it began, in microseconds. */
  #since = 0;

  /** One that has not begun. `onEnd` is called once, with null when the peer is the right one. */
  constructor(
    poller: Poller,
    fd: number,
    choose: Choose | null,
    onEnd: (error: NetpollError | null) => void,
  ) {
    this.#poller = poller;
    this.fd = fd;
    this.#choose = choose;
    this.#onEnd = onEnd;
    this.#timeoutMs = native.tlsTimeout(fd);
  }

  /** Begins. It may be over when this returns. */
  begin(): void {
    this.#since = clock.now();
    try {
      this.#token = this.#poller.add(this, this.#interest);
      if (this.#timeoutMs > 0) this.#poller.setTimer(this.#timer, this.#timeoutMs);
    } catch (error) {
      return this.#end(error as NetpollError);
    }
    this.#step();
  }

  onEvent(): void {
    if (this.#isOver) return;
    if (turn.step()) return this.#poller.again(this);
    this.#step();
  }

  #step(): void {
    // A step takes as long as many messages: whoever is next looks at the clock, an accept as well.
    turn.hurry();
    const step = native.tlsHandshake(this.fd);
    if (step === Step.DONE) return this.#end(null);
    if (step === Step.WANTS_READ) return this.#watch(Interest.READ);
    if (step === Step.WANTS_WRITE) return this.#watch(Interest.WRITE);
    if (step === Step.WANTS_CHOICE) return this.#ask();
    const action = "finish the TLS handshake";
    const isTold = step === -ERRNO.EPROTO;
    this.#end(isTold ? failureOf(this.fd, action) : new SystemError(action, -step));
  }

  #watch(interest: number): void {
    if (interest === this.#interest) return;
    this.#interest = interest;
    try {
      this.#poller.modify(this.#token, this.fd, interest);
    } catch (error) {
      this.#end(error as NetpollError); // nothing would tell when it can go on
    }
  }

  /** The program chooses. Nothing is of interest until it has, but that it takes no longer than it may. */
  #ask(): void {
    this.#watch(Interest.NONE);
    const go = (context: number) => {
      if (this.#isOver) return;
      native.tlsChoose(this.fd, context);
      this.#step();
    };
    const name = askedName(this.fd);
    const chosen = this.#choose === null ? Promise.resolve(NONE) : this.#choose(name);
    chosen.then(go, (cause) => {
      const error = new TlsError("certificate", "Cannot choose a certificate: the choice failed", {
        cause,
      });
      this.#end(error);
    });
  }

  onTimer(): void {
    this.#end(new TimeoutError("handshake", this.#timeoutMs));
  }

  onFailure(error: unknown): void {
    this.#end(error as NetpollError);
  }

  /** Gives it up. `onEnd` hears of an error, where there is one to tell. */
  cancel(error: NetpollError | null = null): void {
    if (this.#isOver) return;
    this.#stop();
    if (error !== null) this.#onEnd(error);
  }

  #stop(): void {
    this.#isOver = true;
    this.#poller.cancelTimer(this.#timer);
    if (this.#token >= 0) this.#poller.remove(this.#token, this.fd);
    this.#token = -1;
  }

  #end(error: NetpollError | null): void {
    if (this.#isOver) return;
    this.#stop();
    if (error === null) counts.tls.handshakes += 1;
    else countFailure(error);
    if (tlsHandshake.isHeard) this.#tell(error);
    this.#onEnd(error);
  }

  #tell(error: NetpollError | null): void {
    const addressOf = (which: 0 | 1) => unpackAddress(socketTransport.name(this.fd, which));
    const info = error === null ? tlsInfo(this.fd) : null;
    tlsHandshake.publish({
      localAddress: addressOf(0),
      remoteAddress: addressOf(1),
      protocol: info?.protocol ?? null,
      cipher: info?.cipher ?? null,
      serverName: info?.serverName ?? null,
      isResumed: info?.isResumed ?? false,
      ...(error === null ? {} : { error }),
      durationMs: (clock.now() - this.#since) / 1000,
    });
  }
}

function countFailure(error: NetpollError): void {
  const { failures } = counts.tls;
  if (error instanceof TlsError) failures[error.reason] += 1;
  else if (error instanceof TimeoutError) failures.timeout += 1;
  else failures.lost += 1;
}
