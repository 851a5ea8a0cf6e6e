/**
 * Sockets of Deno's own, with netpoll's reader and writer on top.
 */
import { readerFrom, writerTo } from "../../mod.ts";
import type { SocketEnd, Sockets } from "../support/socket_ends.ts";

function endOf(conn: Deno.TcpConn): SocketEnd {
  const reader = readerFrom(conn);
  const writer = writerTo(conn);
  const close = async () => {
    conn.close();
    await Promise.allSettled([reader.close(), writer.close()]);
  };
  return { reader, writer, close };
}

/** `Deno.connect` and `Deno.listen`. */
export const sockets: Sockets = {
  name: "Deno",
  connect: async (port) => endOf(await Deno.connect({ hostname: "127.0.0.1", port })),
  listen: () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    return Promise.resolve({
      port,
      accept: async () => endOf(await listener.accept()),
      close: () => listener.close(),
    });
  },
};
