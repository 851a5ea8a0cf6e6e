import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { CLOSED, LinkChain } from "../../src/buffer/link_chain.ts";
import { packAddress, parsePath, rawFromNumeric } from "../../src/net/address.ts";
import { socketTransport } from "../../src/transport/descriptor.ts";
import { FIRST_SIZE } from "../../src/transport/read_size.ts";
import { receive, send } from "../../src/transport/transport.ts";
import {
  sendWith,
  takeArrived,
  transportTo,
  unixTransport,
} from "../../src/transport/unix_transport.ts";
import { leaks } from "../support/leaks.ts";

test("transportTo() takes descriptors where the other end is a Unix socket", () => {
  assertEquals(transportTo(packAddress(parsePath("/a"))), unixTransport);
  assertEquals(transportTo(packAddress(parsePath("@a"))), unixTransport);
  for (const hostname of ["127.0.0.1", "::1"]) {
    assertEquals(transportTo(packAddress(rawFromNumeric(hostname, 1))), socketTransport);
  }
  assertEquals(transportTo(null), socketTransport);
});

test("a Unix socket's transport sends no byte of a parcel before it, and nothing twice", () =>
  leaks(() => {
    const pair = new Int32Array(2);
    assertEquals(native.socketpair(pair), 0);
    const [from, to] = [pair[0]!, pair[1]!];
    const [output, input] = [new LinkChain(), new LinkChain()];
    output.copyIn(new Uint8Array(10));
    output.publish();
    sendWith(from, 4, Int32Array.of(native.eventfd()));
    sendWith(from, 7, Int32Array.of(native.eventfd(), native.eventfd()));
    const steps = [];
    while (output.length > 0) steps.push(send(unixTransport, from, output));
    assertEquals(steps, [4, 3, 3]);
    assertEquals(takeArrived(to), null);
    // The kernel ends a read behind descriptors, and not before them.
    assertEquals(receive(unixTransport, to, input, FIRST_SIZE, 0), 7);
    const first = takeArrived(to)!;
    assertEquals([first.fds.length, first.loss, takeArrived(to)], [1, null, null]);
    assertEquals(receive(unixTransport, to, input, FIRST_SIZE, 0), 3);
    const second = takeArrived(to)!;
    assertEquals(second.fds.length, 2);
    for (const fd of [...first.fds, ...second.fds]) native.close(fd);
    input.close(CLOSED);
    output.close(CLOSED);
    unixTransport.close(from);
    unixTransport.close(to);
  }));
