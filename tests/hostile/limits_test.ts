import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { type Connection, createListener, dial, EventLoop, metrics } from "../../mod.ts";
import { until } from "../support/until.ts";

const MiB = 1 << 20;

/** So many connections as a test may have, each with two ends. */
function affordable(count: number): number {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  return Math.min(count, Math.floor((Number(limit?.[1]) - 200) / 2));
}

async function echo64({ reader, writer }: Connection): Promise<void> {
  await reader.wait(64);
  writer.writeBinary(reader.next(64));
  await writer.flush();
  reader.release();
}

test("bytesPerSecondMin closes 1000 slow peers, and honest ones beside them are served", async () => {
  const slowCount = affordable(1000);
  const listener = createListener("tcp", "127.0.0.1:0");
  const loop = new EventLoop(echo64, {
    limits: { connection: { bytesPerSecondMin: 200, graceMs: 1000 } },
  });
  const served = loop.serve(listener);
  const before = metrics().timeouts.rate;
  const honest = await Promise.all(
    Array.from({ length: 10 }, () => dial("tcp", listener.address)),
  );
  const slow: Connection[] = [];
  while (slow.length < slowCount) slow.push(await dial("tcp", listener.address));
  for (const each of slow) {
    each.writer.writeByte(1);
    await each.writer.flush();
  }
  let answers = 0;
  const isOver = () => metrics().timeouts.rate - before === slowCount;
  const serveAll = Promise.all(honest.map(async ({ reader, writer }) => {
    while (!isOver()) {
      writer.writeBinary(new Uint8Array(64));
      await writer.flush();
      await reader.wait(64);
      reader.skip(64);
      reader.release();
      answers += 1;
    }
  }));
  await until(isOver, "all slow ones are closed");
  await serveAll;
  assert(answers > honest.length, `${answers} answers`);
  assertEquals(loop.connectionCount, honest.length);
  for (const each of [...slow, ...honest]) each.reset();
  await loop.shutdown({ timeoutMs: 0 });
  await served;
});

test("memoryBytesMax holds what deaf peers ask for, 1 GiB, and what others send", async () => {
  const bytesMax = 32 * MiB;
  const listener = createListener("tcp", "127.0.0.1:0");
  const chunk = new Uint8Array(64 * 1024);
  const loop = new EventLoop(async ({ reader, writer }) => {
    const chunks = reader.readUint32BE();
    reader.release();
    // It does not wait, as a server that was written without care.
    for (let i = 0; i < chunks; i++) {
      writer.writeBinary(chunk, { copy: true });
      void writer.flush();
      if (i % 16 === 15) await new Promise((resolve) => setTimeout(resolve));
    }
  }, { limits: { memoryBytesMax: bytesMax } });
  const served = loop.serve(listener);
  const before = metrics().limits.memoryCloses;
  const residentBefore = process.memoryUsage().rss;
  const deaf = await Promise.all(Array.from({ length: 4 }, () => dial("tcp", listener.address)));
  for (const each of deaf) {
    each.pauseRead();
    each.writer.writeUint32BE(1024 * MiB / chunk.length);
    await each.writer.flush();
  }
  let most = 0;
  await until(() => {
    most = Math.max(most, loop.metrics().heldBytes);
    return metrics().limits.memoryCloses > before;
  }, "one is closed");
  const grown = process.memoryUsage().rss - residentBefore;
  // Between two looks a handler that does not wait makes a MiB for each of them.
  assert(most <= 2 * bytesMax + 8 * MiB, `${most / MiB} MiB were held`);
  assert(grown < 6 * bytesMax, `${grown / MiB} MiB more are resident`);
  for (const each of deaf) each.reset();
  await loop.shutdown({ timeoutMs: 0 });
  await served;
});
