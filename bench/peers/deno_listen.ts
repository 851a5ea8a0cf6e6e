/**
 * An echo on Deno.listen, with read and write: `deno_listen.ts PORT MESSAGE_BYTES MODE`; on Deno.listenTls
 * with `KEY CERTIFICATE` behind these.
 */
import process from "node:process";
import { HEADER_BYTES, isLate, LATE_MS, payloadBytes, writeFrame } from "./frames.mjs";
import { identity } from "./identity.mjs";

/**
 * Small where messages are: the array is what an idle connection costs most. More than 256 KiB gains
 * little.
 */
const BUFFER_BYTES_MIN = 4096;
const BUFFER_BYTES_MAX = 256 * 1024;

const messageBytes = Number(process.argv[3] ?? 0);
const bufferBytes = Math.min(
  Math.max(messageBytes + HEADER_BYTES, BUFFER_BYTES_MIN),
  BUFFER_BYTES_MAX,
);

type Connection = Deno.TcpConn | Deno.TlsConn;

/** `write` takes what the socket takes. */
async function writeAll(connection: Connection, bytes: Uint8Array): Promise<void> {
  let written = await connection.write(bytes);
  while (written < bytes.length) written += await connection.write(bytes.subarray(written));
}

async function echo(connection: Connection): Promise<void> {
  const buffer = new Uint8Array(bufferBytes);
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return;
    await writeAll(connection, buffer.subarray(0, count));
  }
}

/** The requests of a connection, in an array that grows with them. */
class Requests {
  readonly #connection: Connection;
  #buffer = new Uint8Array(bufferBytes);
  #from = 0;
  #end = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The next payload that is there, valid until `read`; null when it is not there in full. */
  next(): Uint8Array | null {
    const from = this.#from;
    if (this.#end - from < HEADER_BYTES) return null;
    const frameBytes = HEADER_BYTES + payloadBytes(this.#buffer, from);
    if (this.#end - from < frameBytes) {
      this.#makeRoom(frameBytes);
      return null;
    }
    this.#from = from + frameBytes;
    return this.#buffer.subarray(from + HEADER_BYTES, this.#from);
  }

  #makeRoom(frameBytes: number): void {
    if (frameBytes <= this.#buffer.length - this.#from) return;
    const rest = this.#buffer.subarray(this.#from, this.#end);
    if (frameBytes > this.#buffer.length) this.#buffer = new Uint8Array(frameBytes);
    this.#buffer.set(rest);
    this.#from = 0;
    this.#end = rest.length;
  }

  /** Reads more. True when there was any. */
  async read(): Promise<boolean> {
    if (this.#from === this.#end) this.#from = this.#end = 0;
    else if (this.#end === this.#buffer.length) this.#makeRoom(this.#buffer.length);
    const count = await this.#connection.read(this.#buffer.subarray(this.#end));
    this.#end += count ?? 0;
    return count !== null;
  }
}

/** Answers, in an array of a connection: those that came together go together. */
class Answers {
  readonly #connection: Connection;
  #buffer = new Uint8Array(bufferBytes);
  #end = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  add(payload: Uint8Array): void {
    const end = this.#end + HEADER_BYTES + payload.length;
    if (end > this.#buffer.length) {
      const filled = this.#buffer.subarray(0, this.#end);
      this.#buffer = new Uint8Array(Math.max(end, 2 * this.#buffer.length));
      this.#buffer.set(filled);
    }
    this.#end = writeFrame(this.#buffer, this.#end, payload);
  }

  async send(): Promise<void> {
    const filled = this.#buffer.subarray(0, this.#end);
    this.#end = 0;
    if (filled.length > 0) await writeAll(this.#connection, filled);
  }
}

async function framed(connection: Connection, isTail: boolean): Promise<void> {
  const requests = new Requests(connection);
  const answers = new Answers(connection);
  while (await requests.read()) {
    for (let payload = requests.next(); payload !== null; payload = requests.next()) {
      if (isTail && isLate()) {
        await answers.send();
        await new Promise((resolve) => setTimeout(resolve, LATE_MS));
      }
      answers.add(payload);
    }
    await answers.send();
  }
}

/** All members, and for each a promise that the bytes under way have left. */
const members = new Map<Connection, Promise<void>>();

/** One write at a time: the socket may take only a part of each. */
function writeNext(member: Connection, bytes: Uint8Array): Promise<void> {
  const last = members.get(member)!;
  const next = last.then(() => writeAll(member, bytes)).catch(() => {}); // a member that is gone removes itself
  members.set(member, next);
  return next;
}

/** Sends every frame to all others, and waits for slow ones. */
async function broadcast(connection: Connection): Promise<void> {
  const requests = new Requests(connection);
  while (await requests.read()) {
    for (let payload = requests.next(); payload !== null; payload = requests.next()) {
      const frame = new Uint8Array(HEADER_BYTES + payload.length);
      writeFrame(frame, 0, payload);
      const others = [...members.keys()].filter((member) => member !== connection);
      await Promise.all(others.map((member) => writeNext(member, frame)));
    }
  }
}

type Mode = "echo" | "framed" | "tail" | "broadcast";
const HANDLERS: Readonly<Record<Mode, (connection: Connection) => Promise<void>>> = {
  echo,
  framed: (connection) => framed(connection, false),
  tail: (connection) => framed(connection, true),
  broadcast,
};
const handle = HANDLERS[(process.argv[4] ?? "echo") as Mode];

async function serve(connection: Connection): Promise<void> {
  if ("setNoDelay" in connection) connection.setNoDelay();
  members.set(connection, Promise.resolve());
  try {
    await handle(connection);
  } catch {
    // The client went away, or announced too long a payload.
  } finally {
    members.delete(connection);
    connection.close();
  }
}

const at = { hostname: "127.0.0.1", port: Number(process.argv[2]) };
const listener = identity === null ? Deno.listen(at) : Deno.listenTls({ ...at, ...identity });
console.log(`listening ${listener.addr.port}`);
for await (const connection of listener) void serve(connection);
