import { assertEquals, assertStringIncludes } from "@std/assert";
import { test } from "node:test";
import { Connection } from "../../mod.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { run } from "../support/child.ts";
import { memoryEnds } from "../support/duplexes.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { closeAll, receive, send } from "../support/pair.ts";
import { soon, tick } from "../support/until.ts";

test("DuplexConnection: whoever waits for it waits for the runtime, with and without a handler", () =>
  leaks(async () => {
    const { pace } = threadPoller();
    const before = pace.outsideWaits;
    const waits = () => pace.outsideWaits - before;
    const [x, y] = memoryEnds();
    const a = Connection.fromDuplex(x);
    assertEquals(waits(), 0);
    const waiting = a.reader.wait(4);
    assertEquals(waits(), 1);
    a.writer.writeBinary(new Uint8Array(8 << 20));
    const flushed = a.writer.flush();
    assertEquals(waits(), 1);
    const b = Connection.fromDuplex(y, {
      async onRequest({ reader, writer }) {
        reader.skip(reader.length);
        reader.release();
        writer.writeString("pong");
        await writer.flush();
        await reader.wait(9 << 20);
      },
    });
    await soon(waiting);
    await soon(flushed);
    await tick();
    assertEquals(waits(), 1, "the handler waits");
    a.reset();
    b.reset();
    await tick();
    assertEquals(waits(), 0);
  }));

test("DuplexConnection passes messages to and fro without a turn that blocks", () =>
  leaks(async () => {
    const [x, y] = memoryEnds();
    const a = Connection.fromDuplex(x);
    const b = Connection.fromDuplex(y, {
      onRequest({ reader, writer }) {
        writer.writeBinary(reader.next(reader.length));
        void writer.flush();
        reader.release();
      },
    });
    const before = threadPoller().pace.counts.blocks;
    for (let i = 0; i < 200; i++) {
      await send(a, "ping");
      assertEquals(await soon(receive(a, 4)), "ping");
    }
    assertEquals(threadPoller().pace.counts.blocks - before, 0);
    await closeAll(a, b);
  }));

for (
  const [act, said] of Object.entries({
    "wait with a deadline": "TimeoutError",
    "flush with a deadline": "TimeoutError",
    "close with a deadline": "unsent",
    "leave it open": "",
    "leave it open with deadlines": "",
  })
) {
  test(`DuplexConnection lets the process end when nobody waits with a deadline: ${act}`, async () => {
    const program = `${root}tests/support/duplex_lifetime.ts`;
    const { code, signal, stdout, stderr } = await run(program, { args: [act], timeoutMs: 15_000 });
    assertEquals([code, signal], [0, null], stderr);
    assertStringIncludes(stdout, said);
  });
}
