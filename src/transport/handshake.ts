/**
 * A TLS handshake.
 */
import { native } from "../../ffi/load.ts";
import { counts } from "../core/counts.ts";
import { ERRNO } from "../core/errno.ts";
import {
  ClosedError,
  type NetpollError,
  SystemError,
  TimeoutError,
  TlsError,
} from "../core/errors.ts";
import { unpackAddress } from "../net/address.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { turn } from "../poll/turn.ts";
import { Interest } from "../poll/watcher.ts";
import { failureOf } from "../tls/failure.ts";
import { socketTransport } from "./descriptor.ts";
import { tlsHandshake } from "./messages.ts";
import { type OnEnd, Preliminary } from "./preliminary.ts";
import { askedName, tlsInfo } from "./tls_info.ts";

/** The results of a step: `enum tls_step` of libnetpoll.c. */
const Step = { DONE: 0, WANTS_READ: 1, WANTS_WRITE: 2, WANTS_CHOICE: 3 } as const;
/** No context: it refuses the client. */
const NONE = -1;

/** Chooses a context for the name that a client asks for; a negative number refuses it. */
export type Choose = (serverName: string | null) => Promise<number>;

/** A handshake on its way, of a descriptor that has TLS. It succeeds when the peer is the right one. */
export class Handshake extends Preliminary {
  readonly #choose: Choose | null;
  /** When it began, in microseconds. */
  #since = 0;

  /** One that has not begun. */
  constructor(poller: Poller, fd: number, choose: Choose | null, onEnd: OnEnd) {
    super(poller, fd, { operation: "handshake", timeoutMs: native.tlsTimeout(fd) }, onEnd);
    this.#choose = choose;
  }

  override begin(): void {
    this.#since = clock.now();
    super.begin();
  }

  protected step(): void {
    // A step takes as long as many messages: whoever is next looks at the clock, an accept as well.
    turn.hurry();
    const step = native.tlsHandshake(this.fd);
    if (step === Step.DONE) return this.end(null);
    if (step === Step.WANTS_READ) return this.watch(Interest.READ);
    if (step === Step.WANTS_WRITE) return this.watch(Interest.WRITE);
    if (step === Step.WANTS_CHOICE) return this.#ask();
    const action = "finish the TLS handshake";
    const isTold = step === -ERRNO.EPROTO;
    this.end(isTold ? failureOf(this.fd, action) : new SystemError(action, -step));
  }

  /** The program chooses. Nothing is of interest until it has, but that it takes no longer than it may. */
  #ask(): void {
    this.watch(Interest.NONE);
    const go = (context: number) => {
      if (this.isOver) return;
      native.tlsChoose(this.fd, context);
      this.step();
    };
    const name = askedName(this.fd);
    const chosen = this.#choose === null ? Promise.resolve(NONE) : this.#choose(name);
    chosen.then(go, (cause) => {
      const error = new TlsError("certificate", "Cannot choose a certificate: the choice failed", {
        cause,
      });
      this.end(error);
    });
  }

  protected count(error: NetpollError | null): void {
    const { tls } = counts;
    if (error === null) tls.handshakes += 1;
    else if (error instanceof TlsError) tls.failures[error.reason] += 1;
    else if (error instanceof TimeoutError) tls.failures.timeout += 1;
    else tls.failures.lost += 1;
    if (tlsHandshake.isHeard) this.#tell(error);
  }

  /** The reason of the one that has given it up, if that is to be heard. It has failed all the same. */
  override cancel(error: NetpollError | null = null): void {
    const isNews = tlsHandshake.isHeard && !this.isOver;
    if (isNews) {
      this.#tell(error ?? new ClosedError("Cannot finish the TLS handshake: it was given up"));
    }
    super.cancel(error);
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
