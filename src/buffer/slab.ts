/**
 * Slabs: large pieces of native memory that JavaScript sees as one ArrayBuffer each.
 *
 * A slab is never unmapped: whoever still holds a view of it may read bytes that are no longer his,
 * but can never fault. An idle slab gives its pages back and lets go of its ArrayBuffer, because
 * Bun counts wrapped bytes as its own heap and lets garbage grow with them.
 */
import { Buffer } from "node:buffer";
import { markAsUntransferable } from "node:worker_threads";
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { assert } from "../core/assert.ts";
import { check } from "../core/check.ts";
import { BLOCK_BYTES_MIN } from "../core/limits.ts";

const WASM_PAGE_BYTES = 64 * 1024;
const NO_BYTES = Buffer.alloc(0);
const NO_VIEW = new DataView(new ArrayBuffer(0));

/** The slab of each buffer, for views that users give back to us. */
const slabs = new WeakMap<ArrayBufferLike, Slab>();

/**
 * Memory that stands in for mapped slabs where Deno grants `--allow-ffi` for one path only: it then
 * forbids to wrap a pointer. WebAssembly memory does not move and cannot be detached; the objects
 * are never dropped, because C knows the address.
 */
const memories: WebAssembly.Memory[] = [];

/** The slab that a buffer is the memory of, if it is one of ours. */
export function slabOf(buffer: ArrayBufferLike): Slab | undefined {
  return slabs.get(buffer);
}

/** A piece of a slab: a block, which knows more of itself. */
export interface SlabPiece {
  /** The offset in the slab at which it begins. */
  readonly offset: number;
  /** Its size in bytes. */
  readonly capacity: number;
}

/** A piece of native memory. */
export class Slab {
  /** The number by which libnetpoll.c knows it. */
  readonly id: number;
  /** Its size. */
  readonly byteLength: number;
  /** Bytes of its blocks that are in use. */
  usedBytes = 0;
  /** The block at each KiB, where one begins. */
  readonly #blocks: (SlabPiece | undefined)[] = [];
  readonly #memory: WebAssembly.Memory | null;
  #bytes: Buffer = NO_BYTES;
  #view: DataView = NO_VIEW;

  private constructor(id: number, byteLength: number, memory: WebAssembly.Memory | null) {
    this.id = id;
    this.byteLength = byteLength;
    this.#memory = memory;
  }

  /**
   * Maps a slab.
   *
   * @throws {SystemError} No memory is left.
   */
  static map(byteLength: number): Slab {
    if (memories.length > 0) return Slab.#fromWasm(byteLength);
    const slab = new Slab(check("map memory", native.slabMap(byteLength)), byteLength, null);
    if (slab.#tryWrap()) return slab;
    return Slab.#fromWasm(byteLength);
  }

  static #fromWasm(byteLength: number): Slab {
    const pages = byteLength / WASM_PAGE_BYTES;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const id = check("map memory", native.slabRegister(new Uint8Array(memory.buffer), byteLength));
    memories.push(memory);
    const slab = new Slab(id, byteLength, memory);
    slab.#use(memory.buffer);
    return slab;
  }

  /**
   * All of its bytes; empty while it is retired.
   *
   * A user may get hold of `view.buffer` and detach it (Bun allows that in spite of
   * markAsUntransferable). The memory itself stays what it is, so it is wrapped anew by whoever asks
   * for it next: nothing is written past a buffer that is gone.
   */
  get bytes(): Buffer {
    if (this.#bytes.length === 0 && this.isWrapped) this.wrap();
    return this.#bytes;
  }

  /** A view of its bytes, for numbers. */
  get view(): DataView {
    if (this.#bytes.length === 0 && this.isWrapped) this.wrap();
    return this.#view;
  }

  /** True if its bytes can be reached; those of a retired one cannot. */
  get isWrapped(): boolean {
    return this.#bytes !== NO_BYTES;
  }

  /** Makes the bytes reachable again. */
  wrap(): void {
    if (this.#memory !== null) this.#use(this.#memory.buffer);
    else assert(this.#tryWrap(), "a slab that could be wrapped once can be wrapped again");
  }

  /** Gives the pages back to the kernel and lets go of the buffer. No block of it may be in use. */
  retire(): void {
    assert(this.usedBytes === 0, "a slab in use is not retired");
    // Pages that cannot be given back (mlockall(2), memory of an unloaded module) stay. This runs in a
    // timer: an error would end the program, which lacks nothing.
    native.slabDiscard(this.id);
    if (this.#memory !== null) return;
    this.#bytes = NO_BYTES;
    this.#view = NO_VIEW;
  }

  /** The block that a byte of the slab belongs to. */
  blockAt(offset: number): SlabPiece | undefined {
    // A block of 2^n bytes lies at a multiple of 2^n: clearing bits walks through all that may
    // contain it.
    let index = Math.floor(offset / BLOCK_BYTES_MIN);
    for (;;) {
      const block = this.#blocks[index];
      if (block !== undefined) return offset < block.offset + block.capacity ? block : undefined;
      if (index === 0) return undefined;
      index &= index - 1;
    }
  }

  /** Notes where a block begins. */
  setBlock(offset: number, block: SlabPiece): void {
    this.#blocks[offset / BLOCK_BYTES_MIN] = block;
  }

  /** All of its blocks, in their order. */
  *blocks(): Generator<SlabPiece> {
    for (let offset = 0; offset < this.byteLength;) {
      const block = this.#blocks[offset / BLOCK_BYTES_MIN];
      if (block === undefined) return;
      yield block;
      offset += block.capacity;
    }
  }

  /** It is one piece again. */
  forgetBlocks(): void {
    this.#blocks.length = 0;
  }

  #tryWrap(): boolean {
    const buffer = host.wrap(native.slabAddress(this.id), this.byteLength);
    if (buffer === null) return false;
    markAsUntransferable(buffer);
    this.#use(buffer);
    return true;
  }

  #use(buffer: ArrayBufferLike): void {
    this.#bytes = Buffer.from(buffer);
    this.#view = new DataView(buffer);
    slabs.set(buffer, this);
  }
}
