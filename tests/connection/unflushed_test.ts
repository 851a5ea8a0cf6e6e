import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { test } from "node:test";
import { type Connection, lengthPrefixed, Multiplexer, responder, tagged } from "../../mod.ts";
import { config, configure } from "../../src/core/config.ts";
import { closeAll, pairWith, receive, send } from "../support/pair.ts";
import { soon, ticks, until } from "../support/until.ts";

/** The lines that are logged meanwhile, in debug mode or not. */
async function logged(debug: boolean, body: (lines: string[]) => Promise<void>): Promise<string[]> {
  const lines: string[] = [];
  const { log } = config;
  configure({ debug, log: (line) => lines.push(line) });
  try {
    await body(lines);
  } finally {
    configure({ debug: false, log });
  }
  return lines;
}

/** Handlers that forget to flush. */
const FORGETFUL: Record<string, () => (connection: Connection) => void | Promise<void>> = {
  synchronous: () => ({ reader, writer }) => {
    writer.writeString(reader.readString(reader.length));
    reader.release();
  },
  asynchronous: () => async ({ reader, writer }) => {
    await null;
    writer.writeString(reader.readString(reader.length));
    reader.release();
  },
};

for (const [kind, make] of Object.entries(FORGETFUL)) {
  test(`debug mode tells once of a ${kind} handler that never flushes, and how many bytes`, async () => {
    const handler = make();
    const lines = await logged(true, async (lines) => {
      for (let i = 0; i < 2; i++) {
        const [a, b] = pairWith();
        b.setOnRequest(handler);
        await send(a, "hello");
        await until(() => b.writer.mallocLength === 5 && lines.length > 0, "the handler wrote");
        await ticks(3);
        assertEquals(a.reader.length, 0); // flush sends, and nothing else
        await b.writer.flush();
        assertEquals(await soon(receive(a, 5)), "hello");
        await closeAll(a, b);
      }
    });
    assertEquals(lines.length, 1);
    assertStringIncludes(lines[0]!, "5 bytes written and not flushed");
  });

  test(`without debug mode nobody looks whether a ${kind} handler flushes`, async () => {
    const lines = await logged(false, async () => {
      const [a, b] = pairWith();
      b.setOnRequest(make());
      await send(a, "hello");
      await until(() => b.writer.mallocLength === 5, "the handler wrote");
      await ticks(3);
      await closeAll(a, b);
    });
    assertEquals(lines, []);
  });
}

test("debug mode is silent about handlers that flush, and about responder(), which flushes later", async () => {
  const codec = tagged(lengthPrefixed());
  const lines = await logged(true, async () => {
    const [a, b] = pairWith();
    b.setOnRequest(responder(codec, (body: Uint8Array) => body));
    const client = new Multiplexer(a, codec);
    assertEquals((await soon(client.request("hello"))).length, 5);
    await client.close();
    const [c, d] = pairWith();
    d.setOnRequest(({ reader, writer }) => {
      writer.writeString(reader.readString(reader.length));
      reader.release();
      queueMicrotask(() => void writer.flush());
    });
    await send(c, "hello");
    assertEquals(await soon(receive(c, 5)), "hello");
    await ticks(3);
    await closeAll(b, c, d);
  });
  assert(!lines.some((line) => line.includes("not flushed")), lines.join());
});
