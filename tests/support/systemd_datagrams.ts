/**
 * Answers two datagrams to the socket that systemd has passed on: the first one has started it.
 */
import { createDatagramSocket, listenersFromSystemd } from "../../mod.ts";

listenersFromSystemd({
  onOther({ name, fd, kind }) {
    console.log(`${name} ${fd} ${kind}`);
    let answered = 0;
    const socket = createDatagramSocket({
      fd,
      onDatagram(datagram) {
        datagram.reply(datagram.bytes);
        if (++answered === 2) void socket.close();
      },
    });
  },
});
