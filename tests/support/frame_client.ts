/**
 * A client of the bench's servers, on the runtime's own sockets.
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { once } from "node:events";

/** A server may take so long to answer, in milliseconds: machines are busy. */
const PATIENCE_MS = 30_000;

/** The header of a frame: four bytes of length, high byte first. */
export function header(payloadBytes: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(payloadBytes);
  return bytes;
}

/** A frame. */
export function frame(payload: Uint8Array): Buffer {
  return Buffer.concat([header(payload.length), payload]);
}

/** A connection that is read by count. */
export class FrameClient implements Disposable {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #length = 0;
  #isOver = false;
  #wake: () => void = () => {};

  /** Reads from a socket that is connected. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => {
      this.#chunks.push(chunk as Buffer);
      this.#length += chunk.length;
      this.#wake();
    });
    const end = () => {
      this.#isOver = true;
      this.#wake();
    };
    socket.on("error", end); // the server may close by a reset
    socket.on("close", end);
  }

  /** Connects to a port of 127.0.0.1. */
  static async open(port: number): Promise<FrameClient> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    return new FrameClient(socket);
  }

  /** The number of bytes that came and were not read. */
  get length(): number {
    return this.#length;
  }

  /** Sends bytes; those that the server does not take wait. */
  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Sends bytes, and waits until the kernel has taken them. */
  sent(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#socket.write(bytes, () => resolve()));
  }

  /** The number of bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Receives nothing more for now. */
  pause(): void {
    this.#socket.pause();
  }

  /** Receives again. */
  resume(): void {
    this.#socket.resume();
  }

  /** The next so many bytes. Throws when they do not come. */
  async read(count: number): Promise<Buffer> {
    await this.#until(() => this.#length >= count, `${count} bytes`);
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(count)];
    this.#length -= count;
    return all.subarray(0, count);
  }

  /** The next frame's payload. */
  async readFrame(): Promise<Buffer> {
    return this.read((await this.read(4)).readUInt32BE());
  }

  /** Waits until the server has ended the connection. */
  async ended(): Promise<void> {
    await this.#until(() => this.#isOver, "the end");
  }

  async #until(holds: () => boolean, what: string): Promise<void> {
    const timer = setTimeout(() => this.#socket.destroy(), PATIENCE_MS);
    try {
      while (!holds()) {
        if (this.#isOver) throw new Error(`${what} did not come, only ${this.#length} bytes`);
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
