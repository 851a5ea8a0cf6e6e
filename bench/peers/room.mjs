// deno-lint-ignore-file explicit-module-boundary-types -- types are in the comments here
/**
 * All members of a broadcast, for sockets that tell by a callback when they take more. A sender that is
 * faster than a receiver is paused until the receiver has caught up.
 */
export class Room {
  /** The members, each with the senders that wait for it. */
  #members = new Map();
  /** The number of members that a paused sender waits for. */
  #fullCounts = new Map();

  /** Adds a socket. */
  join(socket) {
    this.#members.set(socket, []);
  }

  /** Removes a socket. */
  leave(socket) {
    this.drained(socket);
    this.#members.delete(socket);
    this.#fullCounts.delete(socket);
  }

  /**
   * Sends bytes to all others. `send` says whether its socket takes more.
   *
   * @template {{ pause(): unknown, resume(): unknown }} S
   * @param {S} from
   * @param {Uint8Array} bytes
   * @param {(socket: S, bytes: Uint8Array) => boolean} send
   */
  broadcast(from, bytes, send) {
    let fullCount = 0;
    for (const [socket, waiting] of this.#members) {
      if (socket === from || send(socket, bytes)) continue;
      if (waiting.includes(from)) continue;
      waiting.push(from);
      fullCount += 1;
    }
    if (fullCount === 0) return;
    this.#fullCounts.set(from, (this.#fullCounts.get(from) ?? 0) + fullCount);
    from.pause();
  }

  /** A socket takes more. */
  drained(socket) {
    const waiting = this.#members.get(socket);
    if (waiting === undefined) return;
    for (const sender of waiting.splice(0)) {
      const fullCount = this.#fullCounts.get(sender);
      if (fullCount === undefined) continue; // gone
      if (fullCount > 1) {
        this.#fullCounts.set(sender, fullCount - 1);
      } else {
        this.#fullCounts.delete(sender);
        sender.resume();
      }
    }
  }
}
