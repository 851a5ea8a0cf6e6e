/**
 * Queries that another server answers.
 */
import { Buffer } from "node:buffer";
import { randomInt } from "node:crypto";
import { clearTimeout, setTimeout } from "node:timers";
import { type DatagramSocket, dialDatagram } from "../../mod.ts";
import { Code, Flag, isAnswerTo, type Query, writeAnswer, writeQuery } from "./message.ts";

/** Clients that may wait for an answer. More are answered with a failure at once. */
const WAITING_MAX = 4096;
const TIMEOUT_MS = 3000;

/** A client that waits. */
interface Waiting {
  readonly query: Query;
  /** Its message, owned. */
  readonly bytes: Uint8Array;
  readonly answer: (bytes: Uint8Array) => void;
}

/** A question on its way, and all who have asked it. */
interface Question {
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly clients: Waiting[];
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Asks one server, on behalf of many clients. */
export class Forwarder {
  /** Questions by the number that they were sent with. */
  readonly #questions = new Map<number, Question>();
  /**
   * And by what they ask. Who guesses answers has one number to meet: of a question that went out
   * many times at once he would meet any (RFC 5452 §5).
   */
  readonly #byKey = new Map<string, Question>();
  readonly #upstream: DatagramSocket;
  #waitingCount = 0;

  private constructor(upstream: DatagramSocket) {
    this.#upstream = upstream;
  }

  /** Makes a forwarder that asks the server at "host:port". */
  static async to(address: string): Promise<Forwarder> {
    // A connected socket hears of nobody else, and of a server that is not there at once.
    const upstream = await dialDatagram("udp", address, {
      onDatagram: ({ bytes }) => forwarder.#onAnswer(bytes),
      onError: () => forwarder.#failAll(),
    });
    const forwarder = new Forwarder(upstream);
    return forwarder;
  }

  /** Asks; `answer` is called once, with the answer or with a failure. */
  ask(message: Uint8Array, query: Query, answer: (bytes: Uint8Array) => void): void {
    const client = { query, bytes: message.slice(0, query.end), answer };
    if (this.#waitingCount >= WAITING_MAX) return fail(client);
    this.#waitingCount += 1;
    const bytes = writeQuery(message, query);
    const key = Buffer.from(bytes).toString("latin1");
    const same = this.#byKey.get(key);
    if (same !== undefined) return void same.clients.push(client);
    // A number that nobody can guess: else anybody could answer in the server's name.
    let id = randomInt(65_536);
    while (this.#questions.has(id)) id = randomInt(65_536);
    const timer = setTimeout(() => this.#fail(id), TIMEOUT_MS);
    const question = { key, bytes, end: query.end, clients: [client], timer };
    this.#questions.set(id, question);
    this.#byKey.set(key, question);
    new DataView(bytes.buffer).setUint16(0, id);
    if (!this.#upstream.write(bytes)) return this.#fail(id);
    void this.#upstream.flush();
  }

  #take(id: number): readonly Waiting[] {
    const question = this.#questions.get(id)!;
    this.#questions.delete(id);
    this.#byKey.delete(question.key);
    this.#waitingCount -= question.clients.length;
    clearTimeout(question.timer);
    return question.clients;
  }

  #fail(id: number): void {
    for (const client of this.#take(id)) fail(client);
  }

  #onAnswer(message: Uint8Array): void {
    if (message.length < 2) return;
    const id = message[0]! << 8 | message[1]!;
    const question = this.#questions.get(id);
    if (question === undefined || !isAnswerTo(message, question.bytes, question.end)) return;
    for (const { query, bytes, answer } of this.#take(id)) {
      // More than the client takes is no answer: it is told so.
      const isTooLong = message.length > query.answerBytesMax;
      const out = isTooLong
        ? writeAnswer(bytes, query, Code.OK, { flags: Flag.TRUNCATED | Flag.RECURSION_AVAILABLE })
        : message.slice();
      out.set(bytes.subarray(0, 2));
      answer(out);
    }
  }

  /** The kernel says that nobody is there, or will not send: nobody waits for the time to pass. */
  #failAll(): void {
    for (const id of [...this.#questions.keys()]) this.#fail(id);
  }

  /** Stops. Whoever waits is told of a failure. */
  async close(): Promise<void> {
    this.#failAll();
    await this.#upstream.close();
  }
}

function fail({ bytes, query, answer }: Waiting): void {
  answer(writeAnswer(bytes, query, Code.FAILURE, { flags: Flag.RECURSION_AVAILABLE }));
}
