import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  createDatagramSocket,
  dialDatagram,
  NetpollError,
  packPeer,
  SystemError,
} from "../../mod.ts";
import { bound, bytes, dialled, echo, textOf, texts } from "../support/datagrams.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { ticks } from "../support/until.ts";

test("dialDatagram() connects, by number and by name, and hears its peer alone", async () => {
  await using server = echo();
  const { port } = server.localAddress;
  for (const at of [`127.0.0.1:${port}`, `localhost:${port}`, `:${port}`]) {
    await using client = await dialDatagram("udp4", at, { readTimeoutMs: 3000 });
    assertEquals(client.remoteAddress, server.localAddress);
    await using stranger = bound();
    stranger.writeTo(packPeer(client.localAddress), bytes("stranger"));
    await stranger.flush();
    client.write(bytes(at));
    await client.flush();
    assertEquals(await texts(client, 1), [at]);
    await ticks(3);
    assertEquals(client.metrics().received.count, 1);
  }
});

test("dialDatagram() uses the local address that it is given", async () => {
  await using server = echo();
  await using client = await dialled(server, { localAddress: "127.0.0.7:0" });
  assertEquals(client.localAddress.hostname, "127.0.0.7");
  await assertRejects(() => dialled(server, { localAddress: "name:0" }), TypeError);
});

test("dialDatagram() rejects what it does not know, and leaves nothing", async () => {
  await leaks(async () => {
    const dial = dialDatagram as (...given: unknown[]) => Promise<unknown>;
    await assertRejects(() => dial("tcp", "127.0.0.1:1"), TypeError);
    await assertRejects(() => dial("udp", "127.0.0.1:0"), TypeError, "port 0");
    await assertRejects(() => dial("udp", "127.0.0.1:1", { timeoutMs: 1 }), TypeError, "Unknown");
    await assertRejects(() => dial("udp", "127.0.0.1:1", { signal: 1 }), TypeError);
    await assertRejects(() => dial("udp4", "[::1]:1"), NetpollError);
    await assertRejects(() => dial("udp", "nowhere.invalid:1"), NetpollError, "nowhere.invalid");
    const signal = AbortSignal.abort(new Error("enough"));
    await assertRejects(() => dial("udp", "127.0.0.1:1", { signal }), Error, "enough");
  });
});

faultTest("dialDatagram() leaves nothing behind, whatever fails on the way", async () => {
  await leaks(async () => {
    for (const call of ["socket", "setsockopt", "connect", "sockname", "epollCtl"] as const) {
      failWith(call, 12);
      await assertRejects(() => dialDatagram("udp4", "127.0.0.1:9"), SystemError);
    }
  });
});

test("a connected socket can have a handler, too", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  await using server = createDatagramSocket("udp4", "127.0.0.1:0", {
    onDatagram: (datagram) => void datagram.reply(datagram.bytes),
  });
  await using client = await dialDatagram("udp4", textOf(server), {
    onDatagram: ({ bytes }) => resolve(new TextDecoder().decode(bytes)),
  });
  client.write(bytes("answered"));
  await client.flush();
  assertEquals(await promise, "answered");
});

test("dialDatagram() takes v6Only, for which its peer is one of IPv6", async () => {
  await using server = echo({}, "udp6");
  await using client = await dialled(server, { v6Only: true });
  client.write(bytes("x"));
  await client.flush();
  assertEquals(await texts(client, 1), ["x"]);
});
