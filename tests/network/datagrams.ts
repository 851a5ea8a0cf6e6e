/**
 * Datagrams over a bad network: one by one, in batches, in trains. Each that arrives is whole and one
 * that was sent, those that the network repeats or lets overtake others included; whoever asks again
 * for what was lost has all answers in the end; and only what the network has lost is missing.
 */
import { assert, assertEquals } from "@std/assert";
import {
  createDatagramSocket,
  type Datagram,
  type DatagramOptions,
  type DatagramSocket,
  dialDatagram,
  SystemError,
  TimeoutError,
} from "../../mod.ts";
import { seededRandom } from "../support/random.ts";
import { delay } from "../support/until.ts";
import { SERVER_HOST } from "./bed.ts";
import { type Figures, PORT, type Scenario, type Serving, type Work } from "./scenario.ts";
import type { Outcome } from "./trial.ts";

const KIB = 1024;
/** The number of a datagram, and how often it was sent before. */
const HEAD_BYTES = 8;
/** What fits a packet of 1500 bytes. */
const PACKET_BYTES_MAX = 1472;
/** Each is several packets: what is lost of one is all of it. */
const FRAGMENTED_BYTES_MAX = 4000;
const TRAIN_BYTES = 1200;
const TRAIN_COUNT = 16;
/** Questions that are under way at once. */
const WINDOW = 32;
const RETRY_MS_MIN = 200;
const RETRY_MS_MAX = 2000;
const LOOK_MS = 10;
/** Nothing comes any more: more than is under way on the slowest network. */
const QUIET_MS = 1500;
/** Packets that are none of ours: two machines that begin to speak IPv6 (RFC 4861, RFC 3810). */
const STRAY_PACKETS_MAX = 64;
const BUFFER_BYTES = 4 * 1024 * KIB;

/** How datagrams go. */
interface Mode {
  readonly title: string;
  readonly lengthMin: number;
  readonly lengthMax: number;
  readonly isTrain?: boolean;
  readonly options?: DatagramOptions;
  /** Whether both ends wait, in place of a handler. */
  readonly waits?: boolean;
}

/** The datagrams of a trial: each follows from its number. */
class Datagrams {
  readonly count: number;
  readonly #mode: Mode;
  readonly #seed: number;
  readonly #bytes = new Uint8Array(2 * 64 * KIB);

  constructor(mode: Mode, { bytes, seed }: Pick<Work, "bytes" | "seed">) {
    this.#mode = mode;
    this.#seed = seed;
    this.count = Math.ceil(bytes / ((mode.lengthMin + mode.lengthMax) / 2));
    const random = seededRandom(seed);
    for (let i = 0; i < this.#bytes.length; i++) this.#bytes[i] = random.below(256);
  }

  #mixed(number: number): number {
    return Math.imul(number + this.#seed, 0x9e3779b1) >>> 0;
  }

  lengthOf(number: number): number {
    const { lengthMin, lengthMax } = this.#mode;
    return lengthMin + this.#mixed(number) % (lengthMax - lengthMin + 1);
  }

  #contentOf(number: number): Uint8Array {
    const from = this.#mixed(number) % (64 * KIB);
    return this.#bytes.subarray(from, from + this.lengthOf(number) - HEAD_BYTES);
  }

  /** A datagram by its number, and how often it was sent before. */
  make(number: number, times: number): Uint8Array {
    const bytes = new Uint8Array(this.lengthOf(number));
    const view = new DataView(bytes.buffer);
    view.setUint32(0, number);
    view.setUint32(4, times);
    bytes.set(this.#contentOf(number), HEAD_BYTES);
    return bytes;
  }

  /** The number of a datagram that came. Fails unless it is one of ours, whole and unaltered. */
  check({ bytes }: Datagram): number {
    assert(bytes.length >= HEAD_BYTES, `a datagram of ${bytes.length} bytes: none was sent`);
    const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    assert(number < this.count, `datagram ${number} came: none was sent`);
    assertEquals(bytes.length, this.lengthOf(number), `the length of datagram ${number}`);
    const content = this.#contentOf(number);
    assert(content.every((byte, i) => byte === bytes[HEAD_BYTES + i]), `${number} is altered`);
    return number;
  }
}

/** Where the network itself refuses: it may be down (ip(7)). */
function isOfNetwork(error: unknown): boolean {
  return error instanceof SystemError &&
    ["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EPERM"].includes(error.code);
}

/** What both ends count, by names that begin with theirs. */
function figuresOf(side: "served" | "called", socket: DatagramSocket): Record<string, number> {
  const { received, sent, dropped } = socket.metrics();
  assertEquals([dropped.full, dropped.expired, dropped.closed], [0, 0, 0]);
  return {
    [`${side}Sent`]: sent.count,
    [`${side}Received`]: received.count,
    [`${side}Overrun`]: received.droppedByKernel,
    [`${side}Merged`]: received.count - received.messages,
  };
}

/** Waits until nothing comes any more. */
async function quiet(socket: DatagramSocket): Promise<void> {
  for (let last = -1, count = 0; last !== count;) {
    last = socket.metrics().received.count;
    await delay(QUIET_MS);
    count = socket.metrics().received.count;
  }
}

/** Answers each with itself. */
function serve(mode: Mode, work: Work): Serving {
  const datagrams = new Datagrams(mode, work);
  const errors: unknown[] = [];
  const answer = (datagram: Datagram) => {
    datagrams.check(datagram);
    assert(datagram.reply(datagram.bytes), "the queue of the server is full");
  };
  const socket = createDatagramSocket("udp4", `0.0.0.0:${PORT}`, {
    receiveBufferBytes: BUFFER_BYTES,
    ...mode.options,
    onError: (error) => void (isOfNetwork(error) || errors.push(error)),
    ...mode.waits ? {} : { onDatagram: answer },
  });
  const served = mode.waits ? serveWaiting(socket, answer) : Promise.resolve();
  served.catch((error) => errors.push(error));
  return {
    async stop(): Promise<Figures> {
      await quiet(socket);
      const figures = figuresOf("served", socket);
      await socket.close();
      await served.catch(() => {});
      if (errors.length > 0) throw new AggregateError(errors, `the server: ${errors[0]}`);
      return figures;
    },
  };
}

async function serveWaiting(
  socket: DatagramSocket,
  answer: (datagram: Datagram) => void,
): Promise<void> {
  const closed = socket.closed.then(() => true);
  for (;;) {
    const isOver = await Promise.race([
      closed,
      socket.wait().then(() => false, (error) => {
        if (socket.fd >= 0) throw error;
        return true;
      }),
    ]);
    if (isOver) return;
    for (const datagram of socket.datagrams) answer(datagram);
    socket.release();
    await socket.flush();
  }
}

/** A question that is under way. */
interface Question {
  times: number;
  dueMs: number;
}

/** Asks, asks again, and counts what comes. */
class Asker {
  readonly #datagrams: Datagrams;
  readonly #isTrain: boolean;
  readonly #waiting = new Map<number, Question>();
  #next = 0;
  #answered = 0;
  #retryMs = RETRY_MS_MIN;
  repeated = 0;
  /** Answers that came more than once. */
  again = 0;
  /** Answers that were overtaken by later ones. */
  late = 0;
  #latest = -1;

  constructor(mode: Mode, work: Work) {
    this.#datagrams = new Datagrams(mode, work);
    this.#isTrain = mode.isTrain === true;
  }

  get isDone(): boolean {
    return this.#answered === this.#datagrams.count;
  }

  /** Takes an answer. */
  take(datagram: Datagram): void {
    const number = this.#datagrams.check(datagram);
    if (number < this.#latest) this.late += 1;
    this.#latest = Math.max(this.#latest, number);
    const question = this.#waiting.get(number);
    if (question === undefined) {
      assert(number < this.#next, `an answer to ${number}, which nobody has asked`);
      this.again += 1;
      return;
    }
    this.#waiting.delete(number);
    this.#answered += 1;
    // The network may be slower than it was thought to be.
    if (question.times > 1) this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs + LOOK_MS);
  }

  /** Asks what there is room for, and again what is due. */
  ask(socket: DatagramSocket): void {
    const nowMs = performance.now();
    for (const [number, question] of this.#waiting) {
      if (question.dueMs > nowMs) continue;
      this.repeated += 1;
      this.#send(socket, number, question);
    }
    const room = WINDOW - this.#waiting.size;
    const left = this.#datagrams.count - this.#next;
    if (this.#isTrain && room >= TRAIN_COUNT && left >= TRAIN_COUNT) return this.#askTrain(socket);
    for (let n = Math.min(room, left); n > 0; n--) {
      const question = { times: 0, dueMs: 0 };
      this.#waiting.set(this.#next, question);
      this.#send(socket, this.#next++, question);
    }
  }

  #send(socket: DatagramSocket, number: number, question: Question): void {
    assert(socket.write(this.#datagrams.make(number, question.times)), "the queue is full");
    question.times += 1;
    question.dueMs = performance.now() +
      Math.min(RETRY_MS_MAX, this.#retryMs * 2 ** (question.times - 1));
  }

  #askTrain(socket: DatagramSocket): void {
    const train = new Uint8Array(TRAIN_COUNT * TRAIN_BYTES);
    const dueMs = performance.now() + this.#retryMs;
    for (let i = 0; i < TRAIN_COUNT; i++) {
      train.set(this.#datagrams.make(this.#next, 0), i * TRAIN_BYTES);
      this.#waiting.set(this.#next++, { times: 1, dueMs });
    }
    assertEquals(socket.writeTrain(null, train, TRAIN_BYTES), TRAIN_COUNT);
  }
}

async function call(mode: Mode, work: Work): Promise<Figures> {
  const asker = new Asker(mode, work);
  const errors: unknown[] = [];
  let come = Promise.withResolvers<void>();
  const socket = await dialDatagram("udp4", `${SERVER_HOST}:${PORT}`, {
    receiveBufferBytes: BUFFER_BYTES,
    ...mode.options,
    onError: (error) => void (isOfNetwork(error) || errors.push(error)),
    ...mode.waits ? { readTimeoutMs: LOOK_MS } : {
      onDatagrams(all) {
        for (const each of all) asker.take(each);
        come.resolve();
      },
    },
  });
  const listen = mode.waits ? () => waitAndTake(socket, asker) : async () => {
    await Promise.race([come.promise, delay(LOOK_MS)]);
    come = Promise.withResolvers();
  };
  try {
    while (!asker.isDone && errors.length === 0) {
      asker.ask(socket);
      await socket.flush();
      await listen();
    }
    if (errors.length > 0) throw new AggregateError(errors, `the client: ${errors[0]}`);
    if (!mode.waits) await quiet(socket);
    const { repeated, again, late } = asker;
    return { ...figuresOf("called", socket), repeated, again, late };
  } finally {
    await socket.close();
  }
}

async function waitAndTake(socket: DatagramSocket, asker: Asker): Promise<void> {
  try {
    await socket.wait();
  } catch (error) {
    if (error instanceof TimeoutError || isOfNetwork(error)) return;
    throw error;
  }
  for (const each of socket.datagrams) asker.take(each);
  socket.release();
}

/** Nothing is missing but what the network has lost, and nothing is there but what it has repeated. */
function checkCounts({ figures, counts }: Outcome): void {
  const { there } = counts;
  const sent = Number(figures["calledSent"]) + there.duplicated;
  const received = Number(figures["servedReceived"]) + Number(figures["servedOverrun"]);
  const story = JSON.stringify({ figures, there });
  assert(received <= sent, `more came than was sent: ${story}`);
  const missing = sent - received;
  const lost = there.lost + there.overflowed;
  assert(missing <= lost + STRAY_PACKETS_MAX, `more is missing than was lost: ${story}`);
}

function scenario(mode: Mode): Scenario {
  return {
    title: mode.title,
    isOfDatagrams: true,
    isMerging: mode.isTrain === true,
    bytesMin: 64 * KIB,
    bytesMax: 8 * 1024 * KIB,
    serve: (work) => serve(mode, work),
    call: (work) => call(mode, work),
    check: checkCounts,
  };
}

/** By name. */
export const DATAGRAMS: Readonly<Record<string, Scenario>> = {
  "datagrams": scenario({
    title: "datagrams one by one",
    lengthMin: HEAD_BYTES,
    lengthMax: PACKET_BYTES_MAX,
    options: { segmentation: "off", receiveCountMax: 1 },
  }),
  "datagram-batches": scenario({
    title: "datagrams in batches, for which both ends wait",
    lengthMin: HEAD_BYTES,
    lengthMax: FRAGMENTED_BYTES_MAX,
    waits: true,
  }),
  "datagram-trains": scenario({
    title: "trains of datagrams",
    lengthMin: TRAIN_BYTES,
    lengthMax: TRAIN_BYTES,
    isTrain: true,
  }),
};
