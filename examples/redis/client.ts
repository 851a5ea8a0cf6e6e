/**
 * A connection to a server of Redis, and what it has asked for.
 */
import { type Connection, resp, type RespCodec, type RespInput } from "../../mod.ts";
import { type Database, databases } from "./database.ts";

/** The longest request: longer than any of its strings may be. */
export const REQUEST_BYTES_MAX = 64 << 20;

const OPTIONS = { bulk: "latin1", inline: true, frameBytesMax: REQUEST_BYTES_MAX } as const;
const CODECS = { 2: resp(OPTIONS), 3: resp({ ...OPTIONS, version: 3 }) };

let lastId = 0;

/** The clients that were sent something. They are flushed when all that has come is answered. */
export const unflushed: Set<Client> = new Set();

/** The state of a client's connection. */
export class Client {
  readonly id: number = ++lastId;
  readonly connection: Connection;
  readonly since: number = Date.now();
  name = "";
  version: 2 | 3 = 2;
  codec: RespCodec<string> = CODECS[2];
  db: Database = databases[0]!;
  /** The transaction that MULTI has begun, until EXEC; null outside. */
  queue: string[][] | null = null;
  /** A command could not be queued, or a key that is watched has changed: EXEC does nothing. */
  isQueueWrong = false;
  isDirty = false;
  /** The keys that WATCH was called for. */
  readonly watching: [db: Database, key: string][] = [];
  readonly channels: Set<string> = new Set();
  readonly patterns: Set<string> = new Set();
  /** Its request is being answered; and that is EXEC. */
  isAnswered = false;
  isExecuting = false;
  readonly #pushes: RespInput[] = [];
  /** QUIT: it is closed when it has got its answers. */
  isClosing = false;

  /** A client that says nothing yet. */
  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Its request was answered: what it was sent meanwhile follows. */
  endAnswer(): void {
    this.isAnswered = false;
    for (const value of this.#pushes.splice(0)) this.push(value);
  }

  /** True while it is subscribed to a channel or a pattern: RESP2 then allows few commands. */
  get isSubscriber(): boolean {
    return this.channels.size + this.patterns.size > 0;
  }

  /** HELLO. */
  speak(version: 2 | 3): void {
    this.version = version;
    this.codec = CODECS[version];
  }

  /** Writes a value behind what was written before. It leaves when all requests are answered. */
  write(value: RespInput): void {
    this.codec.encode(this.connection.writer, value);
  }

  /**
   * Sends a message that it did not ask for just now; a client that does not read so many is cut off. What it
   * publishes to itself follows the answer to that.
   */
  push(value: RespInput): void {
    const { connection } = this;
    if (!connection.isActive) return;
    if (this.isAnswered) return void this.#pushes.push(value);
    unflushed.add(this);
    this.write(value);
    if (connection.writer.isWritable) return;
    void connection.writer.flush();
    if (!connection.writer.isWritable) connection.reset();
  }
}

/** All clients. */
export const clients: Set<Client> = new Set();
