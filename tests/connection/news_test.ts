import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import {
  type CloseReason,
  type Connection,
  type ConnectionCloseMessage,
  type ConnectionEnd,
  type ConnectionOpenMessage,
  dial,
  EofError,
  type EventLoopOptions,
  type RequestHandler,
  TimeoutError,
} from "../../mod.ts";
import { closeReason } from "../../src/connection/news.ts";
import { native } from "../../ffi/load.ts";
import { Listening } from "../support/heard.ts";
import { echo, serve } from "../support/serve.ts";
import { soon, until } from "../support/until.ts";
import { receive, send } from "../support/pair.ts";

type News = ConnectionOpenMessage & ConnectionCloseMessage;

/** One way for an accepted connection to end. */
interface Way {
  readonly reason: CloseReason;
  /** What the client does, once it has an answer. */
  readonly client?: (connection: Connection) => Promise<unknown> | void;
  readonly onRequest?: RequestHandler<undefined>;
  readonly options?: EventLoopOptions<undefined>;
  /** The loop shuts down. */
  readonly shutdown?: true;
  // deno-lint-ignore no-explicit-any
  readonly error?: new (...given: any[]) => Error;
}

const WAYS: Record<string, Way> = {
  "the peer ends it": { reason: "peer", client: (it) => it.close() },
  "the peer resets it": { reason: "lost", client: (it) => it.reset(), error: EofError },
  "its handler closes it": {
    reason: "local",
    onRequest: (it) => {
      echo(it);
      void it.close();
    },
  },
  "its handler resets it": {
    reason: "reset",
    onRequest: (it) => {
      it.reader.skip(it.reader.length);
      it.reset();
    },
  },
  "its handler throws": {
    reason: "error",
    onRequest: () => {
      throw new RangeError("it failed");
    },
    options: { onError: () => {} },
    error: RangeError,
  },
  "its handler rejects with nothing": {
    reason: "error",
    onRequest: () => Promise.reject(undefined),
    options: { onError: () => {} },
  },
  "it is idle": {
    reason: "timeout",
    options: { idleTimeoutMs: 20, onError: () => {} },
    error: TimeoutError,
  },
  "it waits too long": {
    reason: "timeout",
    onRequest: async (it) => {
      echo(it);
      await it.reader.wait(1000);
    },
    options: { readTimeoutMs: 20, onError: () => {} },
    error: TimeoutError,
  },
  "its time is over": { reason: "timeout", options: { lifetimeMs: 20, onError: () => {} } },
  "its server shuts down": { reason: "shutdown", shutdown: true },
  "its descriptor is given away": {
    reason: "detached",
    onRequest: (it) => {
      echo(it);
      native.close(it.detach());
    },
  },
};

for (const [name, way] of Object.entries(WAYS)) {
  test(`netpoll:connection:close and close callbacks tell the reason when ${name}: ${way.reason}`, async () => {
    using listening = new Listening<News>("connection:open", "connection:close");
    const ends: ConnectionEnd[] = [];
    const disconnected: ConnectionEnd[] = [];
    const { loop, listener, served } = serve(way.onRequest ?? echo, {
      ...way.options,
      onConnect: (it) => void it.addCloseCallback((_, end) => ends.push(end)) as undefined,
      onDisconnect: (it, _, end) => {
        disconnected.push(end);
        it.addCloseCallback((_, later) => ends.push(later));
      },
    });
    const { address } = listener;
    const at = `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`;
    const client = await dial("tcp", at);
    const ofServer = () => listening.heard.filter(({ message }) => message.connection !== client);
    await send(client, "hello");
    if (way.client !== undefined) {
      assertEquals(await receive(client, 5), "hello");
      await way.client(client);
    }
    if (way.shutdown) {
      assertEquals(await receive(client, 5), "hello");
      await loop.shutdown();
    }
    await until(() => ofServer().length === 2, "it has closed");
    await client.close({ timeoutMs: 0 });
    await loop.shutdown();
    await served;
    const [opened, closed] = ofServer();
    assertEquals([opened!.channel, closed!.channel], ["connection:open", "connection:close"]);
    assertEquals(closed!.message.id, opened!.message.id);
    assert(closed!.message.connection === opened!.message.connection);
    assertEquals(opened!.message.isDialled, false);
    const { reason, receivedBytes, requestCount, durationMs, error } = closed!.message;
    assertEquals([reason, receivedBytes, requestCount], [way.reason, 5, 1]);
    assert(durationMs >= 0 && durationMs < 60_000, `${durationMs} ms`);
    const isPeers = way.reason === "peer" || way.reason === "lost";
    assertEquals([ends.length, disconnected.length], isPeers ? [2, 1] : [1, 0]);
    for (const end of [...ends, ...disconnected]) {
      assertEquals(Object.keys(end), "error" in closed!.message ? ["reason", "error"] : ["reason"]);
      assertEquals(end.reason, reason);
      assertStrictEquals(end.error, error);
    }
    if (way.error !== undefined) assertInstanceOf(error, way.error);
    else if (way.reason !== "error") assert(!("error" in closed!.message), `${error}`);
  });
}

test("netpoll:connection:close has the bytes of both ways, and those that the peer did not get", async () => {
  using listening = new Listening<News>("connection:close");
  const bytes = 8 * 1024 * 1024;
  const { loop, listener, served } = serve((it) => {
    it.reader.skip(it.reader.length);
    it.reader.release();
    it.writer.writeBinary(new Uint8Array(bytes));
    void it.writer.flush().catch(() => {});
    void it.close({ timeoutMs: 0 });
  });
  const { address } = listener;
  const client = await dial("tcp", `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`);
  client.pauseRead();
  await send(client, "give");
  await until(() => listening.heard.length === 1, "it has closed");
  const { sentBytes, unsentBytes, receivedBytes, reason } = listening.messages[0]!;
  assertEquals([reason, receivedBytes], ["local", 4]);
  assert(unsentBytes > 0 && sentBytes > 0 && sentBytes + unsentBytes >= bytes, `${unsentBytes}`);
  await client.close({ timeoutMs: 0 });
  await loop.shutdown();
  await soon(served);
});

test("netpoll:connection:close comes once, after the last callback and before close callbacks", async () => {
  const order: string[] = [];
  using listening = new Listening<News>("connection:close");
  const gate = Promise.withResolvers<void>();
  const { loop, listener, served } = serve(async (it) => {
    it.addCloseCallback(() => order.push(`close callback, ${listening.heard.length} news`));
    it.reader.skip(it.reader.length);
    it.reader.release();
    await gate.promise;
    order.push("settled");
  }, { onDisconnect: () => void order.push("disconnected") });
  const { address } = listener;
  const client = await dial("tcp", `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`);
  await send(client, "hello");
  await client.closeWrite();
  await until(() => order.includes("disconnected"), "the end is heard");
  assertEquals(listening.heard.length, 0);
  gate.resolve();
  await loop.shutdown();
  await served;
  await until(() => order.length === 3, "the close callback");
  assertEquals(order, ["disconnected", "settled", "close callback, 1 news"]);
  await client.close();
  await until(() => listening.heard.length === 2, "the client's");
});

test("closeReason() tells a connection that was closed in order from one that ended by its peer", () => {
  assertEquals(closeReason({ lastStep: "drained", readEnd: null }, null), "local");
  assertEquals(closeReason({ lastStep: "lost", readEnd: null }, null), "reset");
});
