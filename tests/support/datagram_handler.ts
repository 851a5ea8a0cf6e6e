/**
 * A handler module for tests of datagrams: says which poller it is, or sends everything back.
 */
import process from "node:process";
import type { Datagram, DatagramSocket, PollerContext } from "../../mod.ts";
import { bytes } from "./datagrams.ts";

let index = -1;
let socket: DatagramSocket | null = null;

export function setup(context: PollerContext): void {
  index = context.index;
}

export function onDatagramSocket(given: DatagramSocket): void {
  socket = given;
}

export function onDatagram(datagram: Datagram): void {
  const text = new TextDecoder().decode(datagram.bytes);
  if (text.endsWith("exit")) process.exit(3);
  if (text.endsWith("throw")) throw new Error("thrown for a datagram");
  if (text.endsWith("who")) datagram.reply(bytes(`${index}`));
  else if (text.endsWith("later")) {
    const { peer } = datagram;
    queueMicrotask(() => {
      socket!.writeTo(peer, bytes(`later ${index}`));
      void socket!.flush();
    });
  } else datagram.reply(datagram.bytes);
}

export function onDatagramError(error: unknown): void {
  void socket; // it goes on
  if (!(error instanceof Error)) throw error;
}
