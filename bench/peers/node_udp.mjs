/**
 * An echo on node:dgram, in Node, Bun and Deno.
 *
 * A datagram whose byte 8 is not 0 is answered only if its number (byte 0) is the last one of 64.
 * Its buffers stay the system's: in Deno a receive allocates as many bytes as `recvBufferSize` says.
 */
import { createSocket } from "node:dgram";

const socket = createSocket("udp4", (bytes, { port, address }) => {
  if (bytes[8] === 0 || (bytes[0] & 63) === 63) socket.send(bytes, port, address, () => {});
});
socket.bind(0, "127.0.0.1", () => console.log(`listening ${socket.address().port}`));
