// deno run --allow-ffi --allow-net --allow-read examples/file_server.ts   or   bun examples/file_server.ts

/**
 * Serves the files below a directory over HTTP/1.1, at localhost:8080 and from "." or as given: GET
 * and HEAD, ranges, keep-alive. The kernel sends the files. Try: curl localhost:8080/README.md
 *
 * @module
 */
import { realpathSync, statSync } from "node:fs";
import { extname, join, sep } from "node:path";
import process from "node:process";
import { type Connection, createListener, EventLoop, shutdownOnSignals } from "../mod.ts";

const HEAD_BYTES_MAX = 16 * 1024;
const END_OF_HEAD = new TextEncoder().encode("\r\n\r\n");
const TYPES: Record<string, string> = { ".html": "text/html", ".txt": "text/plain" };
const root = realpathSync(process.argv[3] ?? ".");

/** The file that a request is for; null if there is none, or it lies outside, by links as well. */
function locate(target: string): { path: string; size: number } | null {
  try {
    const path = realpathSync(join(root, decodeURIComponent(target.replace(/\?.*/, ""))));
    const isInside = path.startsWith(root.endsWith(sep) ? root : root + sep);
    const about = statSync(path);
    return isInside && about.isFile() ? { path, size: about.size } : null;
  } catch {
    return null;
  }
}

/** What "bytes=0-99", "bytes=100-" or "bytes=-5" ask for; all of it for anything else. */
function rangeOf(field: string, size: number): { offset: number; length: number } | null {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(field) ?? [];
  if (first === "" && last === "") return { offset: 0, length: size };
  const offset = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  return offset < end ? { offset, length: end - offset } : null;
}

/** Answers one request; a client that sends what is none, or something behind it, is closed. */
async function answer(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  const head = reader.readString(await reader.waitUntil(END_OF_HEAD, { maxBytes: HEAD_BYTES_MAX }));
  reader.release();
  const [, method = "", target = "", minor = ""] =
    /^(\S+) (\/\S*) HTTP\/1\.([01])\r\n/.exec(head) ?? [];
  const field = (name: string) =>
    new RegExp(`^${name}:[ \t]*(.*?)[ \t]*\r$`, "im").exec(head)?.[1] ?? "";
  const hasBody = field("Content-Length") !== "" || field("Transfer-Encoding") !== "";
  const stays = minor === "1" && !hasBody && !/close/i.test(field("Connection"));
  const begin = (status: string, length: number, ...fields: string[]) => {
    const all = [`Content-Length: ${length}`, ...fields, ...(stays ? [] : ["Connection: close"])];
    writer.writeString(`HTTP/1.1 ${status}\r\n${all.join("\r\n")}\r\n\r\n`);
  };

  const file = locate(target);
  const range = file && rangeOf(field("Range"), file.size);
  if (minor === "") begin("400 Bad Request", 0);
  else if (method !== "GET" && method !== "HEAD") begin("405 Not Allowed", 0, "Allow: GET, HEAD");
  else if (file === null) begin("404 Not Found", 0);
  else if (range === null) begin("416 Not in Range", 0, `Content-Range: bytes */${file.size}`);
  else {
    const { offset, length } = range;
    const type = `Content-Type: ${TYPES[extname(file.path)] ?? "application/octet-stream"}`;
    const part = `Content-Range: bytes ${offset}-${offset + length - 1}/${file.size}`;
    if (length < file.size) begin("206 Partial Content", length, type, part);
    else begin("200 OK", length, type, "Accept-Ranges: bytes");
    if (method === "GET") await connection.sendFile(file.path, { offset, length });
  }
  await writer.flush();
  if (!stays) await connection.close();
}

const onError = (error: unknown) => console.error(`A client was cut off: ${error}`);
const loop = new EventLoop(answer, { idleTimeoutMs: 60_000, onError });
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });
const listener = createListener("tcp", process.argv[2] ?? "localhost:8080");
const { address } = listener;
const at = address.transport === "tcp" ? `${address.hostname}:${address.port}` : address.path;
console.log(`Listening on ${at}; Ctrl-C stops it`);
await loop.serve(listener);
console.log("Stopped");
