/**
 * The ground that scenarios stand on: a server, a client of it, what they exchange, and who is told of
 * errors.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  type Connection,
  createListener,
  dial,
  type DialOptions,
  EventLoop,
  type EventLoopOptions,
  type Listener,
  type RequestHandler,
  type TlsServerOptions,
} from "../../mod.ts";
import { assertBytes, pattern } from "../support/pair.ts";

/** Is told of errors that nobody waits for. */
export type Note = (error: unknown) => void;
/** Something that a user does. */
export type Scenario = (note: Note) => Promise<void>;

/** More bytes than the kernel takes at once. */
export const MANY = 300_000;
/** The bytes of a small message. */
export const MESSAGE = 64;

/** The port of a TCP listener. */
export function portOf({ address }: Listener): number {
  return address.transport === "tcp" ? address.port : 0;
}

/** Closes a connection at once; an error that broke it is noted. */
export async function closing(
  connection: Connection,
  note: Note,
  use: (connection: Connection) => Promise<void>,
): Promise<void> {
  connection.closed.catch(note);
  try {
    await use(connection);
  } finally {
    await connection.close({ timeoutMs: 0 });
  }
}

/** A server, for as long as `use` runs. */
export async function withServer(
  note: Note,
  onRequest: RequestHandler<undefined> | null,
  use: (port: number, loop: EventLoop) => Promise<void>,
  options: EventLoopOptions & { tls?: TlsServerOptions } = {},
): Promise<void> {
  const { tls, ...rest } = options;
  const listener = createListener("tcp", "127.0.0.1:0", {
    keepAlive: true,
    ...tls === undefined ? {} : { tls },
  });
  const loop = new EventLoop(onRequest, {
    onConnect: (connection) => void connection.closed.catch(note),
    ...rest,
    onError: note,
    onHandshakeError: note,
  });
  const served = loop.serve(listener);
  served.catch(note);
  try {
    await use(portOf(listener), loop);
  } finally {
    await loop.shutdown({ timeoutMs: 20 });
  }
  await served;
}

/** A server and a client of it, for as long as `use` runs. */
export function withClient(
  note: Note,
  onRequest: RequestHandler<undefined>,
  use: (client: Connection) => Promise<void>,
  options: EventLoopOptions & { dial?: DialOptions; tls?: TlsServerOptions } = {},
): Promise<void> {
  const { dial: dialOptions, ...rest } = options;
  return withServer(note, onRequest, async (port) => {
    await closing(await dial("tcp", `127.0.0.1:${port}`, dialOptions), note, use);
  }, rest);
}

/** Sends everything back. */
export function echo({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}

/** Sends so many bytes and has them back. */
export async function exchange({ reader, writer }: Connection, count: number): Promise<void> {
  const bytes = pattern(count);
  writer.writeBinary(bytes);
  const flushed = writer.flush();
  await reader.wait(count);
  assertBytes(reader.next(count), bytes);
  reader.release();
  await flushed;
}

/** Echoes of several sizes. */
export async function echoes(client: Connection): Promise<void> {
  for (const count of [5, 5000, MANY]) await exchange(client, count);
}

const file = join(tmpdir(), `netpoll-faults-${process.pid}`);
process.once("exit", () => rmSync(file, { force: true }));

/** A file of {@linkcode MANY} bytes. */
export function filePath(): string {
  if (!existsSync(file)) writeFileSync(file, pattern(MANY));
  return file;
}
