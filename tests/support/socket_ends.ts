/**
 * Sockets that are not ours, with our reader and writer on top, against a connection of ours.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { host } from "../../ffi/runtime.ts";
import {
  Connection,
  createListener,
  dial,
  EventLoop,
  readerFrom,
  type SinkWriter,
  type SourceReader,
  writerTo,
} from "../../mod.ts";

/** A socket of somebody else. */
export interface SocketEnd {
  readonly reader: SourceReader;
  readonly writer: SinkWriter;
  /** Closes it, both sides. */
  close(): Promise<void>;
}

/** One kind of sockets on 127.0.0.1. */
export interface Sockets {
  readonly name: string;
  connect(port: number): Promise<SocketEnd>;
  listen(): Promise<{ port: number; accept(): Promise<SocketEnd>; close(): void }>;
}

/** A socket of node:net, or of node:tls. */
export function endOfNode(socket: Socket): SocketEnd {
  const close = async () => {
    const closed = once(socket, "close");
    socket.destroy();
    if (!socket.closed) await closed;
  };
  return { reader: readerFrom(socket), writer: writerTo(socket), close };
}

const nodeSockets: Sockets = {
  name: "node:net",
  connect: async (port) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    return endOfNode(socket);
  },
  listen: async () => {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    const accept = async () => endOfNode((await accepted)[0] as Socket);
    return { port: (server.address() as AddressInfo).port, accept, close: () => server.close() };
  },
};

// Not as a literal: each of the two is checked with the types of its own runtime.
const own = new URL(`../runtime/${host.name}_socket.ts`, import.meta.url).href;
const { sockets } = await import(own) as { sockets: Sockets };

/** A socket of theirs, and what it talks to: a connection of ours. */
export type Ends = [theirs: SocketEnd, ours: Connection];

/** One that connected to ours. */
async function connected(kind: Sockets): Promise<Ends> {
  const listener = createListener("tcp", "127.0.0.1:0");
  const port = listener.address.transport === "tcp" ? listener.address.port : 0;
  const accepted = Promise.withResolvers<number>();
  const onPrepare = (each: Connection) => void accepted.resolve(each.detach());
  const loop = new EventLoop(null, { onPrepare });
  const served = loop.serve(listener);
  const theirs = await kind.connect(port);
  const fd = await accepted.promise;
  await loop.shutdown();
  await served;
  return [theirs, Connection.fromFd(fd)];
}

/** One that ours connected to. */
async function accepted(kind: Sockets): Promise<Ends> {
  const listener = await kind.listen();
  const [theirs, ours] = await Promise.all([
    listener.accept(),
    dial("tcp", `127.0.0.1:${listener.port}`),
  ]);
  listener.close();
  return [theirs, ours];
}

/** Every way in which a socket of the runtime comes to be, by its name. */
export const KINDS: Readonly<Record<string, () => Promise<Ends>>> = Object.fromEntries(
  [nodeSockets, sockets].flatMap((kind) => [
    [`a socket of ${kind.name} that connects`, () => connected(kind)],
    [`a socket of ${kind.name} that was accepted`, () => accepted(kind)],
  ]),
);
