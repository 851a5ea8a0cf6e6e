/**
 * LinkBuffer: netpoll's buffer, a reader and a writer over one chain of nodes.
 */
import { config } from "../core/config.ts";
import { BLOCK_BYTES_MAX } from "../core/limits.ts";
import { CLOSED, LinkChain } from "./link_chain.ts";
import { checkCount, setSliceMaker } from "./reader.ts";
import { ChainWriter, setChainAccess } from "./writer.ts";

const RESOLVED: Promise<void> = Promise.resolve();

/** What was dropped without `close()`: its memory comes back when the collector gets to it. */
const dropped: FinalizationRegistry<LinkChain> = new FinalizationRegistry((chain) => {
  if (config.debug && chain.heldBytes > 0) {
    config.log(
      `netpoll: a LinkBuffer was dropped without close(), with ${chain.heldBytes} bytes of blocks`,
    );
  }
  chain.close(CLOSED);
});

/**
 * Bytes in linked pieces of native memory: written at one end, published by `flush`, read at the other,
 * without a copy in between.
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
export class LinkBuffer extends ChainWriter {
  static {
    setSliceMaker((chain) => new LinkBuffer(0, chain));
    setChainAccess((buffer) => #chain in buffer ? buffer.#chain : null);
  }

  readonly #chain: LinkChain;

  /**
   * An empty buffer. Its first block has at least `bytes` bytes; without a number it takes memory when it is
   * first written to.
   *
   * @throws {RangeError} `bytes` is negative or above 1 MiB.
   */
  constructor(bytes?: number);
  /** @ignore A buffer over a chain: slices are made so. */
  constructor(bytes: number, chain: LinkChain);
  constructor(bytes = 0, chain: LinkChain = new LinkChain()) {
    checkCount("make a buffer of", bytes);
    if (bytes < 0 || bytes > BLOCK_BYTES_MAX) {
      throw new RangeError(
        `Cannot make a buffer of ${bytes} bytes: it is from 0 to ${BLOCK_BYTES_MAX}`,
      );
    }
    super(chain);
    this.#chain = chain;
    if (bytes > 0) chain.room(bytes);
    dropped.register(this, chain, chain);
  }

  /** Always true: a buffer has no peer that could be slow. */
  get isWritable(): boolean {
    return true;
  }

  /** Makes readable what was written, before it returns. */
  flush(): Promise<void> {
    this.#chain.checkWritable();
    this.#chain.publish();
    return RESOLVED;
  }

  /** Gives all memory back. Everything but `close`, `release`, `length` and `mallocLength` throws from then on. */
  close(): void {
    dropped.unregister(this.#chain);
    this.#chain.close(CLOSED);
  }
}
