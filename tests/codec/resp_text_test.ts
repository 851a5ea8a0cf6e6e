import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { latin1Of, textOf } from "../../src/codec/resp_text.ts";

// Of any length, for short ones are read in another way than long ones; of a Buffer, and of the user's own array.
const arrays: [string, (bytes: number[]) => Uint8Array][] = [
  ["Buffer", (bytes) => Buffer.from(bytes)],
  ["Uint8Array", (bytes) => new Uint8Array(bytes)],
];
for (const [name, make] of arrays) {
  test(`latin1Of() makes a character of each byte of a ${name}`, () => {
    const bytes = make(Array.from({ length: 256 }, (_, i) => i));
    for (let count = 0; count <= 256; count++) {
      const text = latin1Of(bytes, 256 - count, 256);
      assertEquals([...text].map((one) => one.charCodeAt(0)), [...bytes.subarray(256 - count)]);
    }
  });

  test(`textOf() decodes UTF-8 of a ${name}, from a byte to another`, () => {
    for (const text of ["", "a", "\ufeffé", "twelve bytes", "thirteen byte", "é".repeat(100)]) {
      const bytes = make([0x78, ...new TextEncoder().encode(text), 0x79]);
      assertEquals(textOf(bytes, 1, bytes.length - 1), text);
    }
  });
}
