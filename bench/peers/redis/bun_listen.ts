/**
 * A server of Redis on Bun.listen. What `write` does not take is kept until `drain`; meanwhile no
 * more is read.
 */
import { Buffer } from "node:buffer";
import { Session } from "./store.mjs";

/** The part of Bun's API in use here, written out so that Deno's checker knows it too. */
interface Socket {
  data: { readonly session: Session; unsent: Uint8Array | null };
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
}
interface Handlers {
  open(socket: Socket): void;
  data(socket: Socket, bytes: Buffer): void;
  drain(socket: Socket): void;
  error(): void;
}
declare const Bun: {
  listen(options: { hostname: string; port: number; socket: Handlers }): { readonly port: number };
};

function send(socket: Socket, bytes: Uint8Array): void {
  const written = socket.write(bytes);
  if (written < 0 || written === bytes.length) {
    socket.data.unsent = null;
    socket.resume();
  } else {
    socket.data.unsent = bytes.subarray(written);
    socket.pause();
  }
}

const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open: (socket) => void (socket.data = { session: new Session(), unsent: null }),
    data: (socket, bytes) => send(socket, Buffer.from(socket.data.session.answer(bytes), "latin1")),
    drain(socket) {
      if (socket.data.unsent !== null) send(socket, socket.data.unsent);
    },
    error() {},
  },
});
console.log(`listening ${server.port}`);
