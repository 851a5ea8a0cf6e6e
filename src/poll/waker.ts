/**
 * A waker: what lets a poller that sleeps be called by the runtime.
 */
import type { AdoptedSocket } from "../../ffi/host.ts";
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";

/**
 * A thread in C that waits for an epoll descriptor, and one end of a socket pair that the runtime
 * polls: the thread sends a byte when the descriptor is ready. No native thread calls into
 * JavaScript.
 */
export class Waker {
  readonly #id: number;
  readonly #socket: AdoptedSocket;

  /**
   * Starts the thread for `epoll`. `onByte` is called whenever a byte came.
   *
   * @throws {SystemError} No descriptor or thread is left.
   */
  constructor(epoll: number, onByte: () => void) {
    this.#id = check("start a waker", native.wakerOpen(epoll));
    const theirs = native.wakerSocket(this.#id);
    try {
      this.#socket = host.adopt(theirs, onByte);
    } catch (error) {
      native.wakerClose(this.#id);
      native.close(theirs);
      throw error;
    }
  }

  /** Keeps the process alive from now on, or does not. */
  keepAlive(on: boolean): void {
    if (on) this.#socket.ref();
    else this.#socket.unref();
  }

  /** A byte comes as soon as the epoll descriptor is ready. False: it cannot be asked for that. */
  arm(): boolean {
    return native.wakerArm(this.#id) >= 0;
  }

  /** A byte comes the next time the runtime polls its sockets. False: the socket is broken. */
  ring(): boolean {
    return native.wakerRing(this.#id) >= 0;
  }

  /**
   * The epoll descriptor of the runtime's event loop: the one that watches the socket. Negative where
   * there is none, or before the first byte has come.
   */
  get loop(): number {
    return native.wakerLoop(this.#id);
  }

  /** Ends the thread. The epoll descriptor must still be open. */
  close(): void {
    native.wakerClose(this.#id);
    this.#socket.close();
  }
}
