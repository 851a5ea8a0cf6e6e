import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  ClosedError,
  createDatagramSocket,
  type Datagram,
  type DatagramSocket,
  packPeer,
} from "../../mod.ts";
import { bound, bytes, dialled, textOf } from "../support/datagrams.ts";
import { byText, reachable } from "../support/reachable.ts";
import { until } from "../support/until.ts";

test("a socket has the members that its type declares, and no others", async () => {
  const shape: { readonly [name in keyof DatagramSocket]-?: 1 } = {
    fd: 1,
    localAddress: 1,
    remoteAddress: 1,
    wait: 1,
    datagrams: 1,
    release: 1,
    pauseRead: 1,
    resumeRead: 1,
    isReadPaused: 1,
    write: 1,
    writeTo: 1,
    mallocTo: 1,
    mallocAck: 1,
    writeTrain: 1,
    flush: 1,
    queuedCount: 1,
    queuedBytes: 1,
    isWritable: 1,
    joinGroup: 1,
    leaveGroup: 1,
    metrics: 1,
    ref: 1,
    unref: 1,
    close: 1,
    closed: 1,
    [Symbol.dispose]: 1,
    [Symbol.asyncDispose]: 1,
  };
  await using socket = bound();
  assertEquals(reachable(socket), Reflect.ownKeys(shape).sort(byText));
  assertEquals(Reflect.ownKeys(socket), []);
});

test("a datagram and a batch have the members that their types declare, and no others", async () => {
  const ofDatagram: { readonly [name in keyof Datagram]-?: 1 } = {
    bytes: 1,
    length: 1,
    peer: 1,
    peerKey: 1,
    remoteAddress: 1,
    localAddress: 1,
    ecn: 1,
    receivedMicros: 1,
    reply: 1,
    replyLater: 1,
    slice: 1,
  };
  const ofDatagrams = { count: 1, at: 1, [Symbol.iterator]: 1 };
  let checked = 0;
  const check = (object: object, shape: object) => {
    assertEquals(reachable(object), Reflect.ownKeys(shape).sort(byText));
    assertEquals(Reflect.ownKeys(object), []);
    checked += 1;
  };
  await using server = bound({
    onDatagrams(this: unknown, datagrams) {
      check(datagrams, ofDatagrams);
      check(datagrams.at(0), ofDatagram);
      assertEquals(this, undefined);
      checked += 1;
    },
  });
  await using client = await dialled(server);
  client.write(bytes("x"));
  await client.flush();
  await until(() => checked === 3, "all are checked");
});

test("write() is for a connected socket, writeTo() for the others, of its own family", async () => {
  await using server = bound();
  await using client = await dialled(server);
  assertThrows(() => server.write(bytes("x")), TypeError, "not connected");
  assertThrows(() => server.mallocTo(null, 1), TypeError, "not connected");
  assertThrows(() => client.writeTo(packPeer("127.0.0.1:1"), bytes("x")), TypeError, "use write");
  assertThrows(() => server.writeTo(packPeer("[::1]:1"), bytes("x")), TypeError, "one of IPv4");
  await using six = bound({}, "udp6");
  assertThrows(() => six.writeTo(packPeer("127.0.0.1:1"), bytes("x")), TypeError, "v6Only");
  await using both = createDatagramSocket("udp", "[::]:0", { v6Only: false });
  assertEquals(both.writeTo(packPeer(server.localAddress), bytes("x")), true);
  assertThrows(() => server.writeTo("127.0.0.1:1" as never, bytes("x")), TypeError, "packed");
  assertThrows(() => server.writeTo(null as never, bytes("x")), TypeError, "packed");
});

test("everything that writes throws once the socket is closed", async () => {
  const server = bound();
  const at = packPeer(textOf(server));
  await server.close();
  for (
    const use of [
      () => server.writeTo(at, bytes("x")),
      () => server.mallocTo(at, 1),
      () => server.mallocAck(0),
      () => server.writeTrain(at, bytes("x"), 1),
    ]
  ) assertThrows(use, ClosedError);
  server.release();
  server.pauseRead();
  server.resumeRead();
  assertEquals([server.fd, server.isWritable, server.queuedCount, server.queuedBytes], [
    -1,
    false,
    0,
    0,
  ]);
  assertEquals(server.localAddress.port > 0, true);
});
