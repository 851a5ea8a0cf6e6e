import { assert, assertEquals } from "@std/assert";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { Cluster, steeredIndex } from "../../mod.ts";
import { killWorker } from "../../src/server/cluster.ts";
import { portOf, withExample } from "../support/example.ts";
import { until } from "../support/until.ts";

const POLLERS = 3;
const CLIENTS = 12;
const UNKNOWN = 3;

/** A client of others' making: the runtime's own. It asks again when no answer comes. */
async function ask(socket: Socket, port: number, question: Uint8Array): Promise<Uint8Array> {
  const answered = once(socket, "message");
  const again = setInterval(() => socket.send(question, port, "127.0.0.1"), 1000);
  socket.send(question, port, "127.0.0.1");
  const [answer] = await answered;
  clearInterval(again);
  return answer;
}

/** A number of a client's, which opens a connection. */
const invented = (n: number) => Uint8Array.of(n, 0, 0, 0, 0, 0, 0, 0);

async function open(socket: Socket, port: number, n: number): Promise<Uint8Array> {
  const answer = await ask(socket, port, Uint8Array.of(1, ...invented(n)));
  assertEquals([answer.length, answer[0]], [9, 1]);
  return answer.slice(1);
}

function goOn(socket: Socket, port: number, id: Uint8Array, text: string): Promise<Uint8Array> {
  return ask(socket, port, Uint8Array.of(2, ...id, ...new TextEncoder().encode(text)));
}

const textOf = (answer: Uint8Array) => new TextDecoder().decode(answer.subarray(9));

test("examples/connection_ids.ts goes on with a client whose address has changed", async () => {
  const ended = await withExample("examples/connection_ids.ts", "127.0.0.1:0", async (at) => {
    const port = portOf(at);
    const first = createSocket("udp4");
    const id = await open(first, port, 7);
    assertEquals(textOf(await goOn(first, port, id, "a")), "0 a");
    first.close();
    const second = createSocket("udp4");
    assertEquals(textOf(await goOn(second, port, id, "b")), "1 b");
    second.close();
  }, { args: ["--pollers", `${POLLERS}`] });
  assertEquals(ended, { code: 0, signal: null, stderr: "" });
});

test("examples/connection_ids.ts loses the connections of a Worker that dies, and no others", async () => {
  const handler = new URL("../../examples/connection_ids.ts", import.meta.url);
  const cluster = new Cluster(handler, { pollerCount: POLLERS, onWorkerError: () => {} });
  const sockets = Array.from({ length: CLIENTS }, () => createSocket("udp4"));
  try {
    const steer = { steerOffset: 1, steerLengthBytes: 8 };
    const { port } = await cluster.bindDatagram("udp", "127.0.0.1:0", steer);
    const ids: Uint8Array[] = [];
    for (const [n, socket] of sockets.entries()) ids.push(await open(socket, port, n));
    const pollers = ids.map((id) => steeredIndex(id, POLLERS));
    assertEquals(pollers, ids.map((_, n) => steeredIndex(invented(n), POLLERS)));
    assertEquals(new Set(pollers).size, POLLERS);
    killWorker(cluster, 1);
    await until(() => cluster.pollers.length < POLLERS, "the Worker has ended");
    for (const [n, socket] of sockets.entries()) {
      const answer = await goOn(socket, port, ids[n]!, "still here?");
      if (pollers[n] === 1) assertEquals(answer[0], UNKNOWN);
      else assertEquals(textOf(answer), "0 still here?");
    }
    assert(await open(sockets[1]!, port, 1), "it opens another one");
  } finally {
    for (const socket of sockets) socket.close();
    await cluster.shutdown({ timeoutMs: 100 });
  }
});
