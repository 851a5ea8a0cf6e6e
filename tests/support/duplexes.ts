/**
 * Two streams of the runtime that are each other's peer: in memory, over TCP, and over TLS.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { ignore } from "../../src/core/promises.ts";
import { authority, NO_TLS, serverIdentity } from "./pki.ts";

/** One end of a stream in memory, which hands on the very arrays that it is given, at once. */
class MemoryEnd extends Duplex {
  peer: MemoryEnd | null = null;
  #onRead: (() => void) | null = null;
  #onDestroy: (() => void) | null = null;

  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 64 * 1024 });
  }

  override _read(): void {
    const onRead = this.#onRead;
    this.#onRead = null;
    onRead?.();
  }

  override _write(chunk: Uint8Array, _encoding: string, onWritten: (error?: Error) => void): void {
    const { peer } = this;
    if (peer === null || peer.destroyed) return onWritten(coded("EPIPE"));
    if (peer.push(chunk)) return onWritten();
    peer.#onRead = onWritten;
    peer.#onDestroy = () => onWritten(coded("ECONNRESET"));
  }

  override _final(onEnded: () => void): void {
    this.peer?.push(null);
    onEnded();
  }

  override _destroy(error: Error | null, onDestroyed: (error?: Error | null) => void): void {
    const { peer } = this;
    this.peer = null;
    if (this.#onRead !== null) this.#onDestroy?.();
    this.#onRead = null;
    if (peer !== null && !peer.destroyed) {
      if (error !== null || !this.writableFinished) peer.destroy(coded("ECONNRESET"));
    }
    onDestroyed(error);
  }
}

function coded(code: string): Error {
  return Object.assign(new Error(`the stream has ${code}`), { code });
}

/** Two ends in memory. There at once. */
export function memoryEnds(): [Duplex, Duplex] {
  const [a, b] = [new MemoryEnd(), new MemoryEnd()];
  for (const end of [a, b]) end.on("error", ignore); // a test that is interested listens, too
  a.peer = b;
  b.peer = a;
  return [a, b];
}

/** Two sockets of `node:net`: the accepted one, and the one that has connected. */
export async function netEnds(): Promise<[Socket, Socket]> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [[accepted]] = await Promise.all([once(server, "connection"), once(client, "connect")]);
  server.close();
  return [accepted as Socket, client];
}

/** The same with TLS of the runtime: the server's end, and the client's. */
export async function tlsEnds(): Promise<[Socket, Socket]> {
  const { certificate, key } = serverIdentity();
  const secure = createTlsServer({ cert: certificate, key });
  const [accepted, client] = await netEnds();
  const done = once(secure, "secureConnection");
  secure.emit("connection", accepted);
  const socket = connectTls({
    socket: client,
    ca: authority().certificate,
    servername: "localhost",
  });
  const [[server]] = await Promise.all([done, once(socket, "secureConnect")]);
  return [server as Socket, socket];
}

/** The kinds that can be had here. */
export const KINDS: Readonly<Record<string, () => [Duplex, Duplex] | Promise<[Duplex, Duplex]>>> = {
  memory: memoryEnds,
  "node:net": netEnds,
  ...(NO_TLS === false ? { "node:tls": tlsEnds } : {}),
};
