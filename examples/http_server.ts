// deno run --allow-ffi --allow-net examples/http_server.ts   or   bun examples/http_server.ts

/**
 * An HTTP/1.1 server, at localhost:8080 or the address given, which may be a path: then it is a
 * Unix socket. With the files of a key and a certificate behind the address it speaks HTTPS; with
 * those of authorities, too, clients must show a certificate. The protocol is in examples/http/;
 * this is what a service adds to it.
 *
 * @module
 */
import "./one_line.ts";
import { createHash } from "node:crypto";
import { METHODS } from "node:http";
import process from "node:process";
import { createListener, EventLoop, shutdownOnSignals } from "../mod.ts";
import { Fields } from "./http/head.ts";
import { type Answer, http } from "./http/service.ts";
import { tlsOf } from "./tls_files.ts";

const TEXT = new Fields({ "Content-Type": "text/plain" });
const JSON_TYPE = new Fields({ "Content-Type": "application/json" });
const COUNT_MAX = 1_000_000;

/** A path, its methods, and its handler. */
interface Route {
  readonly methods: readonly string[];
  readonly answer: Answer;
}

const hello: Answer = (_, response) => response.send(200, TEXT, "Hello, World!");

/** Sends the body back while it comes. */
const echo: Answer = async ({ body }, response) => {
  response.begin(200, TEXT);
  for await (const piece of body) {
    response.write(piece);
    await response.flush(); // a lent piece may be written, and is over at the next step
  }
};

/** Reads the body piece by piece, and holds no more of it than one. */
const digest: Answer = async ({ body }, response) => {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of body) {
    hash.update(piece); // a lent view is enough: it is read before the next step
    bytes += piece.length;
  }
  response.send(200, JSON_TYPE, JSON.stringify({ bytes, sha256: hash.digest("hex") }));
};

/** Sends as many lines as the query says, as fast as the client reads them. */
const count: Answer = async ({ target }, response) => {
  const last = Number(/[?&]to=(\d+)/.exec(target)?.[1] ?? 10);
  if (last > COUNT_MAX) return response.send(400, TEXT, `Cannot count above ${COUNT_MAX}\n`);
  response.begin(200, TEXT);
  for (let n = 1; n <= last; n++) {
    response.write(`${n}\n`);
    if (n % 1000 === 0) await response.flush();
  }
};

const routes = new Map<string, Route>([
  ["/", { methods: ["GET", "HEAD"], answer: hello }],
  ["/echo", { methods: ["POST", "PUT"], answer: echo }],
  ["/digest", { methods: ["POST", "PUT"], answer: digest }],
  ["/count", { methods: ["GET", "HEAD"], answer: count }],
]);

/** The methods that OPTIONS tells of "*", which is no path: those of all paths. */
const ALL: Route = { methods: ["GET", "HEAD", "POST", "PUT"], answer: hello };

const answer: Answer = (request, response) => {
  const route = request.path === "*" ? ALL : routes.get(request.path);
  // A method that is known, and not meant for a path, is another matter (RFC 9110 §9.1).
  if (!METHODS.includes(request.method)) {
    return response.send(501, TEXT, "There is no such method\n");
  }
  if (route === undefined) return response.send(404, TEXT, `There is no ${request.path}\n`);
  if (route.methods.includes(request.method)) return route.answer(request, response);
  const allow = new Fields({ Allow: ["OPTIONS", ...route.methods].join(", ") });
  response.send(request.method === "OPTIONS" ? 204 : 405, allow);
};

const [at = "localhost:8080", ...files] = process.argv.slice(2);
const isUnix = at.includes("/") || at.startsWith("@");
const tls = tlsOf(files);
const listener = createListener(isUnix ? "unix" : "tcp", at, {
  tls: tls && { ...tls, alpnProtocols: ["http/1.1"] },
});
const loop = new EventLoop(http(answer, { bodyBytesMax: 64 * 1024 * 1024 }), {
  connectionsMax: 10_000,
  readTimeoutMs: 10_000, // a head, or the next piece of a body
  writeTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  onError: (error) => console.error(`A client was cut off: ${error}`),
});

// Ctrl-C: requests that run may finish, within the time given.
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });
const { address } = listener;
const isTcp = address.transport === "tcp";
const place = isTcp ? `${address.hostname}:${address.port}` : address.path;
const curl = (isTcp ? "curl " : `curl --unix-socket ${place} `) +
  (tls === undefined ? "" : `--cacert ${files[1]} https://`) + (isTcp ? place : "localhost");
console.log(`Listening on ${place}; Ctrl-C drains it`);
console.log(`Try: ${curl}   ${curl}/count?to=5   ${curl}/digest -T README.md`);
await loop.serve(listener);
console.log("Stopped");
