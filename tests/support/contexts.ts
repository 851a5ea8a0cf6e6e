/**
 * In which async context the callbacks of a server and a client run: ours, and those of node:net.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { dial } from "../../src/client/dial.ts";
import { createListener } from "../../src/net/listener.ts";
import { EventLoop } from "../../src/server/event_loop.ts";

/** The context that does something. */
export const user = new AsyncLocalStorage<string>();

/** For each callback the user that it ran as, "nobody" for none. */
export type Contexts = Record<string, string>;

function recorder(contexts: Contexts): (name: string) => void {
  return (name) => contexts[name] = user.getStore() ?? "nobody";
}

/**
 * The callbacks of netpoll, where "first" used it before anybody else, "serve" serves and "dial"
 * dials; "other" does the rest.
 */
export async function contextsOfOurs(address: string): Promise<Contexts> {
  const contexts: Contexts = {};
  const note = recorder(contexts);
  const first = createListener("unix", `${address}-first`);
  await user.run("first", async () => (await dial("unix", `${address}-first`)).close());
  first.close();
  const listener = createListener("unix", address);
  const loop = user.run("other", () =>
    new EventLoop(({ reader, writer }) => {
      note("server data");
      writer.writeBinary(reader.readBinary(reader.length));
      void writer.flush();
    }, {
      onPrepare: (connection) => {
        note("server prepare");
        connection.addCloseCallback(() => note("server close"));
      },
      onConnect: () => note("server connection") as undefined,
      onDisconnect: () => note("server end"),
    }));
  const served = user.run("serve", () => loop.serve(listener));
  const options = {
    onConnect: () => note("client connect") as undefined,
    onRequest: (connection: { reader: { length: number; skip(count: number): void } }) => {
      note("client data");
      connection.reader.skip(connection.reader.length);
      throw new Error("enough");
    },
    onError: () => note("client error"),
  };
  const client = await user.run("dial", () => dial("unix", address, options));
  await user.run("other", async () => {
    client.addCloseCallback(() => note("client close"));
    client.writer.writeString("x");
    await client.writer.flush();
    await client.closed.catch(() => {});
    await loop.shutdown();
    await served;
  });
  return contexts;
}

/** The callbacks of node:net, where "serve" listens and "dial" connects. */
export async function contextsOfNode(): Promise<Contexts> {
  const contexts: Contexts = {};
  const note = recorder(contexts);
  const server = user.run("other", () =>
    createServer((socket) => {
      note("server connection");
      socket.on("data", (bytes) => {
        note("server data");
        socket.write(bytes);
      }).on("end", () => note("server end")).on("close", () => note("server close"));
    }));
  user.run("serve", () => server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = user.run("dial", () => connect(port, "127.0.0.1"));
  client.on("connect", () => note("client connect")).on("close", () => note("client close"));
  client.on("data", () => {
    note("client data");
    client.end();
  });
  client.write("x");
  await once(client, "close");
  server.close();
  await once(server, "close");
  return contexts;
}
