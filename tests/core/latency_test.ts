import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { configure, type Connection, dial, metrics, prometheus } from "../../mod.ts";
import { watching } from "../../src/core/watching.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { receive, send } from "../support/pair.ts";
import { echo, serve } from "../support/serve.ts";
import { delay } from "../support/until.ts";

/** Measures while messages go to a server and come back. */
async function measured(onRequest: Parameters<typeof serve>[0], messages: number) {
  configure({ measure: true });
  try {
    const { loop, listener, served } = serve(onRequest);
    const { address } = listener;
    const client = await dial("tcp", `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`);
    for (let n = 0; n < messages; n++) {
      await send(client, "hello");
      assertEquals(await receive(client, 5), "hello");
    }
    await client.close();
    await loop.shutdown();
    await served;
    return metrics();
  } finally {
    configure({ measure: false });
  }
}

test("metrics().latency is null unless measure was configured, and begins from nothing", async () => {
  assertEquals([metrics().latency, watching.isOn], [null, false]);
  assertEquals(/handler_seconds/.test(prometheus(metrics())), false);
  for (let round = 0; round < 2; round++) {
    const { latency } = await measured(echo, 3);
    assertEquals(latency!.handler.count, 3);
  }
  assertEquals([metrics().latency, watching.isOn], [null, false]);
});

test("metrics().latency has each call of a handler, its wait, and the turns between", async () => {
  const { latency } = await measured((it) => {
    echo(it);
    for (const end = performance.now() + 5; performance.now() < end;);
  }, 10);
  const { handler, wait, turn, gap } = latency!;
  assertEquals([handler.count, wait.count], [10, 10]);
  assert(handler.p50Micros >= 5000 && handler.sumMicros >= 50_000, JSON.stringify(handler));
  assert(turn.count >= 10 && turn.sumMicros >= 50_000, JSON.stringify(turn));
  assert(turn.maxMicros >= 5000 && gap.count > 0, JSON.stringify(gap));
});

test("metrics().latency has asynchronous calls up to their end", async () => {
  const { latency } = await measured(async (it) => {
    const text = it.reader.readString(it.reader.length);
    it.reader.release();
    await delay(10);
    it.writer.writeString(text);
    await it.writer.flush();
  }, 3);
  assertEquals(latency!.handler.count, 3);
  assert(latency!.handler.p50Micros >= 9000, JSON.stringify(latency!.handler));
});

test("metrics().latency has the wait of a message behind the one before it", async () => {
  configure({ measure: true });
  const { loop, listener, served } = serve(({ reader, writer }) => {
    writer.writeString(reader.readString(5));
    void writer.flush();
    reader.release();
    for (const end = performance.now() + 20; performance.now() < end;);
  });
  const { address } = listener;
  const client = await dial("tcp", `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`);
  await send(client, "hellohello");
  await receive(client, 10);
  const { wait } = metrics().latency!;
  configure({ measure: false });
  await client.close();
  await loop.shutdown();
  await served;
  assertEquals(wait.count, 2);
  assert(wait.maxMicros >= 20_000, JSON.stringify(wait));
});

for (const style of ["synchronous", "asynchronous"] as const) {
  test(`measure that is switched off and on again amid a ${style} call counts nothing from before`, () =>
    withFakeClock(async (fake) => {
      let calls = 0;
      const switching = (it: Connection) => {
        echo(it);
        calls += 1;
        if (calls !== 2) return;
        configure({ measure: false });
        fake.block(600_000); // ten minutes that nobody measures
        configure({ measure: true });
        fake.block(0.1);
      };
      const onRequest = style === "synchronous" ? switching : async (it: Connection) => {
        switching(it);
        await Promise.resolve();
      };
      const { latency } = await measured(onRequest, 4);
      assertEquals(calls, 4);
      const { handler, wait, turn, gap } = latency!;
      assertEquals([handler.count, wait.count], [2, 2]);
      const longest = Math.max(...[handler, wait, turn, gap].map(({ maxMicros }) => maxMicros));
      assert(longest < 1000, JSON.stringify(latency));
    }));
}

test("prometheus() has measured times as histograms in seconds", async () => {
  const text = prometheus(
    await measured((it) => {
      echo(it);
      for (const end = performance.now() + 2; performance.now() < end;);
    }, 5),
  );
  for (const name of ["handler", "queue_wait", "turn", "turn_gap"]) {
    const full = `netpoll_${name}_seconds`;
    assert(text.includes(`# TYPE ${full} histogram\n`), full);
    const counts = [...text.matchAll(new RegExp(`^${full}_bucket\\{le="(.*)"\\} (.*)$`, "gm"))];
    assertEquals(counts.length, 22);
    const numbers = counts.map(([, , count]) => Number(count));
    assertEquals(numbers, numbers.toSorted((a, b) => a - b));
    assertEquals(counts.at(-1)![1], "+Inf");
    assertEquals(Number(new RegExp(`^${full}_count (.*)$`, "m").exec(text)![1]), numbers.at(-1));
  }
  assertEquals(/^netpoll_handler_seconds_bucket\{le="0.001"\} (.*)$/m.exec(text)![1], "0");
  assertEquals(/^netpoll_handler_seconds_count (.*)$/m.exec(text)![1], "5");
  assert(Number(/^netpoll_handler_seconds_sum (.*)$/m.exec(text)![1]) >= 0.01);
});
