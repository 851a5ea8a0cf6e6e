/**
 * Clients that are not ours, over a bad network: node:net, socat, nc, and curl, which asks the HTTP
 * server of examples/http.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { connect } from "node:net";
import { pipeline } from "node:stream/promises";
import { assertEquals } from "@std/assert";
import { Fields } from "../../examples/http/head.ts";
import { type Answer, http } from "../../examples/http/service.ts";
import { SERVER_HOST } from "./bed.ts";
import { echo, PORT, type Scenario, serveWith, withFile, type Work } from "./scenario.ts";
import { digestOf, Sink, Source } from "./source.ts";

const PIECE_BYTES = 64 * 1024;
const MIB = 1024 * 1024;

/** A stream in pieces. */
function* pieces({ bytes, seed }: Work): Generator<Uint8Array> {
  const source = new Source(seed);
  while (source.count < bytes) yield source.take(Math.min(PIECE_BYTES, bytes - source.count));
}

/** Fails unless the whole stream comes. */
async function expectAll(from: AsyncIterable<Uint8Array>, { bytes, seed }: Work): Promise<void> {
  const sink = new Sink(seed);
  for await (const piece of from) sink.add(piece);
  assertEquals([sink.count, sink.digest()], [bytes, digestOf(seed, bytes)]);
}

const node: Scenario = {
  title: "an echo for node:net",
  serve: () => serveWith(echo),
  async call(work) {
    const socket = connect({ host: SERVER_HOST, port: PORT, allowHalfOpen: true });
    await Promise.all([pipeline(pieces(work), socket, { end: true }), expectAll(socket, work)]);
  },
};

/** A program that sends what it reads, and writes what comes. */
function piped(title: string, ...argv: readonly [string, ...string[]]): Scenario {
  const [file, ...args] = argv;
  return {
    title,
    tools: [file],
    serve: () => serveWith(echo),
    async call(work) {
      const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
      const ended = new Promise((resolve) => child.once("close", resolve));
      await Promise.all([pipeline(pieces(work), child.stdin), expectAll(child.stdout, work)]);
      assertEquals(await ended, 0);
    },
  };
}

const back: Answer = async ({ body }, response) => {
  response.begin(200, new Fields({ "Content-Type": "application/octet-stream" }));
  for await (const piece of body) {
    response.write(piece);
    await response.flush();
  }
};

const curled: Scenario = {
  title: "an HTTP server for curl",
  tools: ["curl"],
  bytesMax: 64 * MIB,
  serve: ({ bytes }) => serveWith(http(back, { bodyBytesMax: bytes })),
  async call(work) {
    await withFile(work, async (sent) => {
      const got = `${sent}.back`;
      const url = `http://${SERVER_HOST}:${PORT}/`;
      const args = ["-sSf", "--expect100-timeout", "60", "-T", sent, "-o", got, url];
      const child = spawn("curl", args, { stdio: ["ignore", "ignore", "inherit"] });
      assertEquals(await new Promise((resolve) => child.once("close", resolve)), 0);
      const hash = createHash("sha256");
      await pipeline(createReadStream(got), hash);
      assertEquals(hash.digest("hex"), digestOf(work.seed, work.bytes));
    });
  },
};

/** By name. */
export const STRANGERS: Readonly<Record<string, Scenario>> = {
  "node": node,
  "socat": piped("an echo for socat", "socat", "-t", "600", "-", `TCP:${SERVER_HOST}:${PORT}`),
  "nc": piped("an echo for nc", "nc", "-N", SERVER_HOST, `${PORT}`),
  "curl": curled,
};
