import { assertEquals, assertStrictEquals } from "@std/assert";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { readChain } from "../../src/buffer/reader.ts";
import { PENDING, RespParse } from "../../src/codec/resp_parse.ts";
import { balanced, bytesOfText } from "../buffer/balanced.ts";

const RULES = { bulk: "text", frameBytesMax: 1000, inline: false } as const;

balanced("run() goes on where it stopped, and says how many bytes it needs", () => {
  using buffer = new LinkBuffer();
  const parse = new RespParse(null, RULES);
  const steps: [string, number][] = [["*2", 3], ["\r\n$5\r\nhel", 15], ["lo", 15], ["\r\n:", 17]];
  for (const [i, [text, needed]] of steps.entries()) {
    buffer.writeDirect(bytesOfText(text));
    buffer.flush();
    if (i === 0) parse.begin(readChain(buffer));
    assertStrictEquals(parse.run(), PENDING);
    assertEquals(parse.needed, needed, text);
  }
  buffer.writeString("7\r\nrest");
  buffer.flush();
  assertEquals(parse.run(), ["hello", 7]);
  assertEquals(parse.offset, 19);
});

balanced("begin() makes it ready for another value", () => {
  using buffer = new LinkBuffer();
  const parse = new RespParse(null, RULES);
  for (const text of ["*3\r\n$3\r\nab", "*1\r\n:1\r\n"]) {
    buffer.writeString(text);
    buffer.flush();
    parse.begin(readChain(buffer));
    const value = parse.run();
    assertEquals(value === PENDING, text.startsWith("*3"));
    buffer.skip(text.length);
    buffer.release();
  }
});
