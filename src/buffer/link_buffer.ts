/**
 * LinkBuffer: netpoll's buffer, a reader and a writer over one chain of nodes.
 */
import { PIECE_BYTES_MAX } from "../core/limits.ts";
import { RESOLVED } from "../core/promises.ts";
import { chainOf } from "./chained.ts";
import { showAs } from "../core/inspect.ts";
import { drawChain } from "./drawing.ts";
import { forgetOwner, reclaimFrom } from "./dropped.ts";
import { LinkBuffer, setLinkBuffer } from "./contract.ts";
import { CLOSED, LinkChain } from "./link_chain.ts";
import { ChainReader, checkCount, setSliceMaker } from "./reader.ts";
import { ChainWriter, setChainAccess } from "./writer.ts";

export { LinkBuffer };
// Readers make slices, which are LinkBuffers: whoever makes readers has to have this module.
export { ChainReader, sliceOf } from "./reader.ts";

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
    showAs(this.prototype, "LinkBuffer", (buffer) => drawChain("LinkBuffer", buffer.#chain));
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

setLinkBuffer(Implementation as never);
