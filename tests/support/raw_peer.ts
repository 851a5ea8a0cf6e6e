/**
 * The other end of a connection, call by call: what it does, and when, is the test's to say.
 */
import { Buffer } from "node:buffer";
import { native } from "../../ffi/load.ts";
import type { Address, Listener } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { check } from "../../src/core/check.ts";
import { ERRNO, NOT_READY } from "../../src/core/errno.ts";
import { parsePath, rawFromNumeric } from "../../src/net/address.ts";
import { Interest } from "../../src/poll/watcher.ts";
import { RawSocket } from "./raw_socket.ts";
import { until } from "./until.ts";

const PIECE_BYTES = 65536;
const CONNECT_MICROS = 10_000_000;

function rawOf(address: Address): Uint32Array {
  if (address.transport === "unix") return parsePath(address.path);
  // A server that listens everywhere is reached at 127.0.0.1.
  const hostname = { "::": "::1", "0.0.0.0": "127.0.0.1" }[address.hostname] ?? address.hostname;
  return rawFromNumeric(hostname, address.port);
}

/** A busy kernel takes its time to connect even on loopback; a test waits for it here. */
function waitConnected(fd: number): void {
  const epoll = check("create an epoll descriptor", native.epollCreate());
  check("watch", native.epollCtl(epoll, 1, fd, 0, Interest.WRITE));
  native.epollWait(epoll, new Uint32Array(64), 1, CONNECT_MICROS);
  native.close(epoll);
}

/** A socket that is no Connection of ours. */
export class RawPeer extends RawSocket {
  #received = "";
  #isEnded = false;
  #wasReset = false;

  /**
   * Connects, from a numeric address if one is given; on loopback that is all but done when this
   * returns.
   */
  constructor(to: Listener | Address, from?: string) {
    const raw = rawOf("address" in to ? to.address : to);
    super(check("open a socket", native.socket(raw[0]!)));
    if (from !== undefined) check("bind", native.bind(this.fd, rawFromNumeric(from, 0)));
    const code = native.connect(this.fd, raw);
    if (code !== -ERRNO.EINPROGRESS) check("connect", code);
  }

  /** Sends a text, or bytes; they must fit into the kernel's buffer. */
  send(content: string | Uint8Array): void {
    const bytes = Buffer.from(content as Uint8Array);
    let sent = this.#send(bytes);
    if (sent === NOT_READY) {
      waitConnected(this.fd);
      sent = this.#send(bytes);
    }
    if (check("send", sent) === bytes.length) return;
    throw new Error(`the kernel took ${sent} of ${bytes.length} bytes`);
  }

  #send(bytes: Uint8Array): number {
    return native.sendBorrowed(this.fd, bytes, bytes.length, 0, bytes.length, 0);
  }

  /** Receives what is there. Throws when the other end has reset the connection. */
  #receive(): void {
    const block = blocks.take(PIECE_BYTES);
    try {
      while (!this.#isEnded) {
        const count = native.recv(this.fd, block.slab.id, block.offset, PIECE_BYTES);
        if (count === NOT_READY) return;
        if (check("receive", count) === 0) this.#isEnded = true;
        const bytes = block.slab.bytes.subarray(block.offset, block.offset + count);
        this.#received += Buffer.from(bytes).toString("latin1");
      }
    } finally {
      block.release();
    }
  }

  /** Everything received so far. */
  get received(): string {
    this.#receive();
    return this.#received;
  }

  /** True when the other end has ended its side. */
  get isEnded(): boolean {
    this.#receive();
    return this.#isEnded;
  }

  /** True when the other end has ended its side or reset the connection. */
  get isOver(): boolean {
    return this.isReset || this.#isEnded;
  }

  /** True when the other end has reset the connection. */
  get isReset(): boolean {
    if (this.#wasReset) return true; // the kernel says so once
    try {
      this.#receive();
    } catch (error) {
      if ((error as { code?: string }).code !== "ECONNRESET") throw error;
      this.#wasReset = true;
    }
    return this.#wasReset;
  }

  /** Waits for so many bytes in all. */
  async receive(count: number): Promise<string> {
    await until(() => this.received.length >= count || this.#isEnded, `${count} bytes at the peer`);
    return this.#received;
  }

  /** Waits for the end. Everything received. */
  async receiveAll(): Promise<string> {
    await until(() => this.isEnded, "the end at the peer");
    return this.#received;
  }
}
