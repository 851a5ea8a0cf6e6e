/**
 * The handshakes of a loop: so many at once, and the others in their order.
 */
import { native } from "../../ffi/load.ts";
import type { NetpollError } from "../core/errors.ts";
import type { Poller } from "../poll/poller.ts";
import { type Choose, Handshake } from "../transport/handshake.ts";

/** The owner of a connection that is not there yet. */
export interface HandshakeOwner {
  /** The peer is the right one: the descriptor is the owner's. */
  onSecure(): void;
  /** It is not, or took too long; the descriptor is closed. */
  onInsecure(error: NetpollError): void;
}

/** Handshakes that run, and that wait for one to end. */
export class Handshakes {
  readonly #poller: Poller;
  readonly #most: number;
  readonly #running = new Set<Handshake>();
  readonly #waiting: { fd: number; begin: () => void }[] = [];

  /** At most so many run at once. */
  constructor(poller: Poller, most: number) {
    this.#poller = poller;
    this.#most = most;
  }

  /** The number that has not ended. */
  get count(): number {
    return this.#running.size + this.#waiting.length;
  }

  /** Begins with a descriptor, as soon as there is a place. */
  add(fd: number, choose: Choose | null, owner: HandshakeOwner): void {
    const begin = () => {
      const handshake = new Handshake(this.#poller, fd, choose, (error) => {
        this.#running.delete(handshake);
        if (error !== null) native.close(fd);
        try {
          if (error === null) owner.onSecure();
          else owner.onInsecure(error);
        } finally {
          this.#next();
        }
      });
      this.#running.add(handshake);
      handshake.begin();
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
    for (const handshake of this.#running) {
      handshake.cancel();
      native.close(handshake.fd);
    }
    this.#running.clear();
  }
}
