import { assert, assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import { test } from "node:test";
import { URL } from "node:url";
import { Worker } from "node:worker_threads";
import { dial } from "../../src/client/dial.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { tagged } from "../../src/codec/tagged.ts";
import { socketPair } from "../../src/client/from_fd.ts";
import { config, configure } from "../../src/core/config.ts";
import { responder } from "../../src/mux/responder.ts";
import { ShardQueue } from "../../src/mux/shard_queue.ts";
import { createListener } from "../../src/net/listener.ts";
import { balancer } from "../../src/server/load_balance.ts";
import { EventLoop } from "../../src/server/event_loop.ts";
import { type Contexts, contextsOfNode, contextsOfOurs, user } from "../support/contexts.ts";

const OURS: Contexts = {
  "server prepare": "serve",
  "server connection": "serve",
  "server data": "serve",
  "server end": "serve",
  "server close": "serve",
  "client connect": "dial",
  "client data": "dial",
  "client error": "dial",
  "client close": "dial",
};

// The first test of this file: nothing has used netpoll in this thread.
test("callbacks run in the context of serve() or dial(), whoever used netpoll first", async () => {
  assertEquals(await contextsOfOurs("@netpoll-context"), OURS);
});

test("callbacks run in the context of node:net's, where those have one", async () => {
  const theirs = Object.entries(await contextsOfNode());
  assert(theirs.length === 7, `${theirs.length} events`);
  // Deno's sockets lose theirs once they are connected.
  for (const [name, context] of theirs) {
    if (context !== "nobody") assertEquals([name, OURS[name]], [name, context]);
  }
});

test("callbacks run in the context of serve() or dial() in a Worker", async () => {
  const worker = new Worker(new URL("../support/context_worker.ts", import.meta.url));
  const [contexts] = await once(worker, "message");
  assertEquals(contexts, OURS);
  await worker.terminate();
});

test("a context that a handler enters is its own across waits, and nobody else's", async () => {
  const listener = createListener("unix", "@netpoll-context-enter");
  const seen: (string | undefined)[] = [];
  const kept: boolean[] = [];
  const loop = new EventLoop(async ({ reader, writer }) => {
    seen.push(user.getStore());
    const name = `user ${reader.readByte()}`;
    user.enterWith(name);
    for (let n = 0; n < 3; n++) {
      writer.writeByte(n);
      await writer.flush();
      await reader.wait(1);
      reader.skip(1);
      reader.release();
      kept.push(user.getStore() === name);
    }
  });
  const served = loop.serve(listener);
  const connectionCount = 20;
  const clients = await Promise.all(
    Array.from({ length: connectionCount }, () => dial("unix", "@netpoll-context-enter")),
  );
  // All at once, so that one turn has many of them.
  await Promise.all(clients.map(async ({ reader, writer }, index) => {
    writer.writeByte(index);
    for (let n = 0; n < 3; n++) {
      await writer.flush();
      await reader.wait(1);
      reader.skip(1);
      writer.writeByte(n);
    }
    await writer.flush();
  }));
  await loop.shutdown();
  await served;
  assertEquals(seen, Array(connectionCount).fill(undefined));
  assertEquals(kept, Array(3 * connectionCount).fill(true));
  for (const client of clients) await client.close();
});

test("run() around work in a handler holds for that work, and for no other connection", async () => {
  const listener = createListener("unix", "@netpoll-context-run");
  const loop = new EventLoop(({ reader, writer }) => {
    const name = `user ${reader.readByte()}`;
    return user.run(name, async () => {
      await reader.wait(1);
      reader.release();
      writer.writeByte(user.getStore() === name ? reader.readByte() : 0);
      await writer.flush();
    });
  });
  const served = user.run("serve", () => loop.serve(listener));
  const answers = await Promise.all([1, 2, 3].map(async (index) => {
    await using client = await dial("unix", "@netpoll-context-run");
    client.writer.writeByte(index);
    await client.writer.flush();
    client.writer.writeByte(9);
    await client.writer.flush();
    await client.reader.wait(1);
    return client.reader.readByte();
  }));
  assertEquals(answers, [9, 9, 9]);
  await loop.shutdown();
  await served;
});

test("a handler of setOnRequest() runs in its connection's context, also for what was there", async () => {
  const [a, b] = user.run("pair", socketPair);
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  a.writer.writeString("x");
  await a.writer.flush();
  await b.reader.wait(1);
  user.run("other", () =>
    b.setOnRequest(({ reader }) => {
      reader.skip(reader.length);
      resolve(user.getStore());
    }));
  assertEquals(await promise, "pair");
  await a.close();
  await b.close();
});

test("waits and flushes go on in the context of whoever awaits them", async () => {
  const [a, b] = user.run("pair", socketPair);
  const waited = user.run("reader", async () => {
    await b.reader.wait(1);
    const byWait = user.getStore();
    await assertRejects(() => b.reader.wait(2));
    return [byWait, user.getStore()];
  });
  await user.run("writer", async () => {
    a.writer.writeString("x");
    await a.writer.flush();
    assertEquals(user.getStore(), "writer");
    await a.close();
    assertEquals(user.getStore(), "writer");
  });
  assertEquals(await waited, ["reader", "reader"]);
  await b.close();
});

test("getters of a ShardQueue run in the context of their add()", async () => {
  const [a, b] = socketPair();
  const queue = new ShardQueue(a);
  const seen: (string | undefined)[] = [];
  const getter = () => (seen.push(user.getStore()), null);
  await Promise.all(["one", "two"].map((name) => user.run(name, () => queue.add(getter))));
  assertEquals(seen, ["one", "two"]);
  await queue.close();
  await a.close();
  await b.close();
});

test("the signal of a request aborts in the context of its handler", async () => {
  const [a, b] = user.run("pair", socketPair);
  const codec = tagged(lengthPrefixed());
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const begun = Promise.withResolvers<void>();
  b.setOnRequest(responder(codec, (_body, { signal }) => {
    signal.addEventListener("abort", () => resolve(user.getStore()));
    begun.resolve();
    return promise.then(() => undefined);
  }));
  codec.encode(a.writer, { id: 1, body: new Uint8Array(1) });
  await a.writer.flush();
  await begun.promise;
  user.run("other", () => b.reset());
  assertEquals(await promise, "pair");
  await a.close();
});

test("a policy of one's own runs in the context in which it was given", () => {
  const seen: (string | undefined)[] = [];
  const own = user.run("cluster", () => balancer(() => (seen.push(user.getStore()), 0)));
  const newcomer = { address: { transport: "unix" as const, path: "" }, source: null };
  user.run("other", () => own.pick([{ index: 0, connectionCount: 0 }], newcomer));
  assertEquals(seen, ["cluster"]);
});

test("configure() sets a log that runs in the context of configure()", () => {
  const { log } = config;
  const seen: (string | undefined)[] = [];
  user.run("operator", () => configure({ log: () => void seen.push(user.getStore()) }));
  user.run("other", () => config.log("line", "warn"));
  configure({ log });
  assertEquals(seen, ["operator"]);
});
