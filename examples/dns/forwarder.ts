/**
 * Queries that another server answers.
 */
import { randomInt } from "node:crypto";
import { clearTimeout, setTimeout } from "node:timers";
import { type DatagramSocket, dialDatagram } from "../../mod.ts";
import { asksTheSame, Code, type Query, writeAnswer } from "./message.ts";

/** Queries that may wait for an answer. More are answered with a failure at once. */
const PENDING_MAX = 4096;
const TIMEOUT_MS = 3000;

/** A query on its way. */
interface Pending {
  readonly query: Query;
  /** The client's message: what it has asked, to be compared with what is answered. */
  readonly bytes: Uint8Array;
  readonly answer: (bytes: Uint8Array) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Asks one server, on behalf of many clients. */
export class Forwarder {
  readonly #pending = new Map<number, Pending>();
  readonly #upstream: DatagramSocket;

  private constructor(upstream: DatagramSocket) {
    this.#upstream = upstream;
  }

  /** Makes a forwarder that asks the server at "host:port". */
  static async to(address: string): Promise<Forwarder> {
    // A connected socket hears of nobody else, and of a server that is not there at once.
    const upstream = await dialDatagram("udp", address, {
      onDatagram: ({ bytes }) => forwarder.#onAnswer(bytes),
      onError: () => forwarder.#onUnreachable(),
    });
    const forwarder = new Forwarder(upstream);
    return forwarder;
  }

  /** Asks; `answer` is called once, with the answer or with a failure. */
  ask(message: Uint8Array, query: Query, answer: (bytes: Uint8Array) => void): void {
    const bytes = message.slice();
    if (this.#pending.size >= PENDING_MAX) return answer(writeAnswer(bytes, query, Code.FAILURE));
    // A number that nobody can guess: else anybody could answer in the server's name (RFC 5452).
    let id = randomInt(65_536);
    while (this.#pending.has(id)) id = randomInt(65_536);
    const timer = setTimeout(() => this.#fail(id), TIMEOUT_MS);
    this.#pending.set(id, { query, bytes, answer, timer });
    const asked = bytes.slice();
    asked[0] = id >> 8;
    asked[1] = id & 0xff;
    if (!this.#upstream.write(asked)) return this.#fail(id);
    void this.#upstream.flush();
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    return pending;
  }

  #fail(id: number): void {
    const pending = this.#take(id);
    if (pending === undefined) return;
    pending.answer(writeAnswer(pending.bytes, pending.query, Code.FAILURE));
  }

  #onAnswer(message: Uint8Array): void {
    if (message.length < 12) return;
    const id = message[0]! << 8 | message[1]!;
    const { bytes, query } = this.#pending.get(id) ?? {};
    if (bytes === undefined || !asksTheSame(bytes, message, query!.end)) return;
    const answer = message.slice();
    answer.set(bytes.subarray(0, 2));
    this.#take(id)!.answer(answer);
  }

  /** The kernel says that nobody is there: nobody waits for the time to pass. */
  #onUnreachable(): void {
    for (const id of [...this.#pending.keys()]) this.#fail(id);
  }

  /** Stops. Whoever waits is told of a failure. */
  async close(): Promise<void> {
    this.#onUnreachable();
    await this.#upstream.close();
  }
}
