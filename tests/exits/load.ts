/**
 * The clients of a server that exits: each compares every byte that comes, and says how the
 * connection ended.
 */
import { setTimeout } from "node:timers";
import { type Connection, dial, NetpollError } from "../../mod.ts";
import type { Random } from "../support/random.ts";
import { isStream, streamAt } from "../support/streams.ts";
import type { FlushedFile } from "./flushed.ts";
import { HELLO_BYTES, type Kind, KINDS, PUSHED_BYTES } from "./party.ts";

const MESSAGE_BYTES_MAX = 30_000;
const SLOW_BYTES = 32_000;
const SLOW_MS = 2;
/** Little room for what a slow client does not take: the rest waits in the server's own memory. */
const SLOW_ROOM_BYTES = 64 * 1024;
/** Pieces that a client has asked for and not received. */
const ASKED_COUNT = 16;
const ASKED_COUNT_SLOW = 100;
/** An echo has at most so much under way, or both sides wait for each other. */
const UNDER_WAY_BYTES_MAX = 120_000;

/** How a connection ended: by an end, or by a reset. */
export type End = "end" | "reset";

function hello(kind: Kind, id: number): Uint8Array {
  const bytes = new Uint8Array(HELLO_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, KINDS.indexOf(kind), true);
  view.setUint32(4, id, true);
  return bytes;
}

/** One connection to the server. */
export class Client {
  readonly kind: Kind;
  readonly id: number;
  /** Where both streams are. */
  received = 0;
  sent = 0;
  /** How it ended. */
  readonly ended: Promise<End>;
  #connection: Connection | null = null;
  #isLeaving = false;
  readonly #random: Random;
  readonly #flushed: FlushedFile | null;

  /** Connects. `flushed` notes what an upload has flushed. */
  constructor(at: string, kind: Kind, id: number, random: Random, flushed?: FlushedFile) {
    this.kind = kind;
    this.id = id;
    this.#random = random;
    this.#flushed = flushed ?? null;
    this.ended = this.#run(at);
  }

  /** Whether something has come, or for an upload has left. */
  get hasBegun(): boolean {
    return this.received > 0 || this.kind === "upload" && this.sent > 0;
  }

  /** Ends its side after what it has sent, and reads on until the server ends. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    if (/^echo/.test(this.kind)) await this.#connection?.closeWrite().catch(() => {});
    else await this.#connection?.close().catch(() => {});
  }

  async #run(at: string): Promise<End> {
    let connection: Connection;
    try {
      connection = this.#connection = await dial("tcp", at, {
        receiveBufferBytes: this.kind === "slow" ? SLOW_ROOM_BYTES : undefined,
      });
    } catch (error) {
      if (error instanceof NetpollError) return "reset"; // it waited in the queue of a server that has gone
      throw error;
    }
    connection.writer.writeBinary(hello(this.kind, this.id));
    if (/^echo|upload/.test(this.kind)) void this.#send(connection);
    else this.#ask(connection);
    try {
      return await this.#receive(connection);
    } finally {
      connection.reset();
    }
  }

  /** Asks for more, so that as much is under way as before. */
  #ask({ writer }: Connection): void {
    const underWay = this.kind === "slow" ? ASKED_COUNT_SLOW : ASKED_COUNT;
    const due = Math.floor(this.received / PUSHED_BYTES[this.kind]!) + underWay - this.sent;
    if (due <= 0 || this.#isLeaving) return;
    this.sent += due;
    try {
      writer.malloc(due).fill(1);
      writer.flush().catch(() => {}); // the reading half says how it ended
    } catch (error) {
      if (!(error instanceof NetpollError)) throw error;
    }
  }

  async #send({ writer }: Connection): Promise<void> {
    try {
      while (!this.#isLeaving) {
        const bytes = 1 + this.#random.below(MESSAGE_BYTES_MAX);
        writer.malloc(bytes).set(streamAt(this.id, this.sent, bytes));
        this.sent += bytes;
        await writer.flush();
        this.#flushed?.write(this.id, this.sent);
        while (this.kind !== "upload" && this.sent - this.received > UNDER_WAY_BYTES_MAX) {
          await new Promise<void>((resolve) => setTimeout(resolve, 1));
          if (this.#isLeaving) return;
        }
      }
    } catch (error) {
      if (!(error instanceof NetpollError)) throw error; // the reading half says how it ended
      this.#isLeaving = true;
    }
  }

  async #receive(connection: Connection): Promise<End> {
    const { reader } = connection;
    const bytesMax = this.kind === "slow" ? SLOW_BYTES : Infinity;
    for (;;) {
      try {
        await reader.wait(1);
      } catch (error) {
        if (!(error instanceof NetpollError)) throw error;
        this.#isLeaving = true;
        return error.cause === undefined ? "end" : "reset";
      }
      const bytes = reader.next(Math.min(bytesMax, reader.length));
      if (!isStream(bytes, this.id, this.received)) {
        throw new Error(`${this.kind} ${this.id}: a wrong byte after ${this.received} bytes`);
      }
      this.received += bytes.length;
      reader.release();
      if (this.kind in PUSHED_BYTES) this.#ask(connection);
      if (this.kind === "slow") await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    }
  }
}

/** So many connections, of each kind in turn, with numbers from `first` on. */
export function connectMany(
  at: string,
  count: number,
  random: Random,
  first = 0,
  flushed?: FlushedFile,
): Client[] {
  return Array.from(
    { length: count },
    (_, i) => new Client(at, KINDS[i % KINDS.length]!, first + i, random, flushed),
  );
}
