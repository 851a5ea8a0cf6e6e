import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import process from "node:process";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import type { Writer } from "../../src/buffer/writer.ts";
import type { Codec, FrameInput, Piece } from "../../src/codec/codec.ts";
import { delimited, lines } from "../../src/codec/delimited.ts";
import { fixedLength } from "../../src/codec/fixed_length.ts";
import {
  copyInput,
  encodeWhole,
  inputBytes,
  settledInput,
  spendInput,
} from "../../src/codec/frame_input.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { ordered } from "../../src/codec/ordered.ts";
import { tagged } from "../../src/codec/tagged.ts";
import { varintPrefixed } from "../../src/codec/varint_prefixed.ts";
import { ClosedError, TornFrameError } from "../../src/core/errors.ts";
import { balanced, bufferOf, bytesOfText } from "../buffer/balanced.ts";
import { seededRandom } from "../support/random.ts";
import { failingFrame, takenBytes } from "./failing_pieces.ts";

type Encoder = Codec<unknown, FrameInput>;

/** A codec of a user's own that looks at nothing before it writes. */
const naive: Encoder = {
  decode: () => undefined,
  encode(writer: Writer, frame: FrameInput) {
    writer.writeUint32BE(0);
    for (const piece of frame as readonly Piece[]) {
      if (typeof piece === "string") writer.writeString(piece);
      else if (piece instanceof Uint8Array) writer.writeBinary(piece);
      else writer.append(piece);
    }
  },
};

/** A codec around another that fails when that one is done. */
function failsAfter<Input>(codec: Codec<unknown, Input>): Codec<unknown, Input> {
  return {
    decode: (reader) => codec.decode(reader),
    encode(writer, frame) {
      codec.encode(writer, frame);
      throw new TypeError("on purpose");
    },
  };
}

/** A codec whose frames are `{ id, body }`, for bodies alone. */
function bodies(codec: Codec<unknown, { id: number; body: FrameInput }>): Encoder {
  return { decode: () => 0, encode: (writer, body) => codec.encode(writer, { id: 7, body }) };
}

const CODECS: Readonly<Record<string, () => Encoder>> = {
  lengthPrefixed: () => lengthPrefixed(),
  "lengthPrefixed, header kept": () => lengthPrefixed({ lengthBytes: 1, stripBytes: 0 }),
  "lengthPrefixed, 8 bytes": () => lengthPrefixed({ lengthBytes: 8, byteOrder: "little" }),
  varintPrefixed: () => varintPrefixed(),
  lines: () => lines({ ending: "\r\n" }),
  "delimited by a byte": () => delimited(0),
  "delimited by several": () => delimited(bytesOfText("--")),
  fixedLength: () => fixedLength(40),
  "tagged(lengthPrefixed)": () => bodies(tagged(lengthPrefixed())),
  "tagged(varintPrefixed)": () => bodies(tagged(varintPrefixed())),
  "tagged(delimited)": () => bodies(tagged(delimited(bytesOfText("--")))),
  "ordered(lengthPrefixed)": () => bodies(ordered(lengthPrefixed())),
  "ordered(a user's own)": () => bodies(ordered(naive)),
  "a user's own": () => naive,
  "around lengthPrefixed": () => failsAfter(lengthPrefixed()),
  "around ordered(lengthPrefixed)": () => bodies(failsAfter(ordered(lengthPrefixed()))),
};

for (const [name, make] of Object.entries(CODECS)) {
  balanced(`encodeWhole() leaves nothing of a frame that fails, of ${name}`, () => {
    const random = seededRandom(process.env["SEED"]);
    const codec = make();
    for (let run = 0; run < 150; run++) {
      const where = `SEED=${random.seed}, run ${run}`;
      using writer = new LinkBuffer();
      writer.writeString("before");
      if (random.chance(0.5)) writer.flush();
      writer.writeString("pending");
      const { mallocLength, length } = writer;
      const { input, fault, owned, close } = failingFrame(random, writer);
      assertThrows(() => encodeWhole(codec, writer, input), Error, "", `${where}: ${fault}`);
      assertEquals([writer.mallocLength, writer.length], [mallocLength, length], where);
      for (const [buffer, text] of owned) {
        assertEquals(buffer.length + buffer.mallocLength, text.length, `${where}: ${fault}`);
        buffer.flush();
        assertEquals(buffer.readString(text.length), text, `${where}: ${fault}`);
        buffer.writeString("its owner's");
      }
      close();
      writer.writeString("after");
      writer.flush();
      assertEquals(writer.readString(writer.length), "beforependingafter", where);
    }
  });
}

balanced("encode() alone leaves nothing either, of each codec of ours", () => {
  for (const make of [lengthPrefixed, varintPrefixed, lines, () => fixedLength(4)]) {
    using writer = new LinkBuffer();
    using body = bufferOf("body");
    const codec = make();
    for (const piece of [takenBytes(), null as unknown as string, body]) {
      assertThrows(() => codec.encode(writer, ["", body, piece]), TypeError);
      assertThrows(() => tagged(codec).encode(writer, { id: 1, body: [body, piece] }), TypeError);
      assertThrows(() => ordered(codec).encode(writer, { id: 1, body: [body, piece] }), TypeError);
    }
    assertEquals([writer.mallocLength, body.length], [0, 4]);
  }
});

balanced("encode() may be given an empty buffer twice: nothing of it is moved", () => {
  using writer = new LinkBuffer();
  using empty = new LinkBuffer();
  lengthPrefixed().encode(writer, [empty, "a", empty]);
  empty.writeString("still its owner's");
  assertEquals(writer.mallocLength, 5);
});

balanced("encode() asks an array for each piece once, and before it writes", () => {
  using writer = new LinkBuffer();
  const asked: [unknown, number][] = [];
  const frame = new Proxy(["ab", "cd"], {
    get(target, key) {
      asked.push([key, writer.mallocLength]);
      return Reflect.get(target, key);
    },
  });
  tagged(lengthPrefixed()).encode(writer, { id: 1, body: frame });
  assertEquals(asked, [["length", 0], ["0", 0], ["1", 0]]);
});

balanced("tagged() keeps the number of a message whose body encodes another", () => {
  const codec = tagged(lengthPrefixed());
  using writer = new LinkBuffer();
  const body = ["a"];
  Object.defineProperty(body, 0, {
    get() {
      codec.encode(writer, { id: 2, body: "inner" });
      return "outer";
    },
  });
  codec.encode(writer, { id: 1, body });
  writer.flush();
  const ids = [codec.decode(writer)!, codec.decode(writer)!].map((
    { id, body },
  ) => [id, body.length]);
  assertEquals(ids, [[2, 5], [1, 5]]);
});

balanced("encodeWhole() says that a frame is torn which failed after it had flushed", () => {
  const failure = new Error("on purpose");
  const tearing: Codec<unknown, string> = {
    decode: () => undefined,
    encode(writer, text) {
      writer.writeString(text);
      writer.flush();
      throw failure;
    },
  };
  using writer = new LinkBuffer();
  const error = assertThrows(() => encodeWhole(tearing, writer, "half"), TornFrameError);
  assertEquals([error.cause, writer.length], [failure, 4]);
});

balanced("encodeWhole() takes back what was written to a writer of the user's own", () => {
  using buffer = new LinkBuffer();
  const writer = {
    get mallocLength() {
      return buffer.mallocLength;
    },
    mallocAck: (count: number) => buffer.mallocAck(count),
    writeString: (text: string) => buffer.writeString(text),
  } as unknown as Writer;
  writer.writeString("before");
  const codec: Codec<unknown, string> = {
    decode: () => undefined,
    encode(to, text) {
      to.writeString(text);
      throw new TypeError("on purpose");
    },
  };
  assertThrows(() => encodeWhole(codec, writer, "half"), TypeError, "on purpose");
  assertEquals(buffer.mallocLength, 6);
});

balanced("settledInput() is a frame whose pieces stay as they are", () => {
  using writer = new LinkBuffer();
  assertEquals(settledInput(writer, "text"), "text");
  const shared = new SharedArrayBuffer(4, { maxByteLength: 16 });
  const [bytes] = settledInput(writer, [new Uint8Array(shared)]) as Uint8Array[];
  shared.grow(16);
  assertEquals(bytes!.length, 4);
  using closed = bufferOf("x");
  closed.close();
  assertInstanceOf(assertThrows(() => settledInput(writer, closed)), ClosedError);
});

balanced(
  "inputBytes(), copyInput() and spendInput() see all of a frame; the last uses it up",
  () => {
    using buffer = bufferOf("cd");
    buffer.writeString("e");
    const frame = [bytesOfText("ab"), buffer, "é"];
    assertEquals(inputBytes(frame), 7);
    assertEquals(copyInput(frame).toString(), "abcdeé");
    assertEquals([buffer.length, buffer.mallocLength], [2, 1]);
    spendInput(frame);
    assertThrows(() => buffer.writeString("x"), ClosedError);
  },
);
