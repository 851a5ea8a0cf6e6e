/**
 * The datagrams of the soak: rounds of questions whose answers are compared byte by byte, and peers
 * that are not there.
 */
import { AssertionError } from "@std/assert";
import { type DatagramSocket, dialDatagram, SystemError, TimeoutError } from "../../mod.ts";
import { isStream, streamAt } from "../support/streams.ts";
import { DEAD_ADDRESS } from "../support/datagrams.ts";
import type { Session } from "./clients.ts";

/** A question says which it is, and the rest is a part of a stream. */
const HEAD_BYTES = 8;
const COUNT_MAX = 16;
const BYTES_MAX = 1400;
/** Of these a slice keeps the memory that the kernel wrote to. */
const LARGE_BYTES_MAX = 40_000;
const READ_TIMEOUT_MS = 500;
/** What is lost on the way is asked again, so often. */
const TRIES_MAX = 40;

/** The datagrams of a round. */
class Round {
  readonly #id: number;
  readonly #number: number;
  /** The bytes of each, and 0 once its answer is here. */
  readonly #sizes: number[];
  missing: number;

  constructor(id: number, number: number, sizes: number[]) {
    this.#id = id;
    this.#number = number;
    this.#sizes = sizes;
    this.missing = sizes.length;
  }

  /** Asks what has no answer yet. */
  ask(socket: DatagramSocket): void {
    for (const [i, size] of this.#sizes.entries()) {
      if (size === 0) continue;
      const question = socket.mallocTo(null, size);
      if (question === null) return; // the queue is full: the rest is for the next try
      const view = new DataView(question.buffer, question.byteOffset);
      view.setUint32(0, this.#number);
      view.setUint32(4, i);
      question.set(streamAt(this.#id, i, size - HEAD_BYTES), HEAD_BYTES);
      socket.mallocAck(size);
    }
  }

  /** An answer, perhaps to a question that was asked twice. */
  take(answer: Uint8Array): void {
    const view = new DataView(answer.buffer, answer.byteOffset);
    if (view.getUint32(0) !== this.#number) return;
    const i = view.getUint32(4);
    const size = this.#sizes[i]!;
    if (size === 0) return;
    const isRight = answer.length === size && isStream(answer.subarray(HEAD_BYTES), this.#id, i);
    if (!isRight) throw new AssertionError(`datagrams: a wrong answer of ${answer.length} bytes`);
    this.#sizes[i] = 0;
    this.missing -= 1;
  }
}

async function takeAnswers(socket: DatagramSocket, round: Round): Promise<void> {
  try {
    while (round.missing > 0) {
      await socket.wait();
      for (const { bytes } of socket.datagrams) round.take(bytes);
    }
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
  }
  socket.release();
}

/** Asks an echo of datagrams. */
export async function dialEcho(at: string, id: number): Promise<Session> {
  const socket = await dialDatagram("udp", at, {
    readTimeoutMs: READ_TIMEOUT_MS,
    queueCountMax: COUNT_MAX,
  });
  let number = 0;
  return {
    async round(random) {
      const isLarge = random.chance(0.1);
      const size = () => HEAD_BYTES + random.below(isLarge ? LARGE_BYTES_MAX : BYTES_MAX);
      const sizes = Array.from({ length: isLarge ? 1 : 1 + random.below(COUNT_MAX) }, size);
      const bytes = sizes.reduce((sum, each) => sum + each, 0);
      const round = new Round(id, number++, sizes);
      for (let tries = 0; round.missing > 0; tries++) {
        if (tries === TRIES_MAX) throw new AssertionError(`${round.missing} datagrams are lost`);
        round.ask(socket);
        await socket.flush();
        await takeAnswers(socket, round);
      }
      return bytes;
    },
    close: () => socket.close(),
    reset: () => void socket.close({ timeoutMs: 0 }),
  };
}

/** Asks nobody, and is told so. */
export async function dialNobody(_at: string, id: number): Promise<Session> {
  const socket = await dialDatagram("udp", DEAD_ADDRESS, { readTimeoutMs: READ_TIMEOUT_MS });
  return {
    async round() {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        socket.write(streamAt(id, 0, 100));
        try {
          await socket.flush();
          await socket.wait();
        } catch (error) {
          if (error instanceof SystemError && error.code === "ECONNREFUSED") return 0;
          if (!(error instanceof TimeoutError)) throw error; // the kernel sends so many ICMPs a second
        }
      }
      throw new AssertionError("no error tells that nobody is there");
    },
    close: () => socket.close(),
    reset: () => void socket.close({ timeoutMs: 0 }),
  };
}

/** What there is of datagrams. */
export const DATAGRAM_SESSIONS: Readonly<
  Record<string, (at: string, id: number) => Promise<Session>>
> = { echo: dialEcho, nobody: dialNobody };
