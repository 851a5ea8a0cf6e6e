import { assertEquals, assertThrows } from "@std/assert";
import { ClosedError, LinkBuffer, resp } from "../../mod.ts";
import { hasLineEnd, writeBlob, writeLine } from "../../src/codec/resp_write.ts";
import { balanced, textOf } from "../buffer/balanced.ts";

const EVERY = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i));

/** Writes a value and returns its text; null when it is refused, and the writer has nothing of it. */
function written(write: typeof writeBlob, text: string, encoding: "utf-8" | "latin1") {
  using buffer = new LinkBuffer();
  buffer.writeByte(0x2e);
  const isDone = write(buffer, "$", text, encoding);
  buffer.flush();
  const bytes = textOf(buffer.peek(buffer.length));
  assertEquals(isDone, bytes.length > 1);
  return isDone ? bytes.slice(1) : null;
}

balanced("writeBlob() writes short text with its count", () => {
  for (let count = 0; count <= 100; count++) {
    const text = "x".repeat(count);
    for (const encoding of ["utf-8", "latin1"] as const) {
      assertEquals(written(writeBlob, text, encoding), `$${count}\r\n${text}\r\n`);
    }
  }
  assertEquals(written(writeBlob, "x".repeat(101), "latin1"), null);
});

balanced("writeBlob() writes each character that is a byte, and nothing of another", () => {
  for (const character of EVERY) {
    const wire = `$2\r\na${character}\r\n`;
    assertEquals(written(writeBlob, `a${character}`, "latin1"), wire);
    const isAscii = character <= "\x7f";
    assertEquals(written(writeBlob, `a${character}`, "utf-8"), isAscii ? wire : null);
  }
  assertEquals(written(writeBlob, "a\u0100", "latin1"), null);
});

balanced("writeLine() writes short text without the end of a line", () => {
  for (const character of EVERY) {
    const isEnd = character === "\r" || character === "\n";
    assertEquals(written(writeLine, character, "latin1"), isEnd ? null : `$${character}\r\n`);
  }
  assertEquals(written(writeLine, "", "utf-8"), "$\r\n");
  assertEquals(written(writeLine, "x".repeat(101), "utf-8"), null);
});

balanced("writeBlob() leaves a closed writer to say that it is closed", () => {
  const buffer = new LinkBuffer();
  buffer.close();
  assertEquals(writeBlob(buffer, "$", "text", "utf-8"), false);
  assertThrows(() => resp().encode(buffer, "text"), ClosedError);
});

balanced("hasLineEnd() looks at the bytes that text becomes", () => {
  for (const encoding of ["utf-8", "latin1"] as const) {
    assertEquals(["a\nb", "a\rb", ""].map((text) => hasLineEnd(text, encoding)), [
      true,
      true,
      false,
    ]);
    assertEquals(hasLineEnd("a\u010ab", encoding), encoding === "latin1");
    assertEquals(hasLineEnd("a\u010db", encoding), encoding === "latin1");
  }
});
