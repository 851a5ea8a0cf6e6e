/**
 * Sockets of Bun's own, with netpoll's reader and writer on top: they tell by handlers what comes and
 * when they can go on.
 */
import { readerFrom, writerTo } from "../../mod.ts";
import type { SocketEnd, Sockets } from "../support/socket_ends.ts";

/** A socket of Bun as a source and a sink. */
class BunEnd {
  readonly #pieces: Uint8Array[] = [];
  #end: { readonly error: unknown } | null = null;
  #tellReader: () => void = () => {};
  #tellWriter: () => void = () => {};
  #socket!: Bun.Socket<BunEnd>;

  open(socket: Bun.Socket<BunEnd>): void {
    this.#socket = socket;
  }

  data(bytes: Uint8Array): void {
    this.#pieces.push(new Uint8Array(bytes));
    this.#socket.pause(); // until these are asked for
    this.#tellReader();
  }

  drain(): void {
    this.#tellWriter();
  }

  over(error: unknown): void {
    this.#end ??= { error };
    this.#tellReader();
    this.#tellWriter();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) yield piece;
      else if (this.#end === null) {
        const told = new Promise<void>((resolve) => this.#tellReader = resolve);
        this.#socket.resume();
        await told;
      } else if (this.#end.error === null) return;
      else throw this.#end.error;
    }
  }

  write(bytes: Uint8Array): number {
    return this.#socket.write(bytes);
  }

  drained(): Promise<void> {
    return new Promise((resolve) => this.#tellWriter = resolve);
  }

  close(): void {
    this.#socket.shutdown();
  }

  asEnd(): SocketEnd {
    const reader = readerFrom(this);
    const writer = writerTo(this);
    const close = async () => {
      this.over(null);
      await Promise.allSettled([reader.close(), writer.close()]);
      this.#socket.terminate();
    };
    return { reader, writer, close };
  }
}

const handlers: Bun.SocketHandler<BunEnd> = {
  open: (socket) => socket.data.open(socket),
  data: (socket, bytes) => socket.data.data(bytes),
  drain: (socket) => socket.data.drain(),
  end: (socket) => socket.data.over(null),
  error: (socket, error) => socket.data.over(error),
  // Without an error both sides have ended: "end" is told only where the other side goes on.
  close: (socket, error) => socket.data.over(error ?? null),
};

/** `Bun.connect` and `Bun.listen`. */
export const sockets: Sockets = {
  name: "Bun",
  connect: async (port) => {
    const data = new BunEnd();
    await Bun.connect({ hostname: "127.0.0.1", port, socket: handlers, data, allowHalfOpen: true });
    return data.asEnd();
  },
  listen: () => {
    const accepted = Promise.withResolvers<SocketEnd>();
    const listener = Bun.listen<BunEnd>({
      hostname: "127.0.0.1",
      port: 0,
      allowHalfOpen: true,
      socket: {
        ...handlers,
        open: (socket) => {
          socket.data = new BunEnd();
          socket.data.open(socket);
          accepted.resolve(socket.data.asEnd());
        },
      },
    });
    const { port } = listener;
    return Promise.resolve({ port, accept: () => accepted.promise, close: () => listener.stop() });
  },
};
