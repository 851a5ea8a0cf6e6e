// deno run --allow-ffi --allow-net examples/rpc_client.ts   or   bun examples/rpc_client.ts

/**
 * Asks examples/rpc_server.ts, at localhost:6385 or the address given: in one go, out of order, with
 * a deadline, with second thoughts, and as fast as it can.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { dial, type FrameInput, Multiplexer, type RequestOptions } from "../mod.ts";
import { codec, Method, Status } from "./rpc/protocol.ts";

const BURST_COUNT = 20_000;
const BURST_AT_ONCE = 500;

const address = process.argv[2] ?? "localhost:6385";
const connection = await dial("tcp", address, { timeoutMs: 5000 });
await using client = new Multiplexer(connection, codec, { timeoutMs: 5000 });

/** Asks for a method. The rest of the answer, **owned**; throws what the server says went wrong. */
async function call(
  method: number,
  rest: Uint8Array | string,
  options?: RequestOptions,
): Promise<Uint8Array> {
  const request: FrameInput = [Uint8Array.of(method), rest];
  const answer = await client.request(request, options);
  const body = answer.subarray(1);
  if (answer[0] === Status.FINE) return body;
  throw new Error(new TextDecoder().decode(body));
}

function sleep(milliseconds: number, options?: RequestOptions): Promise<Uint8Array> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, milliseconds);
  return call(Method.SLEEP, bytes, options);
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const why = (error: unknown) => `${(error as Error).name}: ${(error as Error).message}`;

// All of them leave in one system call.
const answers = await Promise.all(["one", "two", "three"].map((word) => call(Method.ECHO, word)));
console.log(`in one go: ${answers.map(text).join(", ")}`);

const order: string[] = [];
await Promise.all([
  sleep(50).then(() => order.push("the slow one")),
  call(Method.ECHO, "quick").then(() => order.push("the quick one")),
]);
console.log(`out of order: first ${order.join(", then ")}`);

// The connection goes on; an answer that comes too late is dropped.
console.log(`deadline: ${await sleep(1000, { timeoutMs: 20 }).catch(why)}`);

const thoughts = new AbortController();
const unwanted = sleep(1000, { signal: thoughts.signal });
thoughts.abort(new Error("never mind"));
console.log(`cancelled: ${await unwanted.catch(why)}`);

console.log(`refused: ${await call(77, "").catch(why)}`);

/** Asks one after the other; many of these run at once. */
async function ask(count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const answer = text(await call(Method.ECHO, `message ${n}`));
    if (answer !== `message ${n}`) throw new Error(`another answer came: ${answer}`);
  }
}

const from = performance.now();
await Promise.all(Array.from({ length: BURST_AT_ONCE }, () => ask(BURST_COUNT / BURST_AT_ONCE)));
const seconds = (performance.now() - from) / 1000;
const rate = Math.round(BURST_COUNT / seconds).toLocaleString("en");
console.log(`a burst: ${BURST_COUNT} requests in ${seconds.toFixed(2)} s, ${rate} a second`);
