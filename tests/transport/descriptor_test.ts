import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { fileTransport, onlyWay, socketTransport } from "../../src/transport/descriptor.ts";
import { leaks } from "../support/leaks.ts";

test("onlyWay() tells which end of a pipe it is, and null of what is open both ways", () =>
  leaks(() => {
    const pipe = new Int32Array(2);
    assertEquals(native.pipe(pipe), 0);
    const [reading, writing] = pipe as unknown as [number, number];
    const both = native.eventfd();
    assertEquals([reading, writing, both].map(onlyWay), ["reading", "writing", null]);
    for (const fd of [reading, writing, both]) native.close(fd);
  }));

test("a socket's transport tells what can be received, ends its side, and closes", () =>
  leaks(() => {
    const pair = new Int32Array(2);
    assertEquals(native.socketpair(pair), 0);
    const [ours, peer] = pair as unknown as [number, number];
    const io = socketTransport;
    assertEquals([io.unreadBytes(ours), io.unackedBytes(peer)], [0, 0]);
    assertEquals(native.sendBorrowed(peer, new Uint8Array(5), 5, 0, 5, 0), 5);
    assertEquals(io.unreadBytes(ours), 5);
    assertEquals(io.failure(ours), null);
    assertEquals(io.tcp(ours), null);
    io.shutdownWrite(ours);
    assertEquals(native.sendBorrowed(ours, new Uint8Array(5), 5, 0, 5, 0), -ERRNO.EPIPE);
    io.close(ours);
    assertEquals(native.sendBorrowed(peer, new Uint8Array(5), 5, 0, 5, 0), -ERRNO.EPIPE);
    io.close(peer);
  }));

test("zero copy is for sockets; every descriptor is plain, and holds nothing back", () => {
  assertEquals([socketTransport.canPin, fileTransport.canPin], [true, false]);
  for (const io of [socketTransport, fileTransport]) {
    assertEquals([io.isPlain, io.holdsBytes, io.hasPending(0)], [true, false, false]);
  }
});
