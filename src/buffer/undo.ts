/**
 * Writing wholly or not at all: what failed half-way is taken back, and what was moved into it is its
 * owner's again.
 */
import { config } from "../core/config.ts";
import { TornFrameError } from "../core/errors.ts";
import { chainIfAny } from "./chained.ts";
import { forgetOwner, reclaimFrom } from "./dropped.ts";
import { type Ban, type LinkChain, MOVED, type Undo } from "./link_chain.ts";
import { heldBeside, type LinkNode } from "./link_node.ts";
import type { LinkBuffer, Writer } from "./contract.ts";

/**
 * Runs `write`; when it throws, nothing of what it wrote is left. May lie in another of its kind,
 * which then takes back all of both.
 *
 * @throws {TornFrameError} It threw after it had flushed, or had dropped what others wrote: that
 * cannot be taken back.
 */
export function wholly<By, Input>(
  write: (by: By, writer: Writer, input: Input) => void,
  by: By,
  writer: Writer,
  input: Input,
): void {
  const chain = chainIfAny(writer);
  if (chain === null) return whollyElsewhere(write, by, writer, input);
  if (chain.writeBan !== null) chain.checkWritable();
  const { pending, undos } = chain;
  const undoCount = undos === null ? 0 : undos.length;
  const publishedBytes = chain.total + chain.length;
  chain.attemptCount += 1;
  try {
    write(by, writer, input);
  } catch (error) {
    const isTorn = chain.total + chain.length !== publishedBytes || chain.pending < pending;
    takeBack(chain, pending, undoCount, isTorn);
    // A closed chain has no bytes that could be torn.
    if (isTorn && chain.writeBan === null) throw new TornFrameError(error);
    throw error;
  } finally {
    chain.attemptCount -= 1;
    if (chain.attemptCount === 0 && chain.undos !== null) chain.undos.length = 0;
  }
}

/** A writer of the user's own has only what the interface has. */
function whollyElsewhere<By, Input>(
  write: (by: By, writer: Writer, input: Input) => void,
  by: By,
  writer: Writer,
  input: Input,
): void {
  const before = writer.mallocLength;
  try {
    write(by, writer, input);
  } catch (error) {
    if (writer.mallocLength > before) writer.mallocAck(before);
    throw error;
  }
}

function takeBack(chain: LinkChain, pending: number, undoCount: number, isTorn: boolean): void {
  if (isTorn) chain.disturb(0);
  const undos = chain.undos ?? [];
  while (undos.length > undoCount) undos.pop()!.undo();
  if (!isTorn && chain.pending > pending) chain.truncate(pending);
}

/** Has something undone when what is being written to this writer is taken back. */
export function onTakenBack(writer: Writer, undo: Undo): void {
  const chain = chainIfAny(writer);
  if (chain !== null && chain.attemptCount > 0) (chain.undos ??= []).push(undo);
}

/** Moves all bytes of a buffer to the end of a chain; while an attempt runs, they may come back. */
export function move(chain: LinkChain, other: LinkChain, buffer: LinkBuffer): void {
  const isTried = chain.attemptCount > 0;
  if (isTried) (chain.undos ??= []).push(new Move(chain, other, buffer));
  chain.take(other);
  // A buffer that holds nothing need not be watched: a registry with many dead buffers stops
  // the thread for seconds (Bun).
  forgetOwner(other);
}

/** One buffer whose bytes were moved. */
class Move implements Undo {
  readonly #chain: LinkChain;
  readonly #other: LinkChain;
  readonly #buffer: LinkBuffer;
  readonly #writeBan: Ban | null;
  /** The last node before the first that is moved. */
  readonly #before: LinkNode | null;
  /** The begin and the end of the bytes among the pending ones. */
  readonly #from: number;
  readonly #to: number;
  /** The number of them that were published. */
  readonly #length: number;
  #isLost = false;

  constructor(chain: LinkChain, other: LinkChain, buffer: LinkBuffer) {
    this.#chain = chain;
    this.#other = other;
    this.#buffer = buffer;
    this.#writeBan = other.writeBan;
    this.#before = chain.writing;
    this.#from = chain.pending;
    this.#to = chain.pending + other.length + other.pending;
    this.#length = other.length;
  }

  disturb(from: number): void {
    if (from < this.#to) this.#isLost = true;
  }

  undo(): void {
    const chain = this.#chain;
    const other = this.#other;
    if (this.#isLost || other.readBan !== MOVED || chain.writeBan !== null) return;
    chain.truncate(this.#to);
    other.readBan = null;
    other.writeBan = this.#writeBan;
    giveBack(chain, this.#before, this.#from, other);
    publishFirst(other, this.#length);
    reclaimFrom(this.#buffer, other);
  }
}

/** Moves all nodes after one of them, where `from` bytes are pending, to an empty chain. */
function giveBack(chain: LinkChain, before: LinkNode | null, from: number, other: LinkChain): void {
  let node = before === null ? chain.head : before.next;
  if (before === null) {
    chain.head = null;
    chain.reading = null;
    chain.flushing = null;
  } else {
    before.next = null;
  }
  chain.writing = before;
  chain.pending = from;
  for (let last = before; node !== null;) {
    const { next } = node;
    chain.heldBytes -= heldBeside(last, node);
    node.next = null;
    other.link(node);
    last = node;
    node = next;
  }
}

/** Publishes so many bytes of a chain that has published none. */
function publishFirst(chain: LinkChain, count: number): void {
  let node = chain.head;
  for (let left = count; node !== null && left > 0; node = node.next) {
    const part = Math.min(left, node.pending);
    node.flushed += part;
    left -= part;
    chain.flushing = node;
  }
  chain.length += count;
  chain.pending -= count;
  if (config.verify) chain.verify();
}
