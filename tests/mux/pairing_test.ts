import { assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { createListener, dial, EventLoop } from "../../mod.ts";
import type { BufferReader } from "../../src/buffer/reader.ts";
import type { Writer } from "../../src/buffer/writer.ts";
import type { ByteCodec, Codec, FrameInput, Piece } from "../../src/codec/codec.ts";
import { lines } from "../../src/codec/delimited.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { ordered } from "../../src/codec/ordered.ts";
import { resp } from "../../src/codec/resp.ts";
import { type Tagged, tagged } from "../../src/codec/tagged.ts";
import { varintPrefixed } from "../../src/codec/varint_prefixed.ts";
import { EofError, TornFrameError } from "../../src/core/errors.ts";
import { Multiplexer } from "../../src/mux/multiplexer.ts";
import { responder } from "../../src/mux/responder.ts";
import { textOf } from "../buffer/balanced.ts";
import { failingFrame, takenBytes } from "../codec/failing_pieces.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith } from "../support/pair.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { soon } from "../support/until.ts";

const REQUESTS = 300;

/** A client's codec of a user's own: it looks at nothing before it writes. */
class Naive implements Codec<Tagged<Uint8Array>, Tagged<FrameInput>> {
  readonly #frames = tagged(lengthPrefixed());

  decode(reader: BufferReader): Tagged<Uint8Array> | undefined {
    return this.#frames.decode(reader);
  }

  encode(writer: Writer, { id, body }: Tagged<FrameInput>): void {
    const before = writer.mallocLength;
    writer.writeUint32BE(id);
    for (const piece of Array.isArray(body) ? body as Piece[] : [body as Piece]) {
      if (typeof piece === "string") writer.writeString(piece);
      else if (piece instanceof Uint8Array) writer.writeBinary(piece);
      else writer.append(piece);
    }
    const length = new DataView(new ArrayBuffer(4));
    length.setUint32(0, writer.mallocLength - before);
    writer.writeDirect(new Uint8Array(length.buffer), writer.mallocLength - before);
  }
}

type Client = Codec<Tagged<Uint8Array>, Tagged<FrameInput>>;

/** The protocol of the client, and the way in which the other side finds the requests. */
const PROTOCOLS: Readonly<Record<string, readonly [() => Client, ByteCodec, idBytes: number]>> = {
  "tagged(lengthPrefixed)": [() => tagged(lengthPrefixed()), lengthPrefixed(), 4],
  "tagged(varintPrefixed)": [() => tagged(varintPrefixed()), varintPrefixed(), 4],
  "ordered(lengthPrefixed)": [() => ordered(lengthPrefixed()), lengthPrefixed(), 0],
  "ordered(lines)": [() => ordered(lines()), lines(), 0],
  "a user's own": [() => new Naive(), lengthPrefixed(), 4],
};

/** A request that fails, or one that its answer can be told by. */
function anyBody(random: Random, n: number): readonly [FrameInput, isGood: boolean] {
  if (random.chance(0.5)) return [`request ${n}`, true];
  return [failingFrame(random, null).input, false];
}

for (const [name, [make, frames, idBytes]] of Object.entries(PROTOCOLS)) {
  test(`request() keeps answers paired whatever else fails, of ${name}`, async () => {
    const random = seededRandom(process.env["SEED"]);
    const [a, b] = pairWith();
    const asked: string[] = [];
    // Answers what it is asked, behind the number that it was asked with.
    b.setOnRequest(({ reader, writer }) => {
      for (let frame; (frame = frames.decode(reader)) !== undefined;) {
        const copy = new Uint8Array(frame);
        asked.push(textOf(copy.subarray(idBytes)));
        frames.encode(writer, [copy.subarray(0, idBytes), "to ", copy.subarray(idBytes)]);
      }
      void writer.flush();
      reader.release();
    });
    const client = new Multiplexer(a, make());
    const good: string[] = [];
    const all: Promise<unknown>[] = [];
    for (let n = 0; n < REQUESTS; n++) {
      const [body, isGood] = anyBody(random, n);
      const answer = client.request(body);
      if (isGood) good.push(body as string);
      all.push(isGood ? answer.then(textOf) : answer.then(() => "answered", () => "refused"));
      if (random.chance(0.05)) await soon(Promise.all(all));
    }
    const answers = await soon(Promise.all(all), `SEED=${random.seed}`);
    const expected = good.map((text) => `to ${text}`);
    assertEquals(answers.filter((one) => one !== "refused"), expected, `SEED=${random.seed}`);
    assertEquals(asked, good, `SEED=${random.seed}`);
    assertEquals(client.strayCount, 0);
    await client.close();
    await closeAll(b);
  });
}

test("request() keeps a client of Redis paired, whichever value cannot be written", async () => {
  const [a, b] = pairWith();
  const codec = resp({ bulk: "text" });
  b.setOnRequest(({ reader, writer }) => {
    for (let value; (value = codec.decode(reader)) !== undefined;) codec.encode(writer, value);
    void writer.flush();
    reader.release();
  });
  const client = new Multiplexer(a, ordered(resp({ bulk: "text" })));
  const wrong = [takenBytes(), Symbol("none"), {}, ["a", ["b", takenBytes()]]];
  const bodies = wrong.flatMap((value, n) => [[`good ${n}`], ["SET", "k", value]]);
  const answers = bodies.map((body) => client.request(body as string[]).catch((error) => error));
  const settled = await soon(Promise.all(answers));
  for (const [n, answer] of settled.entries()) {
    if (n % 2 === 0) assertEquals(answer, [`good ${n / 2}`]);
    else assertEquals(answer instanceof TypeError, true);
  }
  await client.close();
  await closeAll(b);
});

test("request() by a getter of another request's body is sent by itself", async () => {
  await leaks(async () => {
    const listener = createListener("unix", "@pairing-getter");
    const loop = new EventLoop(responder(tagged(lengthPrefixed()), (body) => body));
    const served = loop.serve(listener);
    const connection = await dial("unix", "@pairing-getter");
    const client = new Multiplexer(connection, new Naive());
    let inner: Promise<Uint8Array> | undefined;
    const body: Piece[] = ["begins, ", "", "ends"];
    Object.defineProperty(body, 1, {
      get() {
        inner ??= client.request("inner");
        return "goes on, ";
      },
    });
    assertEquals(textOf(await soon(client.request(body))), "begins, goes on, ends");
    assertEquals(textOf(await soon(inner!)), "inner");
    await client.close();
    await loop.shutdown();
    await served;
  });
});

test("request() ends the connection when a frame failed of which a part was flushed", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer<Uint8Array, FrameInput>(a, {
      decode: () => undefined,
      encode(writer) {
        writer.writeString("half");
        void writer.flush();
        throw new TypeError("on purpose");
      },
    });
    const error = await soon(client.request("x").catch((error) => error));
    assertEquals([error instanceof TornFrameError, error.cause.message], [true, "on purpose"]);
    assertEquals(await client.request("y").catch((error) => error), error);
    await client.close();
    await closeAll(b);
  });
});

test("responder() answers what onError says when an answer cannot be written", async () => {
  await leaks(async () => {
    const codec = tagged(lengthPrefixed());
    const [a, b] = pairWith();
    b.setOnRequest(responder(codec, (body) => {
      const text = textOf(body);
      if (text === "fails") return ["half, ", takenBytes()];
      return text === "fails later" ? Promise.resolve(["half, ", takenBytes()]) : text;
    }, { onError: (error) => `failed: ${error instanceof TypeError}` }));
    const client = new Multiplexer(a, codec);
    const asked = ["one", "fails", "two", "fails later", "three"];
    const answers = await soon(Promise.all(asked.map((text) => client.request(text))));
    const expected = ["one", "failed: true", "two", "failed: true", "three"];
    assertEquals(answers.map(textOf), expected);
    await client.close();
    await closeAll(b);
  });
});

test("responder() ends the connection of an answer of which a part was flushed", async () => {
  const frames = tagged(lengthPrefixed());
  const [a, b] = pairWith();
  let failedCount = 0;
  b.setOnRequest(responder<Uint8Array, FrameInput>(
    {
      decode: (reader) => frames.decode(reader),
      encode(writer) {
        writer.writeByte(0);
        void writer.flush();
        throw new TypeError("on purpose");
      },
    },
    (body) => body,
    { onError: () => (failedCount += 1, "again") },
  ));
  const client = new Multiplexer(a, frames);
  const error = await soon(client.request("x").catch((error) => error));
  assertEquals([error instanceof EofError, failedCount], [true, 0]);
  await client.close();
  await closeAll(a, b);
});
