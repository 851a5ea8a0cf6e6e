/**
 * An echo on Deno.listenDatagram.
 *
 * A datagram whose byte 8 is not 0 is answered only if its number (byte 0) is the last one of 64.
 */

/** The part of Deno's API in use here: it is unstable, and only there with a flag. */
interface DatagramConn {
  readonly addr: { port: number };
  receive(into: Uint8Array): Promise<[Uint8Array, unknown]>;
  send(bytes: Uint8Array, to: unknown): Promise<number>;
}
declare const Deno: {
  listenDatagram(options: { hostname: string; port: number; transport: "udp" }): DatagramConn;
};

const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
console.log(`listening ${socket.addr.port}`);
const room = new Uint8Array(2048);
for (;;) {
  const [bytes, from] = await socket.receive(room);
  if (bytes[8] === 0 || (bytes[0]! & 63) === 63) await socket.send(bytes, from);
}
