// deno run --allow-ffi --allow-net --allow-read examples/tftp_server.ts   or   bun examples/tftp_server.ts

/**
 * Sends files of a directory by TFTP (RFC 1350), and takes new ones if told to; at localhost:6969,
 * with the files of this directory. Each transfer has a socket of its own, and a packet that is lost
 * goes again. Packets, files and transfers are in examples/tftp/; here is which requests become one.
 *
 * @module
 */
import { resolve } from "node:path";
import { listenDatagrams, readArguments, stopAsked } from "./command_line.ts";
import { Client } from "./tftp/client.ts";
import { toTransferError } from "./tftp/files.ts";
import { errorPacket, Fault, isRequest, Op, readRequest, type Request } from "./tftp/packet.ts";
import { type Received, receiveFile, sendFile } from "./tftp/transfer.ts";

const USAGE = `Usage: tftp_server.ts [HOST:PORT] [DIRECTORY] [--write]

  DIRECTORY     where the files are: this one unless given
  --write       takes files, too, but replaces none; under Deno with --allow-write`;

/** Clients that are served at a time: each has a socket and a file. */
const CLIENTS_MAX = 250;
const { at, operands, values } = readArguments(USAGE, 6969, { write: { type: "boolean" } }, 1);
const root = resolve(operands[0] ?? ".");
const clients = new Map<Client, Promise<void>>();
/** Requests that are being served, by their clients and names. */
const served = new Set<string>();

/** Sends the file of a request, or receives it; the client is told when that cannot be. */
async function transfer(client: Client, request: Request): Promise<Received | null> {
  const name = JSON.stringify(request.name); // a name may have any bytes
  try {
    if (request.op === Op.WRITE) {
      const received = await receiveFile(client, request, root);
      console.log(`${name}: ${received.bytes} bytes received`);
      return received;
    }
    console.log(`${name}: ${await sendFile(client, request, root)} bytes sent`);
  } catch (error) {
    const { code, message } = toTransferError(error);
    if (code !== null) client.tell(errorPacket(code, message));
    console.warn(`${name}: ${message}`);
  }
  return null;
}

async function serve(client: Client, request: Request, key: string): Promise<void> {
  const received = await transfer(client, request).finally(() => served.delete(key));
  if (received !== null) await client.linger(received.ack, Op.DATA, received.block);
  clients.delete(client);
  await client.close();
}

const stopped = stopAsked();
const socket = listenDatagrams(at, {
  onDatagram(datagram) {
    const refuse = (code: number, text: string) => void datagram.reply(errorPacket(code, text));
    const request = readRequest(datagram.bytes);
    if (request === null) {
      if (isRequest(datagram.bytes)) refuse(Fault.ILLEGAL, "the request is malformed");
      return;
    }
    const { op, mode, name } = request;
    if (mode !== "octet" && mode !== "netascii") return refuse(Fault.ILLEGAL, "no such mode");
    if (op === Op.WRITE && !values.write) return refuse(Fault.REFUSED, "files are only sent");
    // A request that gets no answer comes again, and one that came twice is served once: a new socket
    // for each would take the client for two.
    const key = `${datagram.peerKey} ${op} ${name}`;
    if (clients.size >= CLIENTS_MAX || served.has(key)) return;
    const client = new Client(datagram);
    served.add(key);
    clients.set(client, serve(client, request, key));
  },
}, (host, port) => `tftp -m binary ${host} ${port} -c get README.md /dev/stdout`);

await stopped;
await socket.close();
for (const client of clients.keys()) client.stop();
await Promise.all(clients.values());
console.log("Stopped");
