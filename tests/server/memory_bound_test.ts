import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  createListener,
  dial,
  EventLoop,
  type EventLoopOptions,
  metrics,
  OverloadError,
} from "../../mod.ts";
import { until } from "../support/until.ts";

const MiB = 1 << 20;

/** A server, so many clients, and what is left of them afterwards. */
async function stage(
  onRequest: (connection: Connection) => void | Promise<void>,
  options: EventLoopOptions,
  count: number,
) {
  const listener = createListener("tcp", "127.0.0.1:0");
  const loop = new EventLoop(onRequest, options);
  const served = loop.serve(listener);
  const { address } = listener;
  const clients = await Promise.all(Array.from({ length: count }, () => dial("tcp", address)));
  await until(() => loop.connectionCount === count, "all are there");
  const end = async () => {
    for (const client of clients) client.reset();
    await loop.shutdown({ timeoutMs: 0 });
    await served;
  };
  return { loop, address, clients, end };
}

function flood(client: Connection, bytes: number): void {
  client.writer.writeBinary(new Uint8Array(bytes));
  client.writer.flush().catch(() => {});
}

test("memoryBytesMax holds a flood of messages in part within it, and lets small ones pass", async () => {
  let small = 0;
  const bytesMax = 4 * MiB;
  const { loop, clients, end } = await stage(
    async ({ reader, writer }) => {
      await reader.wait(1);
      const isLarge = reader.peek(1)[0] === 0;
      if (isLarge) await reader.wait(100 * MiB); // never there in full
      reader.skip(1);
      small += 1;
      writer.writeByte(1);
      await writer.flush();
      reader.release();
    },
    { limits: { memoryBytesMax: bytesMax } },
    20,
  );
  const before = metrics().limits;
  let most = 0;
  for (const client of clients.slice(1)) flood(client, 8 * MiB);
  const honest = clients[0]!;
  for (let i = 0; i < 200; i++) {
    honest.writer.writeByte(1);
    await honest.writer.flush();
    await honest.reader.wait(1);
    honest.reader.skip(1);
    honest.reader.release();
    most = Math.max(most, loop.metrics().heldBytes);
  }
  assertEquals(small, 200);
  await until(() => {
    most = Math.max(most, loop.metrics().heldBytes);
    return metrics().limits.memoryCloses > before.memoryCloses;
  }, "the largest are closed, since nothing else helps");
  assert(metrics().limits.memoryPauses > before.memoryPauses);
  assert(most <= 2 * bytesMax, `${most} bytes were held`);
  assert(honest.isActive);
  await end();
});

test("readTimeoutMs does not blame a peer whose bytes memoryBytesMax leaves in the kernel", async () => {
  const before = metrics();
  const bytes = 60_000;
  const { clients, end } = await stage(
    async ({ reader }) => {
      await reader.wait(bytes);
      reader.skip(bytes);
      reader.release();
    },
    {
      readBufferBytesMax: 64 << 10,
      readTimeoutMs: 200,
      limits: { memoryBytesMax: 256 << 10 },
    },
    12,
  );
  for (const client of clients) flood(client, bytes);
  // None of them can be there in full: their parts of the memory are smaller.
  await until(
    () => metrics().limits.memoryCloses > before.limits.memoryCloses,
    "the largest are closed, by the bound and not by the deadline",
  );
  assertEquals(metrics().timeouts.read, before.timeouts.read);
  await end();
});

test("memoryBytesMax closes deaf peers with an OverloadError, the largest first", async () => {
  const errors: unknown[] = [];
  const { loop, clients, end } = await stage(
    async ({ reader, writer, closed }) => {
      closed.catch((error) => errors.push(error));
      const bytes = reader.readUint32BE();
      reader.release();
      writer.malloc(bytes);
      await writer.flush().catch(() => {});
    },
    { limits: { memoryBytesMax: 16 * MiB }, writeBufferBytesMax: 64 * MiB },
    3,
  );
  for (const [i, client] of clients.entries()) {
    client.pauseRead();
    client.writer.writeUint32BE([1, 40, 6][i]! * MiB);
    await client.writer.flush();
  }
  await until(() => errors.length > 0, "one is closed");
  assertEquals(errors.length, 1);
  assert(errors[0] instanceof OverloadError && errors[0].heldBytes > 20 * MiB);
  assertEquals(loop.connectionCount, 2);
  await end();
});

test('memoryPolicy "refuse" leaves new connections in the queue until less is held', async () => {
  const released = Promise.withResolvers<void>();
  const { loop, address, clients, end } = await stage(
    async ({ reader }) => {
      await reader.wait(4 * MiB);
      await released.promise;
      reader.skip(reader.length);
      reader.release();
    },
    { limits: { memoryBytesMax: 3 * MiB, memoryPolicy: "refuse" } },
    1,
  );
  const before = metrics().limits.memoryHolds;
  flood(clients[0]!, 4 * MiB);
  await until(() => metrics().limits.memoryHolds > before, "it is too much");
  const late = await dial("tcp", address);
  clients.push(late);
  await until(
    () => loop.metrics().listeners[0]!.queue!.waitingCount === 1,
    "it waits in the queue",
  );
  assertEquals(loop.connectionCount, 1);
  released.resolve();
  await until(() => loop.connectionCount === 2, "it is taken");
  await end();
});
