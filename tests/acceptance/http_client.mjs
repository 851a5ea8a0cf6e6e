/**
 * node:http with an agent of 20 kept connections: `http_client.mjs URL COUNT`. Posts bodies of all
 * sizes, with a length and in chunks, and compares what comes back. Prints what it found as JSON.
 */
import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import process from "node:process";

const [, , url, count] = process.argv;
const AT_ONCE = 20;
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
const sockets = new Set();
let [left, requests, wrong] = [Number(count), 0, 0];

function echo(body, isChunked) {
  return new Promise((resolve, reject) => {
    const headers = isChunked ? {} : { "Content-Length": body.length };
    const asked = request(`${url}/echo`, { agent, method: "POST", headers }, (response) => {
      const received = [];
      response.on("data", (chunk) => received.push(chunk));
      response.on("end", () => resolve(Buffer.concat(received)));
      response.on("error", reject);
    });
    asked.on("socket", (socket) => sockets.add(socket));
    asked.on("error", reject);
    asked.write(body.subarray(0, body.length / 2));
    asked.end(body.subarray(body.length / 2));
  });
}

async function ask() {
  while (left-- > 0) {
    const body = randomBytes(Math.floor(2 ** (Math.random() * 17)));
    const back = await echo(body, requests % 2 === 0);
    requests += 1;
    if (!back.equals(body)) wrong += 1;
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, ask));
agent.destroy();
console.log(JSON.stringify({ requests, sockets: sockets.size, wrong }));
