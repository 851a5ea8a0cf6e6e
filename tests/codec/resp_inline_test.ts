import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { FrameError, LinkBuffer, resp, RespNullArray, RespSimple } from "../../mod.ts";
import { inlineWords } from "../../src/codec/resp_inline.ts";
import { RESP_LINE_BYTES_MAX } from "../../src/core/limits.ts";

/** The words of a line, as text. */
function wordsOf(line: string): string[] | null {
  const bytes = Uint8Array.from(line, (character) => character.charCodeAt(0));
  const words = inlineWords(bytes, 0, bytes.length);
  return words?.map((word) => String.fromCharCode(...word)) ?? null;
}

test("inlineWords() takes words and quotes as redis-cli does", () => {
  const lines: [string, string[] | null][] = [
    ["", []],
    ["  \t ", []],
    ["PING", ["PING"]],
    ["  SET  a b ", ["SET", "a", "b"]],
    ['SET a "b c"', ["SET", "a", "b c"]],
    ["SET a 'b c'", ["SET", "a", "b c"]],
    ['""', [""]],
    ["''", [""]],
    ['"\\n\\r\\t\\b\\a\\\\\\""', ['\n\r\t\b\x07\\"']],
    ['"\\x41\\xfF\\xg0"', ["A\xffxg0"]],
    ["'\\n\\''", ["\\n'"]],
    ['a"b"', ["ab"]],
    ['"a"b', null],
    ['"""a"""', null],
    ['"abc', null],
    ["'abc", null],
    ['"abc\\', null],
    ['"abc\\"', null],
    ["'a'b", null],
  ];
  for (const [line, words] of lines) assertEquals(wordsOf(line), words, line);
});

const server = resp({ inline: true, bulk: "latin1" });

/** Reads a text with a server's codec. */
function decode(text: string): unknown {
  using buffer = new LinkBuffer();
  buffer.writeString(text, "latin1");
  buffer.flush();
  return server.decode(buffer);
}

test("resp({ inline }) takes a negative count as a request without words, and refuses what is no count", () => {
  for (const count of ["-1", "-10", "-9223372036854775808"]) {
    assertEquals(decode(`*${count}\r\n`), null);
  }
  for (const count of ["-", "--1", "-1x", "-99999999999999999999999"]) {
    assertThrows(() => decode(`*${count}\r\n`), FrameError);
  }
  using buffer = new LinkBuffer();
  buffer.writeString("*-10\r\n");
  buffer.flush();
  assertThrows(() => resp().decode(buffer), FrameError);
});

test("resp({ inline }) takes any line for a command but an array's", () => {
  for (const type of "$:+-_#,(!=%~>|") {
    assertEquals(decode(`${type}1 x\r\nx\r\n`), [`${type}1`, "x"]);
    assertEquals(decode(`${type}\n`), [type]);
  }
  assertEquals(decode("*2\r\n$1\r\na\r\n:5\r\n"), ["a", 5]);
});

test("resp({ inline }) says that quotes are unbalanced", () => {
  assertEquals(decode('SET a "b c"\r\n'), ["SET", "a", "b c"]);
  assertThrows(() => decode('SET a "b\r\n'), FrameError, "quotes");
});

test("resp() keeps no line without an end, whatever its type", () => {
  for (const first of ["*", "$", ":", "+", "-", "(", ",", "x", "*1\r\n$"]) {
    using buffer = new LinkBuffer();
    buffer.writeString(first);
    buffer.writeBinary(new Uint8Array(RESP_LINE_BYTES_MAX).fill(0x31));
    buffer.flush();
    assertThrows(() => server.decode(buffer), FrameError, "", first);
  }
  using writer = new LinkBuffer();
  const long = new RespSimple("x".repeat(RESP_LINE_BYTES_MAX));
  assertThrows(() => server.encode(writer, long), RangeError);
  assertEquals(writer.mallocLength, 0);
});

test("RespNullArray is *-1 in version 2 and _ in version 3", () => {
  for (const [version, text] of [[2, "*-1\r\n"], [3, "_\r\n"]] as const) {
    using buffer = new LinkBuffer();
    const codec = resp({ version });
    codec.encode(buffer, new RespNullArray());
    buffer.flush();
    assertEquals(buffer.peek(buffer.length), new TextEncoder().encode(text));
    assertEquals(codec.decode(buffer), null);
  }
});
