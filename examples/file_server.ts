// deno run --allow-ffi --allow-net --allow-read examples/file_server.ts   or   bun examples/file_server.ts

/**
 * Serves the files below a directory over HTTP/1.1, at localhost:8080 and from "." or as given: GET
 * and HEAD, ranges, keep-alive. The kernel sends the files. Try: curl localhost:8080/README.md
 *
 * @module
 */
import "./one_line.ts";
import { realpathSync, statSync } from "node:fs";
import { extname, join, sep } from "node:path";
import process from "node:process";
import { createListener, EventLoop, shutdownOnSignals } from "../mod.ts";
import { Fields, NO_FIELDS } from "./http/head.ts";
import type { HttpRequest } from "./http/request.ts";
import { type Answer, http } from "./http/service.ts";

const TYPES: Record<string, string> = { ".html": "text/html", ".txt": "text/plain" };
const root = realpathSync(process.argv[3] ?? ".");

/** The file that a request is for; null if there is none, or it lies outside, by links as well. */
function locate(path: string): { path: string; size: number } | null {
  try {
    const real = realpathSync(join(root, decodeURIComponent(path)));
    const isInside = real.startsWith(root.endsWith(sep) ? root : root + sep);
    const about = statSync(real);
    return isInside && about.isFile() ? { path: real, size: about.size } : null;
  } catch {
    return null;
  }
}

/** The part that "bytes=0-99", "bytes=100-" or "bytes=-5" ask for; all of it for anything else. */
function rangeOf(field: string, size: number): { offset: number; length: number } | null {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/i.exec(field) ?? [];
  if (first === "" && last === "") return { offset: 0, length: size };
  const offset = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return offset < end ? { offset, length: end - offset } : null;
}

/**
 * The part that is asked for. GET alone has parts, and nobody can ask for one of a certain version
 * (If-Range), since the files here have none (RFC 9110 §13.1.5, §14.2).
 */
function partOf(request: HttpRequest): string {
  const isWhole = request.method !== "GET" || request.field("If-Range") !== null;
  return isWhole ? "" : request.field("Range") ?? "";
}

const answer: Answer = async (request, response) => {
  const { method, path } = request;
  const file = locate(path);
  const range = file && rangeOf(partOf(request), file.size);
  if (method !== "GET" && method !== "HEAD") {
    response.send(405, new Fields({ Allow: "GET, HEAD" }));
  } else if (file === null) response.send(404, NO_FIELDS);
  else if (range === null) {
    response.send(416, new Fields({ "Content-Range": `bytes */${file.size}` }));
  } else {
    const { offset, length } = range;
    const type = { "Content-Type": TYPES[extname(file.path)] ?? "application/octet-stream" };
    const part = { "Content-Range": `bytes ${offset}-${offset + length - 1}/${file.size}` };
    const isPart = length < file.size;
    const fields = new Fields({ ...type, ...(isPart ? part : { "Accept-Ranges": "bytes" }) });
    await response.sendFile(isPart ? 206 : 200, fields, file.path, range);
  }
};

const onError = (error: unknown) => console.error(`A client was cut off: ${error}`);
const loop = new EventLoop(http(answer), { idleTimeoutMs: 60_000, onError });
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });
const listener = createListener("tcp", process.argv[2] ?? "localhost:8080");
const { address } = listener;
const at = address.transport === "tcp" ? `${address.hostname}:${address.port}` : address.path;
console.log(`Listening on ${at}; Ctrl-C stops it`);
await loop.serve(listener);
console.log("Stopped");
