/**
 * The runtime's own datagrams (node:dgram), for clients that are not ours.
 */
import type { Socket } from "node:dgram";

/**
 * Sends to a port of 127.0.0.1. It is with the kernel then: Deno sends in any order what nobody
 * waits for.
 */
export function sent(socket: Socket, bytes: Uint8Array, port: number): Promise<void> {
  return new Promise((resolve, reject) =>
    socket.send(bytes, port, "127.0.0.1", (error) => error ? reject(error) : resolve())
  );
}
