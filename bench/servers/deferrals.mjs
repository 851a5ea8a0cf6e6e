/**
 * Ways to answer later than the handler returns. Each takes the answer as a function. Not TypeScript, as
 * the servers of node:net use it as well.
 */
import process from "node:process";
import { PassThrough } from "node:stream";
import { MessageChannel } from "node:worker_threads";
import { setImmediate } from "node:timers";

/** Ten links of a way, one after the other. */
function chained(way) {
  return (answer) => {
    let left = 10;
    const link = () => --left > 0 ? way(link) : answer();
    way(link);
  };
}

/** Through the "data" event of a stream, which keeps the order. */
function throughStream() {
  const stream = new PassThrough({ objectMode: true });
  stream.on("data", (answer) => answer());
  return (answer) => void stream.write(answer);
}

/** Through a message to ourselves. */
function throughChannel() {
  const { port1, port2 } = new MessageChannel();
  const waiting = [];
  port2.on("message", () => waiting.shift()());
  return (answer) => {
    waiting.push(answer);
    port1.postMessage(0);
  };
}

/** Makes a way by its name. */
export const WAYS = {
  direct: () => (answer) => answer(),
  queueMicrotask: () => queueMicrotask,
  nextTick: () => (answer) => process.nextTick(answer),
  setImmediate: () => (answer) => void setImmediate(answer),
  stream: throughStream,
  MessageChannel: throughChannel,
  "10 × nextTick": () => chained(WAYS.nextTick()),
  "10 × setImmediate": () => chained(WAYS.setImmediate()),
  "10 × stream": () => chained(throughStream()),
  "10 × MessageChannel": () => chained(throughChannel()),
};
