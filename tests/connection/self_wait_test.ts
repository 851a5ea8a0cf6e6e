import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { type Connection, type EventLoopOptions, pipe } from "../../mod.ts";
import { pairWith, receive, send, tcpPair } from "../support/pair.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";
import { ending, type EndingServer, type Way, WAYS } from "../support/ways_to_end.ts";

/** Longer than `closed` is held back from a callback that may wait for it. */
const SELF_WAIT_MS = 1100;

/** The peer ends its side, too: how a connection comes to its end. */
const ENDS: readonly { name: string; way: Way; isPeers: boolean }[] = [
  { name: "the peer has ended its side", way: WAYS[1]!, isPeers: true },
  ...WAYS.map((way) => ({ name: way.name, way, isPeers: false })),
];

/** The two callbacks that keep a connection open. */
const CALLBACKS = ["onConnect", "onRequest"] as const;

async function end(ends: EndingServer, peer: RawPeer, isPeers: boolean): Promise<void> {
  if (isPeers) peer.end();
  else await ends.end();
}

for (const { name, way, isPeers } of ENDS) {
  for (const callback of CALLBACKS) {
    test(`SelfWait settles \`closed\` for ${callback} that awaits it, when ${name}`, () => {
      let [begun, over] = [0, 0];
      const run = async (connection: Connection) => {
        begun += 1;
        if (callback === "onRequest") connection.reader.skip(1);
        await connection.closed.catch(() => {});
        over += 1;
        return undefined;
      };
      const isConnect = callback === "onConnect";
      const options: EventLoopOptions = isConnect ? { onConnect: run } : {};
      return ending(way, isConnect ? ({ reader }) => reader.skip(1) : run, async (ends) => {
        using peer = new RawPeer(ends.server.listener);
        peer.send("x");
        await until(() => begun === 1, callback);
        await end(ends, peer, isPeers);
        await ends.fake.advance(SELF_WAIT_MS);
        await until(() => peer.isOver, "the end");
        await until(() => over === 1, "the callback goes on");
        assertEquals(await ends.over(), 0);
      }, options);
    });
  }

  test(`SelfWait takes nothing from a handler that only asked for \`closed\`, when ${name}`, () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let isTold = false;
    return ending(way, async (connection) => {
      connection.closed.finally(() => isTold = true);
      connection.reader.skip(1);
      connection.reader.release();
      await promise;
      connection.writer.writeString("answer");
      await connection.writer.flush();
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("x");
      await until(() => ends.connections[0]?.metrics().receivedBytes === 1, "a request");
      await end(ends, peer, isPeers);
      await ends.fake.advance(SELF_WAIT_MS / 2);
      assert(!isTold, "it may be nearly done");
      await ends.fake.advance(SELF_WAIT_MS);
      assert(isTold);
      resolve();
      assertEquals(await peer.receiveAll(), "answer");
      assertEquals(await ends.over(), 0);
    });
  });

  test(`close() can be awaited in every callback, when ${name}`, () => {
    const told: string[] = [];
    const run = (callback: string) => async (connection: Connection) => {
      await connection.close();
      await connection.closed;
      told.push(callback);
      return undefined;
    };
    return ending(way, run("onRequest"), async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("x");
      await end(ends, peer, isPeers);
      await until(() => peer.isOver, "the end");
      await until(() => ends.server.loop.connectionCount === 0, "it goes");
      assertEquals(told, ["onRequest"]);
      await ends.over();
    });
  });
}

test("SelfWait leaves `closed` alone while its connection is open", () =>
  ending(WAYS[0]!, async (connection) => {
    connection.reader.skip(1);
    await connection.closed;
  }, async (ends) => {
    using peer = new RawPeer(ends.server.listener);
    peer.send("x");
    await until(() => ends.connections[0]?.metrics().receivedBytes === 1, "a request");
    await ends.fake.advance(3 * SELF_WAIT_MS);
    assertEquals(await stateOf(ends.connections[0]!.closed), "pending");
    assertEquals(peer.isOver, false);
    await ends.end();
    await ends.fake.advance(SELF_WAIT_MS);
    assertEquals(await ends.over(), 0);
  }));

test("SelfWait is not concerned with a pipe, which waits for both ends", async () => {
  const [a, client] = await tcpPair();
  const [b, server] = pairWith();
  const piped = pipe(a, b);
  void a.closed;
  await client.closeWrite();
  await ticks(5);
  await send(server, "late");
  assertEquals(await soon(receive(client, 4)), "late");
  await server.close();
  assertEquals(await soon(piped), { aToB: 0, bToA: 4 });
  await client.close();
});
