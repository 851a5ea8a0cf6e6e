/**
 * A client of WebSocket: its messages, whole, and the end of the conversation (RFC 6455, sections 5 to 7).
 */
import { Buffer, isUtf8 } from "node:buffer";
import { type Connection, FrameError } from "../../mod.ts";
import { sendAway } from "../http/service.ts";
import { type Frame, Opcode, webSocketFrames } from "./frame.ts";

/** The longest message, and the longest frame. */
export const MESSAGE_BYTES_MAX = 16 << 20;
/** The fragments of all messages that are not whole yet: who comes too much is sent away. */
const FRAGMENT_BYTES_MAX = 256 << 20;
let fragmentBytes = 0;
/** A control frame has 125 bytes, and two of them are the code. */
const REASON_BYTES_MAX = 123;
/** Others have their turn after so many frames of one client. */
const FRAMES_PER_TURN_MAX = 256;

/** The reasons why a conversation ends (section 7.4.1). */
export const Code = {
  NORMAL: 1000,
  PROTOCOL: 1002,
  NO_CODE: 1005,
  LOST: 1006,
  NO_TEXT: 1007,
  TOO_LARGE: 1009,
  TRY_LATER: 1013,
} as const;

/** A message: text, or bytes, which are **owned**. */
export type Message = string | Uint8Array;

/** The callbacks of a service. */
export interface Handlers {
  /** A whole message has come. */
  onMessage(peer: Peer, message: Message): void;
  /** The client is there. */
  onOpen?(peer: Peer): void;
  /** It has gone: why, as it said; 1006 when it said nothing. */
  onClose?(peer: Peer, code: number): void;
}

/** The client broke a rule: it is told which. */
class Violation extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const frames = webSocketFrames(MESSAGE_BYTES_MAX);

/** A message that comes in fragments. Text is checked as it comes. */
class Assembly {
  readonly #decoder: TextDecoder | null;
  readonly #pieces: Uint8Array[] = [];
  #text = "";
  #bytes = 0;

  constructor(isText: boolean) {
    this.#decoder = isText ? new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }) : null;
  }

  /** Adds a fragment: the message, if that was the last. */
  add({ payload, isFinal }: Frame): Message | undefined {
    this.#bytes += payload.length;
    fragmentBytes += payload.length;
    if (this.#bytes > MESSAGE_BYTES_MAX) {
      throw new Violation(Code.TOO_LARGE, `A message has at most ${MESSAGE_BYTES_MAX} bytes`);
    }
    if (fragmentBytes > FRAGMENT_BYTES_MAX) {
      throw new Violation(Code.TRY_LATER, "Too many messages are under way");
    }
    if (this.#decoder !== null) {
      try {
        this.#text += this.#decoder.decode(payload, { stream: !isFinal });
      } catch {
        throw new Violation(Code.NO_TEXT, "A text is UTF-8");
      }
      return isFinal ? this.#text : undefined;
    }
    if (payload.length > 0) this.#pieces.push(payload);
    if (!isFinal) return undefined;
    return this.#pieces.length === 1
      ? this.#pieces[0]!
      : new Uint8Array(Buffer.concat(this.#pieces));
  }

  /** It is whole, or never will be. */
  drop(): void {
    fragmentBytes -= this.#bytes;
  }
}

/** A code that may be sent: the others are for what was never said. */
function isCode(code: number): boolean {
  return (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) ||
    (code >= 3000 && code <= 4999);
}

/** A client. */
export class Peer {
  readonly #connection: Connection;
  readonly #handlers: Handlers;
  #assembly: Assembly | null = null;
  /** The code with which it ended, or we did; null while the conversation goes on. */
  #code: number | null = null;
  /** We have said our last word. */
  #isClosing = false;

  /** The client of a connection that has left HTTP. */
  constructor(connection: Connection, handlers: Handlers) {
    this.#connection = connection;
    this.#handlers = handlers;
    connection.addCloseCallback(() => {
      this.#assembly?.drop();
      this.#assembly = null;
      handlers.onClose?.(this, this.#code ?? Code.LOST);
    });
    handlers.onOpen?.(this);
  }

  /** False where messages do not go through fast enough: wait, or let it go. */
  get isWritable(): boolean {
    return this.#connection.writer.isWritable;
  }

  /** Sends a message. It leaves with the next flush. Nothing is sent to one that has gone. */
  send(message: Message): void {
    if (typeof message === "string") this.#write(Opcode.TEXT, Buffer.from(message));
    else this.#write(Opcode.BINARY, message);
  }

  /** Sends what was written. */
  flush(): void {
    if (this.#connection.isActive) void this.#connection.writer.flush();
  }

  /** Asks whether the client is still there; the answer is a frame, which is all that counts. */
  ping(): void {
    this.#write(Opcode.PING, new Uint8Array(0));
    this.flush();
  }

  /** Ends it at once: a client that does not read would not read why. */
  cut(): void {
    this.#connection.reset();
  }

  /**
   * Says the last word. The connection ends when the client has said its own, or after a while.
   *
   * @throws {RangeError} The reason does not fit a control frame.
   */
  close(code: number, reason = ""): void {
    if (Buffer.byteLength(reason) > REASON_BYTES_MAX) {
      throw new RangeError("The reason is too long");
    }
    this.#code ??= code;
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    this.#write(Opcode.CLOSE, payload);
    this.#isClosing = true;
  }

  /** Reads what has come, and waits for more. */
  onRequest(): void | Promise<void> {
    const { reader, writer } = this.#connection;
    let frame: Frame | undefined;
    let count = 0;
    try {
      do {
        frame = frames.decode(reader);
        if (frame !== undefined) this.#take(frame);
      } while (frame !== undefined && !this.#isClosing && ++count < FRAMES_PER_TURN_MAX);
    } catch (error) {
      this.#refuse(error);
    }
    void writer.flush();
    reader.release();
    // Later frames are answers to nothing: they are dropped until the client has gone.
    if (this.#isClosing) return sendAway(this.#connection);
    // A client that does not read is heard again when it does, if that is soon.
    if (!writer.isWritable) return writer.flush();
    if (frame === undefined) return reader.wait(frames.needed!(reader));
  }

  #refuse(error: unknown): void {
    if (error instanceof Violation) return this.close(error.code, error.message);
    if (!(error instanceof FrameError)) throw error;
    const code = error.fault === "too-long" ? Code.TOO_LARGE : Code.PROTOCOL;
    this.close(code, error.message);
  }

  #take(frame: Frame): void {
    const { opcode, payload } = frame;
    if (opcode === Opcode.PING) return this.#write(Opcode.PONG, payload);
    if (opcode === Opcode.PONG) return;
    if (opcode === Opcode.CLOSE) return this.#onCloseFrame(Buffer.from(payload));
    if ((opcode === Opcode.MORE) === (this.#assembly === null)) {
      throw new Violation(Code.PROTOCOL, "A message begins once, and goes on until it ends");
    }
    this.#assembly ??= new Assembly(opcode === Opcode.TEXT);
    const message = this.#assembly.add(frame);
    if (message === undefined) return;
    this.#assembly.drop();
    this.#assembly = null;
    this.#handlers.onMessage(this, message);
  }

  /** The client has said its last word: it is said back. */
  #onCloseFrame(payload: Buffer): void {
    if (payload.length === 0) {
      this.#code = Code.NO_CODE;
      this.#write(Opcode.CLOSE, payload);
      this.#isClosing = true;
      return;
    }
    const code = payload.length === 1 ? 0 : payload.readUInt16BE();
    if (!isCode(code)) throw new Violation(Code.PROTOCOL, `${code} is no code`);
    if (!isUtf8(payload.subarray(2))) throw new Violation(Code.NO_TEXT, "A reason is UTF-8");
    this.close(code);
  }

  #write(opcode: Opcode, payload: Uint8Array): void {
    if (this.#isClosing || !this.#connection.isActive) return;
    frames.encode(this.#connection.writer, { opcode, isFinal: true, payload });
  }
}
