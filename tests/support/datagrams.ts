/**
 * Datagram sockets of a test.
 */
import { Buffer } from "node:buffer";
import {
  createDatagramSocket,
  type DatagramNetwork,
  type DatagramOptions,
  type DatagramSocket,
  dialDatagram,
  type DialDatagramOptions,
} from "../../mod.ts";
import { config } from "../../src/core/config.ts";

/** A socket at a port of loopback that the kernel chooses. */
export function bound(
  options: DatagramOptions = {},
  network: DatagramNetwork = "udp4",
): DatagramSocket {
  return createDatagramSocket(network, network === "udp6" ? "[::1]:0" : "127.0.0.1:0", options);
}

/** The text of a socket's address, for `dialDatagram`. */
export function textOf({ localAddress: { hostname, port } }: DatagramSocket): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/** A socket that is connected to another one; its waits end, at the latest, after 3 s. */
export function dialled(
  to: DatagramSocket,
  options: DialDatagramOptions = {},
): Promise<DatagramSocket> {
  return dialDatagram("udp", textOf(to), { readTimeoutMs: 3000, ...options });
}

/** An echo of every datagram. */
export function echo(
  options: DatagramOptions = {},
  network: DatagramNetwork = "udp4",
): DatagramSocket {
  return bound(
    { onDatagram: (datagram) => void datagram.reply(datagram.bytes), ...options },
    network,
  );
}

/** The bytes of a text. */
export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}

/** Waits for so many datagrams, or more, and gives back what was lent. Their texts. */
export async function texts(socket: DatagramSocket, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    await socket.wait();
    for (const datagram of socket.datagrams) found.push(Buffer.from(datagram.bytes).toString());
  }
  socket.release();
  return found;
}

/** A port of loopback that nobody has, and that no kernel chooses for anybody. */
export const DEAD_ADDRESS = "127.0.0.1:1";

/** Runs something; the lines that it has logged. */
export async function withLog(run: () => Promise<void>): Promise<string[]> {
  const lines: string[] = [];
  const { log } = config;
  config.log = (line) => void lines.push(line);
  try {
    await run();
  } finally {
    config.log = log;
  }
  return lines;
}
