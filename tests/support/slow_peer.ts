/**
 * Peers that take what is sent when a test says so, and that have little room for it until then.
 */
import { native } from "../../ffi/load.ts";
import type { Connection, DialOptions, Listener } from "../../mod.ts";
import { check } from "../../src/core/check.ts";
import { ERRNO, NOT_READY } from "../../src/core/errno.ts";
import { rawFromNumeric } from "../../src/net/address.ts";
import { Option, setOption } from "../../src/net/socket.ts";
import { until } from "./until.ts";
import { ends, Receiver, TIGHT } from "./zero_copy_ends.ts";

const KIB = 1024;
/** More than both kernels have room for: some of it waits in our own memory. */
export const MUCH = 512 * KIB;
/** Bytes that the sending kernel takes, and the receiving one does not. */
export const SOME = 64 * KIB;
const PIECE = new Uint8Array(64 * KIB);

/** Little room in the kernel for what is sent. */
export const NARROW = { sendBufferBytes: 64 * KIB };

/** A connection that sends through little room, and the peer that takes what it sent. */
export function slowPeer(options: DialOptions = {}): Promise<[Connection, Receiver]> {
  return ends({ zeroCopy: "off", ...NARROW, ...options }, TIGHT);
}

/** A peer with little room that connects to a server. */
export function connectSlowly({ address }: Pick<Listener, "address">): Receiver {
  if (address.transport !== "tcp") throw new Error("slow peers are for TCP");
  const to = rawFromNumeric(address.hostname, address.port);
  const fd = check("open a socket", native.socket(to[0]!));
  setOption(fd, Option.RECEIVE_BUFFER, TIGHT.receiveBufferBytes!);
  const code = native.connect(fd, to);
  if (code !== -ERRNO.EINPROGRESS) check("connect", code);
  return new Receiver(fd);
}

/** Takes what comes until so much has come. */
export async function takeUntil(peer: Receiver, count: number): Promise<void> {
  await until(() => {
    while (peer.count < count && peer.take());
    return peer.count >= count || peer.isEnded || peer.wasReset;
  }, `${count} bytes at the peer`);
}

/** Takes all that its kernel holds now. */
export function takeWhatIsThere(peer: Receiver): void {
  while (peer.take());
}

/** Sends as much as there is room for, up to so many bytes. How many. */
export function sendSome(peer: Receiver, bytesMax: number): number {
  let sent = 0;
  while (sent < bytesMax) {
    const length = Math.min(PIECE.length, bytesMax - sent);
    const count = native.sendBorrowed(peer.fd, PIECE, PIECE.length, 0, length, 0);
    if (count === NOT_READY) break;
    sent += check("send", count);
  }
  return sent;
}

/** Waits until the peer's kernel has acknowledged all that it has room for. */
export function whenFull(connection: Connection): Promise<void> {
  return until(() => connection.metrics().tcp?.unackedCount === 0, "the acknowledgement");
}

/** Waits for the end of a stream, and takes what comes before it. How it ended. */
export async function endOf(peer: Receiver): Promise<"end" | "reset"> {
  await until(() => {
    takeWhatIsThere(peer);
    return peer.isEnded || peer.wasReset;
  }, "the end at the peer");
  return peer.wasReset ? "reset" : "end";
}
