// deno run --allow-ffi --allow-net --allow-read examples/tftp_server.ts   or   bun examples/tftp_server.ts

/**
 * Sends files of a directory by TFTP (RFC 1350): a packet that is lost is sent again.
 * `tftp_server.ts [HOST:PORT] [DIRECTORY]`; at localhost:6969, the files of this directory.
 *
 * Try it with `tftp -m binary localhost 6969 -c get README.md /dev/stdout`.
 *
 * @module
 */
import "./one_line.ts";
import { join, resolve, sep } from "node:path";
import process from "node:process";
import { createDatagramSocket } from "../mod.ts";
import { errorPacket, Fault, headOf, Op, readRequest } from "./tftp/packet.ts";
import { transfer } from "./tftp/transfer.ts";

const TRANSFERS_MAX = 100;
const [at = "localhost:6969", directory = "."] = process.argv.slice(2);
const root = resolve(directory);
const stopping = new AbortController();
let transfers = 0;

/** The path of a file below the directory; null for one that is not. */
function pathOf(name: string): string | null {
  const path = join(root, name);
  return path.startsWith(root + sep) && !name.includes("\0") ? path : null;
}

const socket = createDatagramSocket("udp", at, {
  onDatagram(datagram) {
    const refuse = (code: number, text: string) => void datagram.reply(errorPacket(code, text));
    const request = readRequest(datagram.bytes);
    if (request === null) {
      // An error is answered by nothing, else two could answer each other for ever.
      if (headOf(datagram.bytes).op === Op.WRITE) refuse(Fault.REFUSED, "files are only sent");
      return;
    }
    const path = pathOf(request.name);
    if (request.mode !== "octet") return refuse(Fault.ILLEGAL, "only octet is known");
    if (path === null) return refuse(Fault.REFUSED, "it is not below the directory");
    if (transfers >= TRANSFERS_MAX) return refuse(Fault.OTHER, "too many transfers, try later");
    const { remoteAddress, localAddress } = datagram;
    transfers += 1;
    transfer(remoteAddress, localAddress, request, path, stopping.signal)
      .then((bytes) => console.log(`${request.name}: ${bytes} bytes`))
      .catch((error) => console.warn(`${request.name}: ${error.message}`))
      .finally(() => transfers -= 1);
  },
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    stopping.abort();
    void socket.close();
  });
}

const { hostname, port } = socket.localAddress;
console.log(`Listening on ${hostname}:${port}; Ctrl-C stops it`);
await socket.closed;
