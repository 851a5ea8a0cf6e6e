import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { SystemError, unpackPeer } from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import { nameOf, openSocket } from "../../src/datagram/open.ts";
import { rawFromNumeric } from "../../src/net/address.ts";
import { bound } from "../support/datagrams.ts";
import { leaks } from "../support/leaks.ts";

test("nameOf() is the address of a socket, packed", async () => {
  for (const network of ["udp4", "udp6"] as const) {
    await using socket = bound({}, network);
    assertEquals(unpackPeer(nameOf(socket.fd)), socket.localAddress);
  }
});

test("openSocket() closes the descriptor where it cannot be placed, and names the address", async () => {
  await leaks(() => {
    const raw = rawFromNumeric("127.0.0.1", 7);
    const given: unknown[] = [];
    const error = assertThrows(() => {
      openSocket(raw, {}, (fd, subject) => {
        given.push(fd >= 0, subject);
        throw new SystemError("bind", 98, subject);
      });
    }, SystemError);
    assertEquals(given, [true, "127.0.0.1:7"]);
    assertEquals([error.address, error.port], ["127.0.0.1", 7]);
    native.close(openSocket(raw, {}, () => {}));
  });
});
