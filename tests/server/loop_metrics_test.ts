import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { createListener, EventLoop, metrics } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echo, serve } from "../support/serve.ts";
import { soon, until } from "../support/until.ts";

test("EventLoop.metrics() counts what came, and looks at connections when asked", () =>
  leaks(async () => {
    const { loop, listener, served } = serve(echo);
    const before = metrics().connections.accepted;
    using first = new RawPeer(listener);
    using second = new RawPeer(listener);
    for (const peer of [first, second]) {
      peer.send("hello");
      await peer.receive(5);
    }
    const { accepted, connectionCount, refused, connections } = loop.metrics();
    assertEquals([accepted, connectionCount, refused, connections], [2, 2, 0, []]);
    assertEquals(metrics().connections.accepted - before, 2);
    assertEquals(loop.metrics({ listedMax: 1 }).connections.length, 1);
    assertEquals(loop.metrics({ connectionsMax: 1 }).connections.length, 1); // the old name
    const each = loop.metrics({ listedMax: 10 }).connections;
    assertEquals(each.map(({ receivedBytes, sentBytes }) => [receivedBytes, sentBytes]), [
      [5, 5],
      [5, 5],
    ]);
    first.close();
    await until(() => loop.metrics().connectionCount === 1, "one is gone");
    assertEquals(loop.metrics().accepted, 2);
    second.close();
    await loop.shutdown();
    await served;
    assertEquals(loop.metrics().listeners, []);
  }));

test("EventLoop.metrics() has its listeners, and who waits there", async () => {
  const { loop, listener, served } = serve(null, { connectionsMax: 1 });
  using first = new RawPeer(listener);
  await until(() => loop.connectionCount === 1, "one is open");
  using second = new RawPeer(listener);
  await until(() => loop.metrics().listeners[0]?.queue?.waitingCount === 1, "another waits");
  assertEquals(loop.metrics().listeners[0]!.address, listener.address);
  first.close();
  await until(() => loop.metrics().accepted === 2, "the other is taken");
  second.close();
  await soon(loop.shutdown());
  await served;
});

test("EventLoop.metrics() counts who was too many from one address", async () => {
  const { loop, listener, served } = serve(null, { connectionsPerAddressMax: 1 });
  const before = metrics().connections.refused;
  using first = new RawPeer(listener);
  await until(() => loop.connectionCount === 1, "one is open");
  using second = new RawPeer(listener);
  await until(() => loop.metrics().refused === 1, "the other is reset");
  assertEquals(loop.metrics().accepted, 1);
  assertEquals(metrics().connections.refused - before, 1);
  first.close();
  second.close();
  await soon(loop.shutdown());
  await served;
});

test("EventLoop.metrics() refuses a number of connections that is none", () => {
  const loop = new EventLoop(null);
  for (const most of [-1, 1.5, NaN]) {
    assertThrows(() => loop.metrics({ listedMax: most }), RangeError, "listedMax");
    assertThrows(() => loop.metrics({ connectionsMax: most }), RangeError, "connectionsMax");
  }
  using listener = createListener("unix", `@netpoll-metrics-${crypto.randomUUID()}`);
  void loop.serve(listener);
  assertEquals(loop.metrics({ listedMax: 0 }).listeners[0]!.queue, null);
  void loop.shutdown();
});
