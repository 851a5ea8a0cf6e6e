import { assert, assertEquals } from "@std/assert";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { Cluster, steeredIndex } from "../../mod.ts";
import { killWorker } from "../../src/server/cluster.ts";
import { sent } from "../support/dgram.ts";
import { portOf, withExample } from "../support/example.ts";
import { until } from "../support/until.ts";

const POLLERS = 3;
const CLIENTS = 12;
const [OPENED, ECHO, UNKNOWN] = [129, 130, 131];

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
  assertEquals([answer.length, answer[0]], [9, OPENED]);
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

test("examples/connection_ids.ts answers no answers, and nothing that is short", async () => {
  await withExample("examples/connection_ids.ts", "127.0.0.1:0", async (at) => {
    const port = portOf(at);
    const socket = createSocket("udp4");
    const id = await open(socket, port, 7);
    const opened = Uint8Array.of(OPENED, ...id);
    const echo = await goOn(socket, port, id, "a");
    assertEquals(echo[0], ECHO);
    const unknown = await goOn(socket, port, id.with(7, id[7]! ^ 1), "a");
    assertEquals([unknown.length, unknown[0]], [9, UNKNOWN]);
    const heard: Uint8Array[] = [];
    socket.on("message", (message) => heard.push(message));
    for (const answer of [opened, echo, unknown]) await sent(socket, answer, port);
    const question = Uint8Array.of(2, ...id);
    // None of these is steered by a number: one poller, so that the last question comes last.
    for (let end = 0; end < 9; end++) await sent(socket, question.subarray(0, end), port);
    await goOn(socket, port, id, "last");
    assertEquals(heard.map((answer) => textOf(answer)), ["1 last"]);
    socket.close();
  }, { args: ["--pollers", "1"] });
});
