/**
 * An echo on Bun.listen: `bun_listen.ts PORT`.
 *
 * `write` takes what the socket takes; the rest is the program's to keep until `drain`.
 */
import process from "node:process";

/** What is used of Bun here; written out so that Deno's checker knows it too. */
interface Socket<T> {
  data: T;
  write(bytes: Uint8Array): number;
}
interface Handlers<T> {
  open(socket: Socket<T>): void;
  data(socket: Socket<T>, bytes: Uint8Array): void;
  drain(socket: Socket<T>): void;
  error(): void;
}
declare const Bun: {
  listen<T>(
    options: { hostname: string; port: number; socket: Handlers<T> },
  ): { readonly port: number };
};

/** What a client has not taken yet. */
interface Unsent {
  pieces: Uint8Array[];
}

// Shared: nearly every connection never has anything unsent.
const NOTHING: Unsent = { pieces: [] };

const server = Bun.listen<Unsent>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  socket: {
    open(socket) {
      socket.data = NOTHING;
    },
    data(socket, bytes) {
      const { pieces } = socket.data;
      const written = pieces.length > 0 ? 0 : socket.write(bytes);
      if (written === bytes.length || written < 0) return;
      if (socket.data === NOTHING) socket.data = { pieces: [] };
      socket.data.pieces.push(bytes.subarray(written));
    },
    drain(socket) {
      const { pieces } = socket.data;
      while (pieces.length > 0) {
        const written = socket.write(pieces[0]!);
        if (written < 0) return;
        if (written < pieces[0]!.length) {
          pieces[0] = pieces[0]!.subarray(written);
          return;
        }
        pieces.shift();
      }
    },
    error() {},
  },
});
console.log(`listening ${server.port}`);
