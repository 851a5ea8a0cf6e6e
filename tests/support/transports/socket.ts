/**
 * Connections over sockets: Unix ones, and TCP where a test asks for it.
 */
import { Connection, createListener, dial, EventLoop, socketPair } from "../../../mod.ts";
import type { TestTransport } from "../transport.ts";

/** Everything that tests ask for is there. */
export const transport: TestTransport = {
  lacks: {},
  pair(ours, theirs) {
    const [a, b] = socketPair();
    if (ours === undefined && theirs === undefined) return [a, b];
    return [Connection.fromFd(a.detach(), ours), Connection.fromFd(b.detach(), theirs)];
  },
  async tcpPair(accepted = {}) {
    const listener = createListener("tcp", "127.0.0.1:0");
    const { promise, resolve } = Promise.withResolvers<number>();
    const loop = new EventLoop(null, { onPrepare: (each) => resolve(each.detach()) as undefined });
    const served = loop.serve(listener);
    const { address } = listener;
    const port = address.transport === "tcp" ? address.port : 0;
    const client = await dial("tcp", `127.0.0.1:${port}`);
    const fd = await promise;
    await loop.shutdown();
    await served;
    return [Connection.fromFd(fd, accepted), client];
  },
};
