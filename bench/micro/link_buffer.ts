/**
 * The linked buffer: what a message costs between the socket and the handler.
 */
import { assertEquals } from "@std/assert";
import type { Micro } from "../harness/micro.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";

/** A message is written, flushed, read and released. */
function through(title: string, bytes: number, pass: (buffer: LinkBuffer) => number): Micro {
  return {
    name: `link_buffer: ${title}`,
    prepare() {
      const buffer = new LinkBuffer();
      return {
        check() {
          assertEquals(pass(buffer), bytes);
          assertEquals(buffer.length, 0);
        },
        run(times) {
          for (let i = 0; i < times; i++) pass(buffer);
        },
        close: () => buffer.close(),
      };
    },
  };
}

function mallocNext(bytes: number): Micro {
  return through(`malloc, flush, next, release ${bytes} B`, bytes, (buffer) => {
    buffer.malloc(bytes);
    buffer.flush();
    const { length } = buffer.next(bytes);
    buffer.release();
    return length;
  });
}

function writeBinary(bytes: number): Micro {
  const message = new Uint8Array(bytes);
  return through(`writeBinary, flush, next, release ${bytes} B`, bytes, (buffer) => {
    buffer.writeBinary(message);
    buffer.flush();
    const { length } = buffer.next(bytes);
    buffer.release();
    return length;
  });
}

/** A frame with the length of its payload before it. */
function frame(bytes: number): Micro {
  return through(`frame: uint32, malloc, flush, read both ${bytes} B`, bytes, (buffer) => {
    buffer.writeUint32BE(bytes);
    buffer.malloc(bytes);
    buffer.flush();
    const { length } = buffer.next(buffer.readUint32BE());
    buffer.release();
    return length;
  });
}

function slice(bytes: number): Micro {
  return through(`malloc, flush, slice, close ${bytes} B`, bytes, (buffer) => {
    buffer.malloc(bytes);
    buffer.flush();
    const part = buffer.slice(bytes);
    const { length } = part;
    part.close();
    buffer.release();
    return length;
  });
}

/** A line that ends at its last byte. */
function until(bytes: number): Micro {
  const line = new Uint8Array(bytes).fill(0x61);
  line[bytes - 1] = 0x0a;
  return through(`writeBinary, flush, until, release ${bytes} B`, bytes, (buffer) => {
    buffer.writeBinary(line);
    buffer.flush();
    const { length } = buffer.until(0x0a);
    buffer.release();
    return length;
  });
}

/** All of this noun. */
export const LINK_BUFFER: readonly Micro[] = [
  mallocNext(64),
  mallocNext(16 * 1024),
  writeBinary(64),
  writeBinary(1024),
  frame(1024),
  slice(1024),
  until(64),
];
