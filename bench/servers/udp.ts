/**
 * netpoll's echo over UDP, as the benches run it: `udp.ts [auto | off]`, with trains or without.
 *
 * A datagram whose byte 8 is not 0 is answered only if its number (byte 0) is the last one of 64.
 */
import process from "node:process";
import { createDatagramSocket } from "../../mod.ts";

const socket = createDatagramSocket("udp4", "127.0.0.1:0", {
  segmentation: process.argv[2] === "off" ? "off" : "auto",
  receiveBufferBytes: 4 << 20,
  sendBufferBytes: 4 << 20,
  onDatagram(datagram) {
    const { bytes } = datagram;
    if (bytes[8] === 0 || (bytes[0]! & 63) === 63) datagram.reply(bytes);
  },
});
console.log(`listening ${socket.localAddress.port}`);
