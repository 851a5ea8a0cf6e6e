/**
 * netpoll's echo over streams of the runtime: `duplex.ts PORT MESSAGE_BYTES MODE`; over node:tls with
 * `KEY CERTIFICATE` behind these. In mode "paused" it reads nothing of what comes.
 */
import net, { type AddressInfo, type Socket } from "node:net";
import process from "node:process";
import tls from "node:tls";
import { Connection } from "../../mod.ts";
import { identity } from "../peers/identity.mjs";

function echo(socket: Socket): void {
  Connection.fromDuplex(socket, {
    onRequest({ reader, writer }) {
      writer.writeBinary(reader.next(reader.length));
      void writer.flush();
      reader.release();
    },
  });
}

function pause(socket: Socket): void {
  Connection.fromDuplex(socket).pauseRead();
}

const serve = process.argv[4] === "paused" ? pause : echo;
const server = identity === null
  ? net.createServer({ noDelay: true }, serve)
  : tls.createServer({ noDelay: true, ...identity }, serve);
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 }, () => {
  console.log(`listening ${(server.address() as AddressInfo).port}`);
});
