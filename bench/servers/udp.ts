/**
 * netpoll's echo over UDP, as the benches run it: `udp.ts [auto | off | wait]`, with trains or without,
 * or with waits in place of a handler.
 *
 * A datagram whose byte 8 is not 0 is answered only if its number (byte 0) is the last one of 64.
 */
import process from "node:process";
import { createDatagramSocket, type Datagram } from "../../mod.ts";

function answer(datagram: Datagram): void {
  const { bytes } = datagram;
  if (bytes[8] === 0 || (bytes[0]! & 63) === 63) datagram.reply(bytes);
}

const mode = process.argv[2];
const socket = createDatagramSocket("udp4", "127.0.0.1:0", {
  segmentation: mode === "off" ? "off" : "auto",
  receiveBufferBytes: 4 << 20,
  sendBufferBytes: 4 << 20,
  onDatagram: mode === "wait" ? undefined : answer,
});
console.log(`listening ${socket.localAddress.port}`);
while (mode === "wait") {
  await socket.wait();
  for (const datagram of socket.datagrams) answer(datagram);
  await socket.flush();
  socket.release();
}
