/**
 * The number of bytes that are received at a time.
 */
import {
  CALL_MICROS_LONG,
  CONTIGUOUS_BYTES_MAX,
  EVENT_BYTES_FIRST,
  READ_BYTES_FIRST,
  READ_BYTES_MAX,
  READ_SHRINK_AFTER,
} from "../core/limits.ts";

/**
 * The size of a read: more when reads fill what they get, less when they do not. Connections whose
 * messages are small share one object, {@linkcode FIRST_SIZE}.
 */
export class ReadSize {
  #bytes = READ_BYTES_FIRST;
  #messageBytes = 0;
  #smallCount = 0;
  /** So much at most, for its handler takes long over more. */
  #most = Infinity;

  /** The size of a block to read into, when the connection has no other. */
  get blockBytes(): number {
    return Math.min(Math.max(this.#bytes, this.#messageBytes), this.#most);
  }

  /** The most to receive for one event: two blocks, or as much as handlers read without delay. */
  get eventBytes(): number {
    return Math.min(Math.max(2 * this.blockBytes, EVENT_BYTES_FIRST), 2 * this.#most);
  }

  /**
   * A read got `count` bytes, and may have left some if it filled its block. The size from now on.
   */
  learn(count: number, wasFilled: boolean): ReadSize {
    if (!wasFilled) return this === FIRST_SIZE ? this : this.#shrink(count);
    const own = this.#own();
    if (own.#bytes < READ_BYTES_MAX) own.#bytes *= 2;
    own.#smallCount = 0;
    return own;
  }

  #shrink(count: number): ReadSize {
    if (count * 4 > this.blockBytes) {
      this.#smallCount = 0;
    } else if (++this.#smallCount === READ_SHRINK_AFTER) {
      this.#smallCount = 0;
      this.#messageBytes = 0;
      this.#bytes /= 2;
      if (this.#bytes <= READ_BYTES_FIRST) return FIRST_SIZE;
    }
    return this;
  }

  /**
   * The user read a message of so many bytes: the next one shall fit into one block. The size from
   * now on.
   */
  learnMessage(bytes: number): ReadSize {
    if (bytes <= READ_BYTES_FIRST || bytes <= this.#messageBytes) return this;
    const own = this.#own();
    own.#messageBytes = Math.min(bytes, CONTIGUOUS_BYTES_MAX);
    return own;
  }

  /**
   * A handler's call took so long for so many bytes: less is read for the next one if that was too
   * long, and more again after one that was short. The size from now on.
   */
  learnTime(bytes: number, micros: number): ReadSize {
    if (micros > CALL_MICROS_LONG) {
      const own = this.#own();
      const bearable = bytes * CALL_MICROS_LONG / micros / 2; // two blocks are read for one event
      own.#most = Math.max(READ_BYTES_FIRST, 2 ** Math.floor(Math.log2(bearable)));
      own.#bytes = Math.min(own.#bytes, own.#most);
      return own;
    }
    if (4 * micros < CALL_MICROS_LONG && this.#most < READ_BYTES_MAX) this.#most *= 2;
    else if (this.#most === READ_BYTES_MAX) this.#most = Infinity;
    return this;
  }

  #own(): ReadSize {
    return this === FIRST_SIZE ? new ReadSize() : this;
  }
}

/** The size of a connection that has learned nothing yet. */
export const FIRST_SIZE: ReadSize = new ReadSize();
