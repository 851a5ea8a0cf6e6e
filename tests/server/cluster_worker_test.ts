import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { Cluster, createListener, NetpollError } from "../../mod.ts";
import { isClusterWorker } from "../../src/server/cluster_worker.ts";
import { withModule } from "../support/handlers.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon } from "../support/until.ts";

const MOD = new URL("../../mod.ts", import.meta.url).href;

test("isClusterWorker is false where no cluster has begun", () => {
  assertEquals(isClusterWorker, false);
});

test("a cluster in the Worker of a cluster is refused", async () => {
  const text = `
    import { Cluster } from "${MOD}";
    export const onRequest = () => {};
    new Cluster(new URL(import.meta.url));`;
  await withModule(text, async (url) => {
    const served = new Cluster(url, { pollerCount: 1 }).serve(createListener("tcp", "127.0.0.1:0"));
    await assertRejects(() => soon(served), NetpollError, "in the Worker of a cluster");
  });
});

test("setup() learns where it runs and what the cluster was given, callbacks the context", async () => {
  const text = `
    let where;
    export const setup = async (context) => { await null; where = context; };
    export const onPrepare = () => 40;
    export const onConnect = (_, context) => context + 2;
    export const onRequest = ({ reader, writer }, context) => {
      reader.skip(reader.length);
      reader.release();
      writer.writeString(JSON.stringify({ ...where, context }));
      void writer.flush();
    };`;
  await withModule(text, async (url) => {
    const cluster = new Cluster(url, { pollerCount: 2, data: { a: [1] } });
    const listener = createListener("tcp", "127.0.0.1:0");
    const served = cluster.serve(listener);
    for (const index of [0, 1]) {
      const peer = new RawPeer(listener);
      peer.send("x");
      const expected = { index, pollerCount: 2, data: { a: [1] }, context: 42 };
      const answer = await peer.receive(JSON.stringify(expected).length);
      assertEquals(JSON.parse(answer), expected);
      peer.close();
    }
    await cluster.shutdown({ timeoutMs: 100 });
    await soon(served);
  });
});

test("remoteAddress is known in a Worker, also after the peer has gone", async () => {
  const text = `
    export const onRequest = ({ reader, writer, remoteAddress, localAddress }) => {
      reader.skip(reader.length);
      reader.release();
      writer.writeString(\`\${remoteAddress.hostname} \${localAddress.port}\`);
      void writer.flush();
    };`;
  await withModule(text, async (url) => {
    const cluster = new Cluster(url, { pollerCount: 1 });
    const listener = createListener("tcp", "127.0.0.1:0");
    const served = cluster.serve(listener);
    const peer = new RawPeer(listener, "127.0.0.9");
    peer.send("x");
    peer.end();
    const { port } = listener.address as { port: number };
    assertEquals(await peer.receiveAll(), `127.0.0.9 ${port}`);
    peer.close();
    await cluster.shutdown({ timeoutMs: 100 });
    await soon(served);
  });
});

test("connectionsMax of a module holds for each Worker: more connections wait", async () => {
  const text = `
    export const options = { connectionsMax: 1 };
    export const onRequest = ({ reader, writer }) => {
      writer.writeString(reader.readString(reader.length));
      void writer.flush();
      reader.release();
    };`;
  await withModule(text, async (url) => {
    const cluster = new Cluster(url, { pollerCount: 1 });
    const listener = createListener("tcp", "127.0.0.1:0");
    const served = cluster.serve(listener);
    const [first, second] = [new RawPeer(listener), new RawPeer(listener)];
    first.send("one");
    assertEquals(await first.receive(3), "one");
    second.send("two");
    first.send("more");
    assertEquals(await first.receive(7), "onemore");
    assertEquals(second.received, "");
    assertEquals(cluster.connectionCount, 2);
    first.close();
    assertEquals(await second.receive(3), "two");
    second.close();
    await cluster.shutdown({ timeoutMs: 100 });
    await soon(served);
  });
});

test("the end of any Worker gives back what it had opened with netpoll", async () => {
  const text = `
    import { parentPort } from "node:worker_threads";
    import { createListener, EventLoop, socketPair } from "${MOD}";
    void new EventLoop(null).serve(createListener("tcp", "127.0.0.1:0"));
    const [a, b] = socketPair();
    a.writer.writeString("x");
    await a.writer.flush();
    await b.reader.wait(1);
    parentPort.postMessage("ready");`;
  const run = () =>
    withModule(text, async (url) => {
      const worker = new Worker(fileURLToPath(url.href));
      await soon(new Promise((resolve) => worker.once("message", resolve)), "it is ready");
      await worker.terminate();
    });
  await run(); // what a runtime opens for its first Worker, it keeps
  await leaks(run);
});
