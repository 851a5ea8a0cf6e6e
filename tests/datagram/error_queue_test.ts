import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { packPeer } from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { takeQueuedErrors } from "../../src/datagram/error_queue.ts";
import type { PackedAddress } from "../../src/net/address.ts";
import { bound, bytes, DEAD_ADDRESS } from "../support/datagrams.ts";
import { tick } from "../support/until.ts";

test("takeQueuedErrors() tells of each error of the network once, with its peer", async () => {
  const peers = [DEAD_ADDRESS, "127.0.0.2:1"].map((at) => packPeer(at));
  await using socket = bound({ reportUnreachable: true, onError() {} });
  await tick(); // outside of a turn, in which a flush would leave later
  for (const peer of peers) socket.writeTo(peer, bytes("x"));
  const flushed = socket.flush();
  const told: [number, PackedAddress][] = [];
  const owner = {
    fd: socket.fd,
    onQueuedError: (...what: [number, PackedAddress]) => void told.push(what),
  };
  assertEquals([takeQueuedErrors(owner), takeQueuedErrors(owner)], [2, 0]);
  assertEquals(told, peers.map((peer) => [ERRNO.ECONNREFUSED, peer]));
  assertEquals(takeQueuedErrors({ ...owner, fd: -1 }), 0);
  await flushed;
});
