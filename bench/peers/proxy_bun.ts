/**
 * A TCP proxy on Bun.listen and Bun.connect: `proxy_bun.ts UPSTREAM_PORT`.
 *
 * It keeps bytes that `write` does not take until `drain`, and meanwhile pauses the other side.
 */
import process from "node:process";

/** The part of Bun's API in use here, written out so that Deno's checker knows it too. */
interface Socket {
  data: Side;
  write(bytes: Uint8Array): number;
  pause(): void;
  resume(): void;
  end(): void;
  shutdown(): void;
}
interface Handlers {
  open(socket: Socket): void;
  data(socket: Socket, bytes: Uint8Array): void;
  drain(socket: Socket): void;
  end(socket: Socket): void;
  close(socket: Socket): void;
  error(): void;
}
declare const Bun: {
  listen(
    options: { hostname: string; port: number; allowHalfOpen: boolean; socket: Handlers },
  ): { readonly port: number };
  connect(
    options: {
      hostname: string;
      port: number;
      allowHalfOpen: boolean;
      data: Side;
      socket: Handlers;
    },
  ): Promise<Socket>;
};

/** One of both sockets, and the bytes that it has not taken yet. */
interface Side {
  socket: Socket | null;
  peer: Side;
  unsent: Uint8Array[];
  isEnding: boolean;
}

function send(side: Side): void {
  const { socket, unsent } = side;
  while (socket !== null && unsent.length > 0) {
    const first = unsent[0]!;
    const written = socket.write(first);
    if (written < 0) return;
    if (written < first.length) {
      unsent[0] = first.subarray(written);
      return side.peer.socket?.pause();
    }
    unsent.shift();
  }
  if (socket === null) return;
  side.peer.socket?.resume();
  if (side.isEnding) socket.shutdown();
}

const handlers: Handlers = {
  open(socket) {
    if (socket.data === undefined) return accept(socket);
    socket.data.socket = socket;
    send(socket.data);
  },
  data(socket, bytes) {
    const { peer } = socket.data;
    if (peer.socket !== null && peer.unsent.length === 0) {
      const written = Math.max(0, peer.socket.write(bytes));
      if (written === bytes.length) return;
      bytes = bytes.subarray(written);
    }
    peer.unsent.push(bytes);
    socket.pause();
  },
  drain: (socket) => send(socket.data),
  end(socket) {
    socket.data.peer.isEnding = true;
    if (socket.data.peer.unsent.length === 0) send(socket.data.peer);
  },
  close: (socket) => socket.data.peer.socket?.end(),
  error() {},
};

function accept(socket: Socket): void {
  const front = { socket, unsent: [], isEnding: false } as unknown as Side;
  const data: Side = { socket: null, unsent: [], isEnding: false, peer: front };
  front.peer = data;
  socket.data = front;
  const port = Number(process.argv[2]);
  void Bun.connect({ hostname: "127.0.0.1", port, allowHalfOpen: true, data, socket: handlers });
}

const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  allowHalfOpen: true,
  socket: handlers,
});
console.log(`listening ${server.port}`);
