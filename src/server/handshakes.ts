/**
 * The PROXY headers and TLS handshakes that come before the connections of a loop: so many at once,
 * and the others in their order.
 */
import { native } from "../../ffi/load.ts";
import type { NetpollError } from "../core/errors.ts";
import type { OnEnd, Preliminary } from "../transport/preliminary.ts";

/** The owner of a connection that is not there yet. */
export interface PreliminaryOwner<P extends Preliminary> {
  /** Makes what comes before it. */
  make(onEnd: OnEnd): P;
  /** All is well: the descriptor is the owner's. */
  onDone(preliminary: P): void;
  /** It failed, or took too long; the descriptor is closed. */
  onFailed(error: NetpollError): void;
}

/** Preliminaries that run, and that wait for one to end. */
export class Handshakes {
  readonly #most: number;
  readonly #running = new Set<Preliminary>();
  readonly #waiting: { fd: number; begin: () => void }[] = [];

  /** At most so many run at once. */
  constructor(most: number) {
    this.#most = most;
  }

  /** The number that has not ended. */
  get count(): number {
    return this.#running.size + this.#waiting.length;
  }

  /** Begins with a descriptor, as soon as there is a place. */
  add<P extends Preliminary>(fd: number, owner: PreliminaryOwner<P>): void {
    const begin = () => {
      const preliminary = owner.make((error) => {
        this.#running.delete(preliminary);
        if (error !== null) native.close(fd);
        try {
          if (error === null) owner.onDone(preliminary);
          else owner.onFailed(error);
        } finally {
          this.#next();
        }
      });
      this.#running.add(preliminary);
      preliminary.begin();
    };
    if (this.#running.size < this.#most) begin();
    else this.#waiting.push({ fd, begin });
  }

  #next(): void {
    if (this.#running.size < this.#most) this.#waiting.shift()?.begin();
  }

  /** Gives all of them up. */
  close(): void {
    for (const { fd } of this.#waiting.splice(0)) native.close(fd);
    for (const preliminary of this.#running) {
      preliminary.cancel();
      native.close(preliminary.fd);
    }
    this.#running.clear();
  }
}
