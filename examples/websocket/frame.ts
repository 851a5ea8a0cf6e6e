/**
 * The frames of WebSocket, as a codec of a server (RFC 6455, section 5).
 */
import { Buffer } from "node:buffer";
import { type BufferReader, type Codec, FrameError, type Writer } from "../../mod.ts";

/** The kinds of frames. Those from 8 on are control frames, which may stand between fragments. */
export const Opcode = { MORE: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;
export type Opcode = typeof Opcode[keyof typeof Opcode];

const KNOWN: readonly number[] = Object.values(Opcode);
const CONTROL_BYTES_MAX = 125;
/** These stand for a length behind them: of 2 bytes, and of 8. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASK_BYTES = 4;

/** A frame. */
export interface Frame {
  readonly opcode: Opcode;
  /** True when it is the last of its message. */
  readonly isFinal: boolean;
  /** **Owned**. */
  readonly payload: Uint8Array;
}

function malformed(message: string): FrameError {
  return new FrameError("malformed", 0, `Cannot decode a frame: ${message}`);
}

/** Throws for two first bytes that no client sends. */
function checkHead(first: number, second: number): void {
  const opcode = first & 15;
  const isFinal = first >= 0x80;
  if ((first & 0x70) !== 0) throw malformed("a reserved bit is set");
  if (!KNOWN.includes(opcode)) throw malformed(`${opcode} is no opcode`);
  if (opcode >= Opcode.CLOSE && (!isFinal || (second & 0x7f) > CONTROL_BYTES_MAX)) {
    throw malformed("a control frame is whole and short");
  }
  if (second < 0x80) throw malformed("a client masks its frames");
}

/** The bytes before the payload of the next frame, and those of it; the payload is unknown where -1. */
function measure(reader: BufferReader, payloadBytesMax: number): [head: number, payload: number] {
  if (reader.length < 2) return [2, -1];
  const [first = 0, second = 0] = reader.peek(2);
  checkHead(first, second);
  const length = second & 0x7f;
  const head = 2 + (length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0);
  if (reader.length < head) return [head, -1];
  const bytes = Buffer.from(reader.peek(head));
  const payload = head === 2
    ? length
    : head === 4
    ? bytes.readUInt16BE(2)
    : Number(bytes.readBigUInt64BE(2));
  if (payload <= payloadBytesMax) return [head + MASK_BYTES, payload];
  const message = `Cannot decode a frame: it has ${payload} bytes, at most ${payloadBytesMax}`;
  throw new FrameError("too-long", 0, message);
}

/** Reads frames of a client, which are masked, and writes those of a server, which are not. */
export function webSocketFrames(payloadBytesMax: number): Codec<Frame> {
  return {
    decode(reader) {
      const [head, count] = measure(reader, payloadBytesMax);
      if (count < 0 || reader.length < head + count) return undefined;
      const first = reader.readUint8();
      reader.skip(head - MASK_BYTES - 1);
      const mask = reader.readBinary(MASK_BYTES);
      const payload = reader.readBinary(count);
      for (let i = 0; i < count; i++) payload[i]! ^= mask[i & 3]!;
      return { opcode: (first & 15) as Opcode, isFinal: first >= 0x80, payload };
    },
    encode: writeFrame,
    needed(reader) {
      const [head, count] = measure(reader, payloadBytesMax);
      return count < 0 ? head : head + count;
    },
  };
}

function writeFrame(writer: Writer, { opcode, isFinal, payload }: Frame): void {
  const { length } = payload;
  writer.writeUint8((isFinal ? 0x80 : 0) | opcode);
  if (length < LENGTH_16) {
    writer.writeUint8(length);
  } else if (length <= 0xffff) {
    writer.writeUint8(LENGTH_16);
    writer.writeUint16BE(length);
  } else {
    writer.writeUint8(LENGTH_64);
    writer.writeBigUint64BE(BigInt(length));
  }
  writer.writeBinary(payload);
}
