/**
 * A program: answers a datagram, and exits within the handler, after a flush that it cannot await.
 */
import process from "node:process";
import { createDatagramSocket } from "../../mod.ts";

const server = createDatagramSocket("udp4", "127.0.0.1:0", {
  onDatagram(datagram) {
    datagram.reply(datagram.bytes);
    server.flush();
    process.exit(0);
  },
});
console.log(`port ${server.localAddress.port}`);
