/**
 * A program: makes calls of datagram sockets, and prints what the sandbox says to each.
 */
import process from "node:process";
import { createDatagramSocket, datagramPair, dialDatagram, packPeer } from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import { blocks } from "../../src/buffer/block.ts";
import { Family, rawFromNumeric } from "../../src/net/address.ts";
import { printVerdicts } from "./verdict.ts";

const nothing = new Uint8Array(0);

/** Sends nothing to a peer, from a socket of the one address that the test grants. */
async function send(
  target: string,
  how: (socket: ReturnType<typeof createDatagramSocket>, peer: ReturnType<typeof packPeer>) => void,
): Promise<void> {
  const socket = createDatagramSocket("udp", process.argv[3]!);
  try {
    how(socket, packPeer(target));
  } finally {
    await socket.close({ timeoutMs: 0 });
  }
}

/** A stranger asks, as one of another process would, whom no sandbox holds; the handler answers. */
async function reply(bound: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  await using server = createDatagramSocket("udp", bound, {
    onDatagram(datagram) {
      datagram.reply(nothing);
      resolve();
    },
    onError: reject,
  });
  const fd = native.datagramSocket(Family.IPV4);
  const block = blocks.take(1);
  native.connect(fd, rawFromNumeric("127.0.0.1", server.localAddress.port));
  native.send(fd, block.slab.id, block.offset, 1, 0);
  await promise;
  block.release();
  native.close(fd);
}

console.log(`terminal ${process.stdin.isTTY} ${process.stderr.isTTY}`);
await printVerdicts({
  bind: (address) => createDatagramSocket("udp", address).close(),
  dial: async (address) => (await dialDatagram("udp", address)).close(),
  writeTo: (target) => send(target, (socket, peer) => void socket.writeTo(peer, nothing)),
  mallocTo: (target) => send(target, (socket, peer) => void socket.mallocTo(peer, 1)),
  writeTrain: (target) => send(target, (socket, peer) => void socket.writeTrain(peer, nothing, 1)),
  reply,
  pair: async () => {
    for (const each of datagramPair()) await each.close();
  },
}, process.argv[2]!);
