/**
 * LinkBuffer: netpoll's buffer, a reader and a writer over one chain of nodes.
 */
import { PIECE_BYTES_MAX } from "../core/limits.ts";
import { RESOLVED } from "../core/promises.ts";
import { chainOf } from "./chained.ts";
import { drawChain, INSPECT } from "./drawing.ts";
import { forgetOwner, reclaimFrom } from "./dropped.ts";
import { CLOSED, LinkChain } from "./link_chain.ts";
import { type BufferReader, ChainReader, checkCount, setSliceMaker } from "./reader.ts";
import { ChainWriter, setChainAccess, type Writer } from "./writer.ts";

/**
 * Bytes in linked pieces of native memory: written at one end, published by `flush`, read at the
 * other, without a copy in between.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 *
 * const buffer = new LinkBuffer();
 * buffer.writeUint16BE(5);
 * buffer.writeString("hello");
 * buffer.flush();
 * const length = buffer.readUint16BE();
 * console.log(buffer.readString(length)); // "hello"
 * buffer.close();
 * ```
 */
export interface LinkBuffer extends BufferReader, Writer, Disposable {
  /** Always true: a buffer has no peer that could be slow. */
  readonly isWritable: boolean;
  /** Makes readable what was written, before it returns. */
  flush(): Promise<void>;
  /**
   * Gives all memory back. Everything but `close`, `release`, `length` and `mallocLength` throws
   * `ClosedError` from then on. What is dropped without `close()` is given back whenever the
   * collector gets to it.
   */
  close(): void;
}

/** The constructor of buffers. */
export interface LinkBufferConstructor {
  /**
   * An empty buffer. Its first block has at least `bytes` bytes; without a number, or with 0 or
   * less, it takes memory when it is first written to.
   *
   * @throws {RangeError} `bytes` is above 1 GiB.
   */
  new (bytes?: number): LinkBuffer;
  /** The prototype of all buffers. */
  readonly prototype: LinkBuffer;
}

/** A chain for the next buffer that is made: a slice's. Nobody else's may be given to the constructor. */
let sliced: LinkChain | null = null;

/** A reader, to which the methods of a writer are added below: both go by the one chain. */
class Implementation extends ChainReader {
  static {
    setSliceMaker((chain) => {
      sliced = chain;
      return new LinkBuffer();
    });
    setChainAccess((buffer) => #chain in buffer ? chainOf(buffer) : null);
  }

  get #chain(): LinkChain {
    return chainOf(this);
  }

  constructor(bytes = 0) {
    checkCount("make a buffer of", bytes);
    if (bytes > PIECE_BYTES_MAX) {
      throw new RangeError(`Cannot make a buffer of ${bytes} bytes: at most ${PIECE_BYTES_MAX}`);
    }
    const chain = sliced ?? new LinkChain();
    sliced = null;
    super(chain);
    if (bytes > 0) chain.room(bytes);
    reclaimFrom(this, chain);
  }

  get isWritable(): boolean {
    return true;
  }

  flush(): Promise<void> {
    this.#chain.checkWritable();
    this.#chain.publish();
    return RESOLVED;
  }

  close(): void {
    forgetOwner(this.#chain);
    this.#chain.close(CLOSED);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The drawing for `console.log`. */
  [INSPECT](): string {
    return drawChain("LinkBuffer", this.#chain);
  }
}

// A writer's methods ask for the chain of `this`, whatever else it is.
for (
  const [name, member] of Object.entries(Object.getOwnPropertyDescriptors(ChainWriter.prototype))
) {
  if (!(name in Implementation.prototype)) {
    Object.defineProperty(Implementation.prototype, name, member);
  }
}
Object.defineProperty(Implementation, "name", { value: "LinkBuffer" });

/** Makes buffers; the interface of the same name says what they do. */
export const LinkBuffer: LinkBufferConstructor = Implementation as never;
