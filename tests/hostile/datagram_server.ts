/**
 * A program: a datagram socket that is attacked. Its arguments are an address and what its handler
 * does.
 */
import process from "node:process";
import { configure, createDatagramSocket, type Datagram } from "../../mod.ts";

const [at, kind] = process.argv.slice(2);

configure({ log() {} }); // what is logged is bounded, and nothing here

const HANDLERS: Readonly<Record<string, (datagram: Datagram) => void>> = {
  echo: (datagram) => void datagram.reply(datagram.bytes),
  // Each destination is a new one, and each datagram is kept for a while.
  writer(datagram) {
    const slice = datagram.slice();
    const { peer } = datagram;
    queueMicrotask(() => {
      socket.writeTo(peer, slice.readBinary(slice.length));
      slice.close();
      void socket.flush();
    });
  },
  thrower(datagram) {
    datagram.reply(datagram.bytes);
    throw new Error("on purpose");
  },
};

const socket = createDatagramSocket("udp4", at!, {
  onDatagram: HANDLERS[kind!]!,
  receiveBufferBytes: 4 << 20,
  // Each peer that is not there is an error.
  reportUnreachable: true,
});

process.once("SIGINT", () => void socket.close());
const { hostname, port } = socket.localAddress;
console.log(`Listening on ${hostname}:${port}; Ctrl-C stops it`);
await socket.closed;
