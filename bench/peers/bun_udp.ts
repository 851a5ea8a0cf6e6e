/**
 * An echo on Bun.udpSocket: `bun_udp.ts send | many`, one send a datagram, or one sendMany a tick.
 *
 * A datagram whose byte 8 is not 0 is answered only if its number (byte 0) is the last one of 64.
 */
import process from "node:process";

/** The part of Bun's API in use here, written out so that Deno's checker knows it too. */
interface UdpSocket {
  readonly port: number;
  send(data: Uint8Array, port: number, address: string): boolean;
  sendMany(packets: readonly (Uint8Array | string | number)[]): number;
}
declare const Bun: {
  udpSocket(options: {
    hostname: string;
    port: number;
    socket: {
      data(socket: UdpSocket, data: Uint8Array, port: number, address: string): void;
      error(socket: UdpSocket, error: Error): void;
    };
  }): Promise<UdpSocket>;
};

const isMany = process.argv[2] === "many";
let packets: (Uint8Array | string | number)[] = [];

const server = await Bun.udpSocket({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    data(socket, bytes, port, address) {
      if (bytes[8] !== 0 && (bytes[0]! & 63) !== 63) return;
      if (!isMany) return void socket.send(bytes, port, address);
      if (packets.length === 0) queueMicrotask(sendAll);
      packets.push(bytes.slice(), port, address); // its memory is Bun's again after this call
    },
    error() {},
  },
});

function sendAll(): void {
  server.sendMany(packets);
  packets = [];
}
console.log(`listening ${server.port}`);
