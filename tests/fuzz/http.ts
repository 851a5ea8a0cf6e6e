/**
 * The HTTP parser of the examples beside Node's, llhttp: requests in which one could be smuggled past
 * the other. Ours may refuse what llhttp takes. What it takes, both read alike.
 */
import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { METHODS } from "node:http";
import { ClosedError, socketPair } from "../../mod.ts";
import { NO_FIELDS } from "../../examples/http/head.ts";
import { http } from "../../examples/http/service.ts";
import { Program } from "../../scripts/program.ts";
import type { Random } from "../support/random.ts";
import { FOLDER } from "./native.ts";
import { mutated, type Target } from "./target.ts";

/** The method, the target and the body of a request that came in full. */
type Read = readonly [method: string, target: string, body: string];

const HANG_MS = 10_000;
const TARGETS = [
  "/",
  "/a?b=c",
  "*",
  "http://h/p",
  "http://h",
  "//h/",
  "/#x",
  "/\x80",
  "h:80",
  "/a b",
  "",
];
const SOME_METHODS = [
  "GET",
  "POST",
  "PUT",
  "HEAD",
  "OPTIONS",
  "DELETE",
  "GET ",
  "CONNECT",
];
const VERSIONS = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "http/1.1",
  "HTTP/1.1 ",
  "HTTP/01.1",
];
const ENDS = [
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\r\n",
  "\n",
  "\r",
  "\r\r\n",
  "\r\n ",
];
const LENGTHS = [
  "5",
  "5",
  "0",
  "+5",
  "-5",
  "05",
  "5 ",
  " 5",
  "5,5",
  "5, 5",
  "0x5",
  "5\x0b",
  "",
  "99999999999999999999",
  "5;",
  "1e1",
];
const CODINGS = [
  "chunked",
  "chunked",
  "Chunked",
  "xchunked",
  "chunked, identity",
  "identity",
  "gzip, chunked",
  "chunked\x0b",
  "\x0bchunked",
  "chunked,",
  ", chunked",
  '"chunked"',
  "chunked;q=1",
];
const OTHERS = [
  "Host: h",
  "Host: a",
  "host: h",
  "Host : h",
  "Host: h@i",
  "Connection: close",
  "Connection: keep-alive",
  "Connection: close, x",
  "Expect: 100-continue",
  "X: y",
  "X:",
  ": x",
  "X",
  " folded: 1",
  "X\0: 1",
  "X: \0",
  "X: a\rb",
  "Upgrade: h2c",
  "Content_Length: 3",
  "Trailer: X",
];
const CHUNKS = [
  "5\r\nhello\r\n0\r\n\r\n",
  "5\r\nhello\r\n0\r\n\r\n",
  "5;a=b\r\nhello\r\n0\r\n\r\n",
  "5 \r\nhello\r\n0\r\n\r\n",
  "5\nhello\r\n0\r\n\r\n",
  "0x5\r\nhello\r\n0\r\n\r\n",
  "05\r\nhello\r\n00\r\n\r\n",
  "+5\r\nhello\r\n0\r\n\r\n",
  "5\r\nhello0\r\n\r\n",
  "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
  "5\r\nhello\r\n0\r\nHost: a\n\r\n",
  "5;\r\nhello\r\n0\r\n\r\n",
  "5;a\nhello\r\n0\r\n\r\n",
  "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
  "5\r\nhello\r\n\r\n",
  "5\r\nhello\r\n0\r\n\n",
  '5;a="\n"\r\nhello\r\n0\r\n\r\n',
  "5\r\nhello\n0\r\n\r\n",
];

function field(random: Random): string {
  const kind = random.below(6);
  if (kind === 0) return `Content-Length:${random.pick(["", " ", "\t"])}${random.pick(LENGTHS)}`;
  if (kind === 1) return `Transfer-Encoding:${random.pick(["", " "])}${random.pick(CODINGS)}`;
  if (kind === 2) {
    return random.pick([
      "Content-Length : 5",
      "Transfer-Encoding : chunked",
      "Content-Length\x0b: 5",
    ]);
  }
  return random.pick(OTHERS);
}

/** A request: mostly one that is right, with one thing or two that are not. */
function request(random: Random): string {
  const isRight = () => random.chance(0.85);
  const line = [
    isRight() ? random.pick(["GET", "POST"]) : random.pick(SOME_METHODS),
    isRight() ? "/" : random.pick(TARGETS),
    isRight() ? "HTTP/1.1" : random.pick(VERSIONS),
  ].join(" ");
  const fields = random.chance(0.9) ? ["Host: h"] : [];
  const body = random.pick(["", "hello", random.pick(CHUNKS)]);
  if (body === "hello") fields.push(`Content-Length: ${isRight() ? "5" : random.pick(LENGTHS)}`);
  else if (body !== "") {
    fields.push(`Transfer-Encoding: ${isRight() ? "chunked" : random.pick(CODINGS)}`);
  }
  while (random.chance(0.35)) fields.splice(random.below(fields.length + 1), 0, field(random));
  const end = () => random.chance(0.97) ? "\r\n" : random.pick(ENDS);
  return [line, ...fields].map((text) => text + end()).join("") + end() + body;
}

function payload(random: Random): Uint8Array {
  const texts = Array.from({ length: 1 + random.below(2) }, () => request(random));
  const bytes = Buffer.from(`${texts.join("")}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n`, "latin1");
  return random.chance(0.2) ? mutated(random, bytes) : new Uint8Array(bytes);
}

/** The requests that the example's parser finds. */
async function oursOf(random: Random, bytes: Uint8Array): Promise<Read[]> {
  const found: Read[] = [];
  const [server, client] = socketPair();
  server.setOnRequest(http(async ({ method, target, body }, response) => {
    const all = await body.bytes();
    found.push([method, target, Buffer.from(all).toString("base64")]);
    response.send(200, NO_FIELDS, "");
  }));
  const cut = random.below(bytes.length + 1);
  for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
    client.writer.writeBinary(piece);
    await client.writer.flush().catch(() => {}); // refused already
  }
  await client.closeWrite().catch(() => {});
  const signal = AbortSignal.timeout(HANG_MS);
  try {
    for (;;) {
      await client.reader.wait(1, { signal });
      client.reader.skip(client.reader.length);
      client.reader.release();
    }
  } catch (error) {
    if (!(error instanceof ClosedError)) throw error;
  } finally {
    await Promise.all([server.close({ timeoutMs: 1000 }), client.close({ timeoutMs: 1000 })]);
  }
  return found;
}

let node: Program | null = null;

async function theirsOf(bytes: Uint8Array): Promise<Read[]> {
  node ??= new Program({ argv: ["node", `${FOLDER}http_peer.mjs`], hasInput: true });
  node.write(`${Buffer.from(bytes).toString("base64")}\n`);
  return JSON.parse(await node.line());
}

async function httpCase(random: Random): Promise<void> {
  const bytes = payload(random);
  const [ours, theirs] = await Promise.all([oursOf(random, bytes), theirsOf(bytes)]);
  // Ours may be stricter, and stops at the first that it refuses. Two things it takes that llhttp does not:
  // methods that nobody knows, which it leaves to the service (501), and HTTP/1.2, which is to be
  // taken for 1.1 (RFC 9110 §2.5).
  const unknownAt = ours.findIndex(([method]) => !METHODS.includes(method));
  if (unknownAt >= 0) ours.length = unknownAt;
  const what = JSON.stringify(Buffer.from(bytes).toString("latin1"));
  if (/HTTP\/1\.[2-9]/.test(what)) return;
  assertEquals(ours, theirs.slice(0, ours.length), what);
}

export const HTTP_TARGETS: readonly Target[] = [{
  name: "http",
  what: "the example's HTTP parser reads each request that it takes as llhttp does",
  absence: spawnSync("node", ["--version"]).status === 0 ? null : "needs node",
  run: httpCase,
  close: async () => {
    await node?.stop();
    node = null;
  },
}];
