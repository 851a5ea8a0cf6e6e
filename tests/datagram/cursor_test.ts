import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import {
  ClosedError,
  createDatagramSocket,
  type Datagram,
  type DatagramNetwork,
  type DatagramReply,
  type Datagrams,
  type DatagramSocket,
  dialDatagram,
  packPeer,
  unpackPeer,
} from "../../mod.ts";
import { Arena } from "../../src/datagram/arena.ts";
import { RECORD_WORDS, Word } from "../../src/datagram/record.ts";
import { bound, bytes, dialled, echo, texts } from "../support/datagrams.ts";
import { soon, ticks, until } from "../support/until.ts";

test("datagrams has a count, at() and a loop, over one cursor", async () => {
  await using server = bound();
  await using client = await dialled(server);
  for (const text of ["a", "bb", "", "dddd"]) client.write(bytes(text));
  await client.flush();
  await server.wait();
  const { datagrams } = server;
  assertEquals(datagrams.count, 4);
  assertEquals(datagrams.at(3).length, 4);
  assertEquals(datagrams.at(1).length, 2);
  for (const wrong of [-1, 4, 0.5, NaN]) assertThrows(() => datagrams.at(wrong), RangeError);
  assertEquals([...datagrams].length, 4);
  const seen = new Set<Datagram>();
  const lengths: number[] = [];
  for (const datagram of datagrams) {
    seen.add(datagram);
    lengths.push(datagram.length);
  }
  assertEquals([seen.size, lengths], [1, [1, 2, 0, 4]]);
  server.release();
});

test("each loop goes through all datagrams, nested, begun anew, and begun twice at a time", async () => {
  await using server = bound();
  await using client = await dialled(server);
  const sent = ["a", "bb", "", "dddd"];
  for (const text of sent) client.write(bytes(text));
  await client.flush();
  await server.wait();
  const lengths = sent.map((text) => text.length);
  const { datagrams } = server;
  const all = () => Array.from(datagrams, ({ length }) => length);
  const outer: number[] = [];
  for (const datagram of datagrams) {
    outer.push(datagram.length);
    assertEquals(all(), lengths);
    datagrams.at(3);
  }
  assertEquals(outer, lengths);
  for (const _ of datagrams) break;
  assertEquals(all(), lengths);
  const [one, two] = [datagrams[Symbol.iterator](), datagrams[Symbol.iterator]()];
  const taken = lengths.map(() => [one.next().value.length, two.next().value.length]);
  assertEquals(taken, lengths.map((length) => [length, length]));
  assertEquals([one.next().done, two.next().done], [true, true]);
});

test("a loop ends with its datagrams: when they are given back, and when others come", async () => {
  await using server = bound();
  await using client = await dialled(server);
  const found: number[] = [];
  for (const give of [() => server.release(), () => server.wait()]) {
    for (const text of ["a", "bb", "ccc"]) client.write(bytes(text));
    await client.flush();
    await server.wait();
    client.write(bytes("next"));
    await client.flush();
    for (const datagram of server.datagrams) {
      found.push(datagram.length);
      await give();
    }
  }
  assertEquals(found, [1, 4]);
});

for (const move of ["at(0)", "a loop"]) {
  test(`a handler hears each datagram once, wherever it moves the cursor: ${move}`, async () => {
    const heard: string[] = [];
    const failed: string[] = [];
    const done = Promise.withResolvers<void>();
    await using server = bound({
      receiveCountMax: 64,
      onDatagram(datagram) {
        heard.push(Buffer.from(datagram.bytes).toString());
        if (heard.length >= 5) done.resolve();
        if (heard.length > 5) throw new Error("heard again");
        const { datagrams } = server;
        if (move === "at(0)") datagrams.at(0);
        else for (const _ of datagrams);
        throw new Error(heard.at(-1));
      },
      onError: (error) => void failed.push((error as Error).message),
    });
    await using client = await dialled(server);
    server.pauseRead();
    for (let i = 0; i < 5; i++) client.write(bytes(`d${i}`));
    await client.flush();
    server.resumeRead();
    await soon(done.promise);
    await ticks(2);
    assertEquals(heard, ["d0", "d1", "d2", "d3", "d4"]);
    assertEquals(failed, heard);
  });
}

test("a datagram says who it is from, packed, as a key and as an address", async () => {
  for (const network of ["udp4", "udp6"] as const) {
    await using server = bound({}, network);
    await using client = await dialled(server);
    client.write(bytes("x"));
    await client.flush();
    await server.wait();
    const datagram = server.datagrams.at(0);
    assertEquals(datagram.remoteAddress, client.localAddress);
    assertEquals(datagram.localAddress, server.localAddress);
    assertEquals(unpackPeer(datagram.peer), client.localAddress);
    assertEquals(datagram.peer, packPeer(client.localAddress));
    assertEquals(typeof datagram.peerKey, network === "udp4" ? "number" : "string");
    assertEquals([datagram.ecn, datagram.receivedMicros], [0, 0]);
    server.release();
  }
});

test("a datagram that is over says so, whichever member of it is used", async () => {
  let kept: Datagram | null = null;
  let all: Datagrams | null = null;
  const { promise, resolve } = Promise.withResolvers<void>();
  await using server = bound({
    onDatagrams(datagrams) {
      kept = datagrams.at(0);
      all = datagrams;
      resolve();
    },
  });
  await using client = await dialled(server);
  client.write(bytes("x"));
  await client.flush();
  await soon(promise);
  const datagram = kept as Datagram | null;
  assert(datagram !== null);
  for (
    const use of [
      () => datagram.bytes,
      () => datagram.length,
      () => datagram.peer,
      () => datagram.localAddress,
      () => datagram.reply(bytes("late")),
      () => datagram.replyLater(),
      () => datagram.slice(),
    ]
  ) assertThrows(use, TypeError, "take slice()");
  assertEquals((all as Datagrams | null)!.count, 0);
});

/** Sockets of every address, and addresses of this machine that each is asked at. */
const WILDCARDS: readonly [DatagramNetwork, readonly string[]][] = [
  ["udp4", ["127.0.0.9", "127.0.0.1"]],
  ["udp6", ["[::1]"]],
  ["udp", ["127.0.0.9", "[::1]"]],
];

for (const [network, hosts] of WILDCARDS) {
  test(`localAddress is the one that was asked, and reply() comes from there: ${network}`, async () => {
    const locals: string[] = [];
    await using wide = createDatagramSocket(network, ":0", {
      onDatagram(datagram) {
        const { hostname } = datagram.localAddress;
        locals.push(hostname.includes(":") ? `[${hostname}]` : hostname);
        datagram.reply(datagram.bytes);
      },
    });
    for (const host of hosts) {
      const at = `${host}:${wide.localAddress.port}`;
      await using client = await dialDatagram("udp", at, { readTimeoutMs: 3000 });
      client.write(bytes(host));
      await client.flush();
      assertEquals(await texts(client, 1), [host]); // connected, it hears nobody else
    }
    assertEquals(locals, hosts);
  });
}

for (const [network, hosts] of WILDCARDS) {
  test(`replyLater() answers from there when the datagram is over: ${network}`, async () => {
    const replies: [text: string, reply: DatagramReply][] = [];
    await using wide = createDatagramSocket(network, ":0", {
      onDatagram(datagram) {
        replies.push([Buffer.from(datagram.bytes).toString(), datagram.replyLater()]);
      },
    });
    const clients: DatagramSocket[] = [];
    for (const host of hosts) {
      const at = `${host}:${wide.localAddress.port}`;
      const client = await dialDatagram("udp", at, { readTimeoutMs: 3000 });
      clients.push(client);
      client.write(bytes(host));
      await client.flush();
    }
    await until(() => replies.length === hosts.length, "all have asked");
    for (const [text, reply] of replies) {
      for (const part of ["1", "2"]) assertEquals(reply(bytes(text + part)), true);
    }
    await wide.flush();
    for (const [i, client] of clients.entries()) {
      assertEquals(await texts(client, 2), [`${hosts[i]}1`, `${hosts[i]}2`]);
      await client.close();
    }
    assertThrows(() => replies[0]![1](new Uint8Array(65_528)), RangeError);
    await wide.close();
    assertThrows(() => replies[0]![1](bytes("x")), ClosedError);
  });
}

test("replyLater() in the handler of another socket leaves without flush()", async () => {
  await using origin = echo();
  let reply: DatagramReply;
  await using upstream = await dialled(origin, { onDatagram: ({ bytes }) => void reply(bytes) });
  await using server = bound({
    onDatagram(datagram) {
      reply = datagram.replyLater();
      upstream.write(datagram.bytes);
    },
  });
  await using client = await dialled(server);
  client.write(bytes("forwarded"));
  await client.flush();
  assertEquals(await texts(client, 1), ["forwarded"]);
});

test("ecn and receivedMicros are told where they are asked for", async () => {
  for (const network of ["udp4", "udp6"] as const) {
    await using server = bound({ ecn: true, timestamps: true }, network);
    await using client = await dialled(server, { typeOfService: 0xb8 });
    for (const ecn of [0, 1, 2, 3]) client.write(bytes("x"), { ecn });
    await client.flush();
    const found: number[] = [];
    let isWholeSeconds = true;
    while (found.length < 4) {
      await server.wait();
      for (const datagram of server.datagrams) {
        found.push(datagram.ecn);
        isWholeSeconds &&= datagram.receivedMicros % 1_000_000 === 0;
        assert(Math.abs(datagram.receivedMicros / 1000 - Date.now()) < 60_000);
      }
    }
    assertEquals([found, isWholeSeconds], [[0, 1, 2, 3], false]);
    server.release();
  }
});

test("ecn of a write is sent to IPv4 that is mapped into IPv6, too", async () => {
  await using server = bound({ ecn: true, readTimeoutMs: 3000 });
  const mapped = `[::ffff:127.0.0.1]:${server.localAddress.port}`;
  await using both = createDatagramSocket("udp", ":0");
  both.writeTo(packPeer(mapped), bytes("x"), { ecn: 2 });
  await both.flush();
  await server.wait();
  assertEquals(server.datagrams.at(0).ecn, 2);
  await using client = await dialDatagram("udp", mapped);
  client.write(bytes("x"), { ecn: 1 });
  await client.flush();
  await server.wait();
  assertEquals(server.datagrams.at(0).ecn, 1);
  server.release();
});

test("ecn of a write leaves the rest of typeOfService as it is", async () => {
  await using server = bound({ ecn: true });
  await using client = await dialled(server, { typeOfService: 0xb8 });
  for (const options of [{ ecn: 2 }, {}]) client.write(bytes("x"), options);
  await client.flush();
  const arena = new Arena();
  arena.join();
  assertEquals(arena.receive(server.fd, 2), 2);
  const services = [0, RECORD_WORDS].map((at) => arena.table[at + Word.FLAGS]! >>> 8 & 0xff);
  assertEquals(services, [0xba, 0xb8]);
  arena.done(2);
  arena.leave();
});
