// deno run --allow-ffi --allow-net --allow-write examples/upload_server.ts   or   bun examples/upload_server.ts

/**
 * Stores what is uploaded over HTTP/1.1 (PUT with a Content-Length), at localhost:8080 and below "."
 * or as given, and answers with the SHA-256 of it. A file has its name when it is whole, and not
 * before. Try: curl -T README.md localhost:8080/copy.md
 *
 * `upload_server.ts [HOST:PORT] [DIRECTORY] [--no-hash]`: without the hash the bytes are spliced.
 *
 * @module
 */
import "./one_line.ts";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import {
  type Connection,
  createListener,
  EventLoop,
  NetpollError,
  ReceiveFileError,
  shutdownOnSignals,
} from "../mod.ts";

const HEAD_BYTES_MAX = 16 * 1024;
const UPLOAD_BYTES_MAX = 16 * 1024 ** 3;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { "no-hash": { type: "boolean" } },
});
const directory = positionals[1] ?? ".";
let count = 0;

/** A request as far as it matters here; a status where it is refused. */
function readHead(head: string): { name: string; bytes: number; waits: boolean } | string {
  const [, method, name] = /^(\S+) \/([\w][\w.-]*) HTTP\/1\.1\r\n/.exec(head) ?? [];
  if (name === undefined) return "400 Bad Request";
  if (method !== "PUT") return "405 Method Not Allowed";
  if (/^transfer-encoding:/mi.test(head)) return "501 Not Implemented";
  const length = /^content-length: *(\d+) *\r$/mi.exec(head)?.[1];
  if (length === undefined) return "411 Length Required";
  const bytes = Number(length);
  if (bytes > UPLOAD_BYTES_MAX) return "413 Content Too Large";
  return { name, bytes, waits: /^expect: *100-continue *\r$/mi.test(head) };
}

/** Receives a file under a name of its own, and gives it its name when it is whole. Its checksum. */
async function store(connection: Connection, name: string, bytes: number): Promise<string> {
  const path = join(directory, name);
  const part = `${path}.part-${process.pid}-${count++}`;
  const hash = values["no-hash"] ? null : createHash("sha256");
  try {
    await connection.receiveFile(
      part,
      bytes,
      hash === null ? {} : { onBytes: (view) => void hash.update(view) },
    );
    renameSync(part, path);
    return hash === null ? `${bytes} bytes` : hash.digest("hex");
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
}

function answer({ writer }: Connection, status: string, body: string, isLast: boolean): void {
  const close = isLast ? "Connection: close\r\n" : "";
  const length = Buffer.byteLength(body);
  writer.writeString(`HTTP/1.1 ${status}\r\n${close}Content-Length: ${length}\r\n\r\n${body}`);
}

async function serve(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  const head = reader.readString(await reader.waitUntil(END, { maxBytes: HEAD_BYTES_MAX }));
  reader.release();
  const request = readHead(head);
  const isRefused = typeof request === "string";
  if (isRefused) answer(connection, request, "", true);
  else {
    if (request.waits) {
      writer.writeString("HTTP/1.1 100 Continue\r\n\r\n");
      await writer.flush();
    }
    try {
      const sum = await store(connection, request.name, request.bytes);
      answer(connection, "201 Created", `${sum}  ${request.name}\n`, false);
    } catch (error) {
      if (!(error instanceof NetpollError) || !connection.isActive) throw error;
      const written = error instanceof ReceiveFileError ? error.writtenBytes : 0;
      answer(connection, "507 Insufficient Storage", `${written} bytes were stored\n`, true);
      await writer.flush();
      return void connection.close();
    }
  }
  await writer.flush();
  if (isRefused) void connection.close();
}

const END = new TextEncoder().encode("\r\n\r\n");

const onError = (error: unknown) => console.error(`A client was cut off: ${error}`);
const loop = new EventLoop(serve, { readTimeoutMs: 30_000, onError });
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });
const listener = createListener("tcp", positionals[0] ?? "localhost:8080");
const { address } = listener;
const at = address.transport === "tcp" ? `${address.hostname}:${address.port}` : address.path;
console.log(`Listening on ${at}; Ctrl-C stops it`);
await loop.serve(listener);
console.log("Stopped");
