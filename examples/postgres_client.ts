// deno run --allow-ffi --allow-net --allow-read --allow-env examples/postgres_client.ts HOST:PORT CA USER QUERY

/**
 * Asks a PostgreSQL server a query over TLS, as libpq does with `sslmode=verify-full`: the connection
 * begins without TLS, the server agrees, and `startTls` verifies its certificate, by the authorities
 * of a file in PEM, and its name. The password is in PGPASSWORD.
 *
 * @module
 */
import "./one_line.ts";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import process from "node:process";
import { type Connection, dial } from "../mod.ts";
import { Scram } from "./postgres/scram.ts";

// PostgreSQL: Frontend/Backend Protocol, "Message Formats".
const SSL_REQUEST = 80877103;
const VERSION_3 = 196608;
const AUTHENTICATED = 0;
const SASL = 10;
const SASL_CONTINUE = 11;
const SASL_FINAL = 12;

interface Message {
  readonly type: string;
  readonly body: Buffer;
}

async function next({ reader }: Connection): Promise<Message> {
  await reader.wait(5);
  const type = String.fromCharCode(reader.readByte());
  const length = reader.readUint32BE() - 4; // it counts itself
  await reader.wait(length);
  const message = { type, body: Buffer.from(reader.readBinary(length)) };
  reader.release();
  if (type !== "E") return message;
  const fields = message.body.toString().split("\0");
  throw new Error(fields.find((field) => field.startsWith("M"))?.slice(1));
}

/** Sends a message; the first one of a connection has no type. */
function send({ writer }: Connection, type: string, ...parts: (string | Buffer)[]): Promise<void> {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  writer.writeString(type);
  writer.writeUint32BE(body.length + 4);
  writer.writeBinary(body);
  return writer.flush();
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** Asks for TLS, and goes on with it. */
async function secure(connection: Connection, serverName: string, authorities: string) {
  await send(connection, "", int32(SSL_REQUEST));
  await connection.reader.wait(1);
  const answer = connection.reader.readByte();
  connection.reader.release();
  if (answer !== "S".charCodeAt(0)) throw new Error("The server has no TLS");
  await connection.startTls("client", { serverName, authorities });
}

async function logIn(connection: Connection, user: string, password: string): Promise<void> {
  await send(connection, "", int32(VERSION_3), `user\0${user}\0database\0postgres\0\0`);
  const scram = new Scram(password);
  for (;;) {
    const { type, body } = await next(connection);
    if (type === "Z") return; // ready for a query
    if (type !== "R") continue;
    const method = body.readInt32BE();
    if (method === SASL) {
      const first = Buffer.from(scram.first());
      await send(connection, "p", "SCRAM-SHA-256\0", int32(first.length), first);
    } else if (method === SASL_CONTINUE) {
      await send(connection, "p", scram.answer(body.toString("utf8", 4)));
    } else if (method === SASL_FINAL) {
      scram.verify(body.toString("utf8", 4));
    } else if (method !== AUTHENTICATED) {
      throw new Error(`The server wants a password in a way that is not known here: ${method}`);
    }
  }
}

/** The columns of a row, as text. */
function columnsOf(body: Buffer): string[] {
  const columns: string[] = [];
  for (let at = 2; at < body.length;) {
    const length = body.readInt32BE(at);
    columns.push(length < 0 ? "NULL" : body.toString("utf8", at + 4, at + 4 + length));
    at += 4 + Math.max(0, length);
  }
  return columns;
}

const [at, authoritiesPath, user, query] = process.argv.slice(2);
if (
  at === undefined || authoritiesPath === undefined || user === undefined || query === undefined
) {
  console.error("usage: postgres_client.ts HOST:PORT AUTHORITIES USER QUERY");
  process.exit(2);
}
const host = at.slice(0, at.lastIndexOf(":"));
const connection = await dial("tcp", at, { timeoutMs: 5000 });
try {
  await secure(connection, host, readFileSync(authoritiesPath, "utf8"));
  await logIn(connection, user, process.env["PGPASSWORD"] ?? "");
  await send(connection, "Q", `${query}\0`);
  for (let message; (message = await next(connection)).type !== "Z";) {
    if (message.type === "D") console.log(columnsOf(message.body).join("\t"));
  }
  await send(connection, "X");
} finally {
  await connection.close();
}
