/**
 * Clients by the runtime's own connect, or on node:net in any runtime:
 * `client.mjs connect|net PORT CONNECTIONS SECONDS`.
 */
import net from "node:net";
import process from "node:process";
import { checkAnswer, done, measure, REQUEST } from "../servers/requests.mjs";

const { Bun, Deno } = globalThis;
const [style] = process.argv.slice(2);
const [port, connections, seconds] = process.argv.slice(3).map(Number);
const at = { hostname: "127.0.0.1", port };

/** Takes an answer, and asks again. */
function onAnswer(socket, bytes) {
  checkAnswer(bytes);
  done.count += 1;
  socket.write(REQUEST);
}

async function askByBun() {
  (await Bun.connect({ ...at, socket: { data: onAnswer } })).write(REQUEST);
}

async function askByDeno() {
  const connection = await Deno.connect(at);
  const answer = new Uint8Array(1024);
  connection.setNoDelay();
  (async () => {
    for (;;) {
      await connection.write(REQUEST);
      const count = await connection.read(answer);
      checkAnswer(answer.subarray(0, count ?? 0));
      done.count += 1;
    }
  })();
}

function askByNode() {
  const socket = net.connect({ port, host: at.hostname, noDelay: true });
  socket.on("data", (bytes) => onAnswer(socket, bytes));
  socket.on("connect", () => socket.write(REQUEST));
}

const ask = style === "net" ? askByNode : Bun ? askByBun : askByDeno;
for (let i = 0; i < connections; i++) await ask();
measure(seconds);
