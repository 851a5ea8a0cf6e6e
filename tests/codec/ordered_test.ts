import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import type { Connection } from "../../mod.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { lines } from "../../src/codec/delimited.ts";
import { ordered } from "../../src/codec/ordered.ts";
import { resp } from "../../src/codec/resp.ts";
import { FrameError, TimeoutError } from "../../src/core/errors.ts";
import { Multiplexer } from "../../src/mux/multiplexer.ts";
import { balanced, bufferOf, textOf } from "../buffer/balanced.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith } from "../support/pair.ts";
import { soon, until } from "../support/until.ts";

/** So many lines that the other side has received. */
async function receive({ reader }: Connection, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) {
    all.push(reader.readString(await soon(reader.waitUntil(10), "a line")).trimEnd());
  }
  reader.release();
  return all;
}

async function send({ writer }: Connection, text: string): Promise<void> {
  writer.writeString(text);
  await writer.flush();
}

test("ordered() gives each request of a Multiplexer the answer that comes in its turn", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, ordered(lines()));
    const results = Array.from({ length: 3000 }, (_, n) => client.request(`${n}`));
    const asked = await receive(b, 3000);
    await send(b, asked.slice(0, 2000).map((line) => `${line}!\n`).join(""));
    assertEquals((await soon(Promise.all(results.slice(0, 2000)))).map(textOf)[1999], "1999!");
    const last = client.request("last");
    assertEquals(await receive(b, 1), ["last"]);
    await send(b, asked.slice(2000).map((line) => `${line}!\n`).join("") + "and la");
    await send(b, "st\n");
    const rest = (await soon(Promise.all(results))).map(textOf);
    assertEquals(rest, Array.from({ length: 3000 }, (_, n) => `${n}!`));
    assertEquals(textOf(await soon(last)), "and last");
    await client.close();
    await closeAll(b);
  });
});

test("ordered() drops the answer of a request that was given up, in its turn", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, ordered(lines()));
    const late = client.request("late", { timeoutMs: 5 });
    const next = client.request("next");
    await soon(assertRejects(() => late, TimeoutError));
    await receive(b, 2);
    await send(b, "too late\nin time\n");
    assertEquals(textOf(await soon(next)), "in time");
    assertEquals(client.strayCount, 1);
    await client.close();
    await closeAll(b);
  });
});

test("ordered() makes a Multiplexer a client of Redis, errors and null among the answers", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, ordered(resp({ bulk: "text" })));
    const results = [["GET", "a"], ["GET", "b"], ["NO"]].map((request) => client.request(request));
    const asked = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n*1\r\n$2\r\nNO\r\n";
    await soon(b.reader.wait(asked.length), "the requests");
    assertEquals(b.reader.readString(asked.length), asked);
    b.reader.release();
    await send(b, "$3\r\none\r\n$-1\r\n-ERR no\r\n");
    const [one, none, failure] = await soon(Promise.all(results));
    assertEquals([one, none, (failure as Error).message], ["one", null, "ERR no"]);
    await client.close();
    await closeAll(b);
  });
});

test("ordered() ends the connection for an answer that nobody asked for", async () => {
  const [a, b] = pairWith();
  const client = new Multiplexer(a, ordered(lines()));
  await send(b, "hello\n");
  await until(() => !a.isActive, "the end");
  await assertRejects(() => client.request("too late"), FrameError, "nobody asked for");
  await closeAll(b);
});

balanced("ordered() gives a push to nobody, asked for or not, however it is cut", () => {
  const push = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
  using output = new LinkBuffer();
  const codec = ordered(resp({ bulk: "text" }));
  for (const id of [1, 2]) codec.encode(output, { id, body: ["GET", "k"] });
  using input = new LinkBuffer();
  const answers: unknown[] = [];
  for (const byte of `${push}$1\r\na\r\n${push}${push}$1\r\nb\r\n${push}`) {
    input.writeString(byte);
    input.flush();
    answers.push(codec.decode(input));
  }
  assertEquals(answers.filter((one) => one !== undefined), [{ id: 1, body: "a" }, {
    id: 2,
    body: "b",
  }]);
  assertEquals(input.length, 0);
});

balanced("ordered() keeps no place for a request that cannot be encoded", () => {
  using output = new LinkBuffer();
  const codec = ordered(lines());
  assertThrows(() => codec.encode(output, { id: 1, body: "two\nlines" }), RangeError);
  codec.encode(output, { id: 2, body: "one" });
  using input = bufferOf("answer\nanother\n");
  const { id, body } = codec.decode(input)!;
  input.release();
  assertEquals([id, textOf(body)], [2, "answer"]);
  assertThrows(() => codec.decode(input), FrameError, "nobody asked for");
  assertEquals(input.length, "another\n".length); // nothing was consumed
});
