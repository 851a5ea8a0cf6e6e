/**
 * The other end of one transfer of TFTP: packets that go again until they are answered.
 */
import { clearTimeout, setTimeout } from "node:timers";
import {
  createDatagramSocket,
  type Datagram,
  type DatagramSocket,
  type PackedAddress,
  peerKey,
  SystemError,
} from "../../mod.ts";
import { errorPacket, Fault, headOf, Op } from "./packet.ts";

/** A client that so many packets in a row found without an answer has gone. */
const TRIES_MAX = 6;
const PAUSE_MS_MAX = 8000;
/** A client asks again for the last packet within so long, and so many times. */
const LINGER_MS = 6000;
const LINGER_TRIES_MAX = 10;
/** As much of its own words is repeated. */
const TEXT_BYTES_MAX = 100;

/** The transfer ends, and the client is told why; without a code it has ended it itself, or has gone. */
export class TransferError extends Error {
  readonly code: number | null;

  constructor(code: number | null, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** A client, as the socket of its transfer knows it. */
export class Client {
  /**
   * A packet goes again when no answer has come for so long; then after twice the time, and so on: a
   * client that looks for silence before it repeats its own finds some.
   */
  pauseMs = 250;
  readonly #key: number | string;
  readonly #peer: PackedAddress;
  readonly #socket: DatagramSocket;
  #ended: TransferError | null = null;
  /** Takes what comes, and hears of the end, while somebody waits. */
  #onPacket: (op: number, number: number, bytes: Uint8Array) => void = () => {};
  #onEnd: (error: TransferError) => void = () => {};

  /** The sender of a request: it is answered from the address that it was sent to, and a port of our own. */
  constructor({ peer, peerKey: key, localAddress }: Datagram) {
    this.#peer = peer;
    this.#key = key;
    this.#socket = createDatagramSocket({ ...localAddress, port: 0 }, {
      reportUnreachable: true,
      onDatagram: (datagram) => this.#onDatagram(datagram),
      onError: (error, other) => {
        const isOfClient = other !== null && peerKey(other) === this.#key;
        if (isOfClient && error instanceof SystemError) this.#end(null, error.message);
      },
    });
  }

  #onDatagram(datagram: Datagram): void {
    const { bytes } = datagram;
    const { op, number } = headOf(bytes);
    if (datagram.peerKey !== this.#key) {
      // An error is answered by nothing, else two could answer each other for ever.
      if (op !== Op.ERROR) datagram.reply(errorPacket(Fault.UNKNOWN_PORT, "not your transfer"));
    } else if (op === Op.ERROR) {
      const text = new TextDecoder().decode(bytes.subarray(4, TEXT_BYTES_MAX));
      this.#end(null, `the client says ${JSON.stringify(text)}`);
    } else this.#onPacket(op, number, bytes);
  }

  #end(code: number | null, why: string): void {
    this.#ended ??= new TransferError(code, why);
    this.#onEnd(this.#ended);
  }

  /** Sends a packet, once. */
  tell(packet: Uint8Array): void {
    this.#socket.writeTo(this.#peer, packet);
    void this.#socket.flush();
  }

  /**
   * Sends a packet until it is answered, and returns the answer. Nothing else makes it go again: were
   * it sent for an answer that comes twice, all later ones would go twice, too (RFC 1123 §4.2.3.1).
   *
   * @throws {TransferError} The client has gone, or has ended it.
   */
  async exchange(packet: Uint8Array, op: number, block: number): Promise<Uint8Array> {
    let pauseMs = this.pauseMs;
    for (let i = 0; i < TRIES_MAX; i++) {
      this.tell(packet);
      const answer = await this.next(op, block, pauseMs);
      if (answer !== null) return answer;
      pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX);
    }
    throw new TransferError(null, `no answer after block ${block}`);
  }

  /** Waits for a packet. Null when the time is over. */
  async next(op: number, block: number, timeoutMs: number): Promise<Uint8Array | null> {
    if (this.#ended !== null) throw this.#ended;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | null>();
    const timer = setTimeout(() => resolve(null), timeoutMs);
    this.#onEnd = reject;
    this.#onPacket = (hasOp, number, bytes) => {
      if (hasOp === op && number === (block & 0xffff)) resolve(bytes.slice());
    };
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#onPacket = this.#onEnd = () => {};
    }
  }

  /** Sends the last packet: again when the client repeats what it answers, since it was lost then. */
  async linger(packet: Uint8Array, op: number, block: number): Promise<void> {
    for (let i = 0; i < LINGER_TRIES_MAX; i++) {
      this.tell(packet);
      const again = await this.next(op, block, LINGER_MS).catch(() => null);
      if (again === null) return;
    }
  }

  /** Ends the transfer. */
  stop(): void {
    this.#end(Fault.OTHER, "the server stops");
  }

  /** Gives the socket back. */
  async close(): Promise<void> {
    await this.#socket.close();
  }
}
