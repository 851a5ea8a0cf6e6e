import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { metrics } from "../../mod.ts";
import { bound, bytes, dialled, echo, texts } from "../support/datagrams.ts";

test("metrics() counts datagrams, bytes and the messages that they were", async () => {
  await using server = echo();
  await using client = await dialled(server);
  for (let i = 0; i < 10; i++) client.write(bytes("0123456789"));
  await client.flush();
  assertEquals((await texts(client, 10)).length, 10);
  const [ours, theirs] = [client.metrics(), server.metrics()];
  assertEquals([ours.sent.count, ours.sent.bytes, ours.sent.messages], [10, 100, 1]);
  assertEquals([theirs.received.count, theirs.received.bytes, theirs.received.messages], [
    10,
    100,
    1,
  ]);
  assertEquals([theirs.sent.count, theirs.sent.messages, ours.received.count], [10, 1, 10]);
  assertEquals([ours.localAddress, ours.remoteAddress], [
    client.localAddress,
    client.remoteAddress,
  ]);
  assertEquals(ours.queued, { count: 0, bytes: 0 });
  assert(ours.received.bufferedBytesMax > 0);
});

test("metrics() tells at once what the kernel has dropped, and of all sockets after they closed", async () => {
  const before = metrics().datagrams.droppedByKernel;
  await using server = bound({ receiveBufferBytes: 4096 });
  await using client = await dialled(server, { segmentation: "off" });
  for (let i = 0; i < 500; i++) client.write(bytes("x"));
  await client.flush();
  const { droppedByKernel, bufferedBytes } = server.metrics().received;
  assert(droppedByKernel > 0 && bufferedBytes > 0);
  let count = 0;
  while (count + droppedByKernel < 500) {
    await server.wait();
    count += server.datagrams.count;
  }
  assertEquals(count + server.metrics().received.droppedByKernel, 500);
  server.release();
  const { droppedByKernel: dropped } = server.metrics().received;
  assertEquals(metrics().datagrams.droppedByKernel, before + dropped);
  await server.close();
  assertEquals(server.metrics().received.droppedByKernel, dropped);
  assertEquals(metrics().datagrams.droppedByKernel, before + dropped);
});

test("metrics() of a closed socket has its counts, and no memory", async () => {
  const server = bound();
  const client = await dialled(server);
  client.write(bytes("x"));
  await client.close();
  assertEquals(client.metrics().sent.count, 1);
  assertEquals(client.metrics().received.bufferedBytesMax, 0);
  await server.close();
});

test("pathMtuBytes is what the kernel knows of the path of a connected socket", async () => {
  for (const network of ["udp4", "udp6"] as const) {
    await using server = echo({}, network);
    await using client = await dialled(server);
    assert(client.metrics().pathMtuBytes >= 1280);
    assertEquals(server.metrics().pathMtuBytes, 0);
  }
});
