/**
 * Long frames that come byte by byte: if any codec looked at a byte again for each that comes, these
 * would take minutes.
 */
import { assertEquals } from "@std/assert";
import { RESP_LINE_BYTES_MAX } from "../../src/core/limits.ts";
import { test } from "node:test";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import type { Codec } from "../../src/codec/codec.ts";
import { delimited, lines } from "../../src/codec/delimited.ts";
import { fixedLength } from "../../src/codec/fixed_length.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { ordered } from "../../src/codec/ordered.ts";
import { resp } from "../../src/codec/resp.ts";
import { tagged } from "../../src/codec/tagged.ts";
import { varintPrefixed } from "../../src/codec/varint_prefixed.ts";
import { bytesOfText } from "../buffer/balanced.ts";

const COUNT = 400_000;
const LONG = "a".repeat(COUNT);

function encoded<Input>(codec: Codec<unknown, Input>, input: Input): Uint8Array {
  using buffer = new LinkBuffer();
  codec.encode(buffer, input);
  buffer.flush();
  return buffer.readBinary(buffer.length);
}

function asked(): Codec<unknown, never> {
  const codec = ordered(lines());
  using buffer = new LinkBuffer();
  codec.encode(buffer, { id: 1, body: "" });
  return codec;
}

const several = delimited(bytesOfText("aaaab"));
const longDelimiter = delimited(bytesOfText("a".repeat(100) + "b"));
const frame = lengthPrefixed();

const LINE = RESP_LINE_BYTES_MAX - 3;

const CASES: Readonly<Record<string, readonly [Codec<unknown, never>, Uint8Array]>> = {
  lengthPrefixed: [frame, encoded(frame, LONG)],
  varintPrefixed: [varintPrefixed(), encoded(varintPrefixed(), LONG)],
  fixedLength: [fixedLength(COUNT), bytesOfText(LONG)],
  lines: [lines(), bytesOfText(`${LONG}\r\n`)],
  "delimited by several": [several, bytesOfText(`${LONG}b`)],
  "delimited by many": [longDelimiter, bytesOfText(`${LONG}b`)],
  "tagged(lengthPrefixed)": [tagged(frame), encoded(tagged(frame), { id: 1, body: LONG })],
  "ordered(lines)": [asked(), bytesOfText(`${LONG}\n`)],
  "resp, a blob": [resp(), bytesOfText(`$${COUNT}\r\n${LONG}\r\n`)],
  "resp, a line": [resp(), bytesOfText(`+${LONG.slice(0, LINE)}\r\n`)],
  "resp, empty arrays": [resp(), bytesOfText(`*${COUNT / 4}\r\n${"*0\r\n".repeat(COUNT / 4)}`)],
  "resp, a map": [resp(), bytesOfText(`%${COUNT / 8}\r\n${":1\r\n_\r\n".repeat(COUNT / 8)}`)],
  "resp, blobs": [resp(), bytesOfText(`*${COUNT / 8}\r\n${"$1\r\na\r\n".repeat(COUNT / 8)}`)],
  "resp, attributes": [resp(), bytesOfText(`${"|0\r\n".repeat(COUNT / 4)}:1\r\n`)],
  "resp, a command": [resp({ inline: true }), bytesOfText(`${"a ".repeat(LINE / 2)}\r\n`)],
  "resp, doubles": [
    resp(),
    bytesOfText(
      `*99\r\n${`,${"1".repeat(4000)}.5\r\n`.repeat(99)}`,
    ),
  ],
  "resp, big numbers": [resp(), bytesOfText(`*99\r\n${`(${"9".repeat(4000)}\r\n`.repeat(99)}`)],
};

for (const [name, [codec, bytes]] of Object.entries(CASES)) {
  test(`decode() looks at each byte once, of ${name}`, () => {
    using buffer = new LinkBuffer();
    for (const byte of bytes.subarray(0, -1)) {
      buffer.writeByte(byte);
      buffer.flush();
      if (codec.decode(buffer) !== undefined) throw new Error("decoded what was not there in full");
    }
    buffer.writeByte(bytes.at(-1)!);
    buffer.flush();
    assertEquals(codec.decode(buffer) === undefined, false);
    assertEquals(buffer.length, 0);
  });
}
