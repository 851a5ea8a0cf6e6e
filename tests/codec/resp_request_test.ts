import { assertEquals } from "@std/assert";
import { readChain } from "../../src/buffer/reader.ts";
import { readRequest } from "../../src/codec/resp_request.ts";
import { balanced, bufferOf, bytesOfText } from "../buffer/balanced.ts";

const RULES = { bulk: "latin1", frameBytesMax: 1000, inline: true } as const;

function request(count: number, word = "word"): string {
  return `*${count}\r\n` + `$${word.length}\r\n${word}\r\n`.repeat(count);
}

balanced(
  "readRequest() reads a request that is there in one piece, and what follows is left",
  () => {
    for (const words of [["PING"], ["GET", "k\r\n"], ["SET", "", "\xff".repeat(900)]]) {
      const bytes = `*${words.length}\r\n` +
        words.map((word) => `$${word.length}\r\n${word}\r\n`).join("");
      using buffer = bufferOf(bytesOfText(`${bytes}*1\r\n`));
      assertEquals(readRequest(readChain(buffer), RULES), words);
      assertEquals(buffer.readString(buffer.length), "*1\r\n");
    }
  },
);

balanced("readRequest() leaves all others to the parse, and consumes nothing of them", () => {
  const others = [
    "*",
    "*1",
    "*0\r\n",
    "*-1\r\n",
    "*x\r\n",
    "*1\n$1\nk\n",
    "+OK\r\n",
    "PING\r\n",
    "*1\r\n:1\r\n",
    "*1\r\n$-1\r\n",
    "*1\r\n*1\r\n$1\r\nk\r\n",
    "*1\r\n$1\r\nkk\r\n",
    "*1\r\n$2\r\nk\r\n\r",
    "*1\r\n$9999999999\r\nk\r\n",
    request(65),
    request(1, "x".repeat(1000)),
  ];
  const whole = request(2);
  for (let cut = 1; cut < whole.length; cut++) others.push(whole.slice(0, cut));
  for (const bytes of others) {
    using buffer = bufferOf(bytes);
    assertEquals(readRequest(readChain(buffer), RULES), null, bytes);
    assertEquals(buffer.length, bytes.length);
  }
});

balanced("readRequest() leaves to the parse what lies in two pieces", () => {
  const whole = request(2);
  for (let cut = 1; cut < whole.length; cut++) {
    using buffer = bufferOf(whole.slice(0, cut));
    buffer.append(bufferOf(whole.slice(cut)));
    buffer.flush();
    assertEquals(readRequest(readChain(buffer), RULES), null);
    assertEquals(buffer.length, whole.length);
  }
});
