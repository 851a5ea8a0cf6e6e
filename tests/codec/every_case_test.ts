/**
 * Every codec over a connection, at every split and at every loss.
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import {
  type ByteCodec,
  type Codec,
  type Connection,
  delimited,
  EofError,
  everyLoss,
  everySplit,
  fixedLength,
  FrameError,
  type FrameInput,
  frames,
  lengthPrefixed,
  lines,
  Multiplexer,
  NetpollError,
  ordered,
  readableOf,
  resp,
  responder,
  type Tagged,
  tagged,
  varintPrefixed,
  writableOf,
} from "../../mod.ts";
import { textOf } from "../buffer/balanced.ts";
import { leaks } from "../support/leaks.ts";

const LOSSES = { losses: ["reset", "end", "stall"], first: { readTimeoutMs: 1000 } } as const;
/** The server must not wait for ever, either. */
const BOTH = { ...LOSSES, second: { readTimeoutMs: 1000 } };

/** A codec, frames to send, and each of them as a text. */
interface Row<Frame, Input> {
  codec: () => Codec<Frame, Input>;
  inputs: readonly Input[];
  plain: (frame: Frame) => string;
}

function row<Frame, Input>(
  codec: () => Codec<Frame, Input>,
  inputs: readonly Input[],
  plain: (frame: Frame) => string,
): Row<unknown, unknown> {
  return { codec, inputs, plain } as unknown as Row<unknown, unknown>;
}

const TEXTS: readonly FrameInput[] = ["a", "", "bcd", "efghi"];
const tag = (id: number, body: string) => ({ id, body });
const plainTag = ({ id, body }: Tagged<Uint8Array>) => `${id} ${textOf(body)}`;
const json = (value: unknown) =>
  JSON.stringify(value, (_, v) => typeof v === "bigint" ? `${v}n` : v);

const CODECS: Readonly<Record<string, Row<unknown, unknown>>> = {
  lengthPrefixed: row(lengthPrefixed, TEXTS, textOf),
  "lengthPrefixed of 2 bytes": row(
    () => lengthPrefixed({ lengthBytes: 2, byteOrder: "little" }),
    TEXTS,
    textOf,
  ),
  varintPrefixed: row(varintPrefixed, ["", "a", "x".repeat(130)], textOf),
  lines: row(() => lines({ ending: "\r\n" }), ["a", "", "bcd"], textOf),
  "delimited by several bytes": row(() => delimited("--="), ["-", "", "a-b=", "--"], textOf),
  fixedLength: row(() => fixedLength(3), ["abc", "def"], textOf),
  "tagged(lengthPrefixed)": row(
    () => tagged(lengthPrefixed()),
    [tag(1, ""), tag(0xffffffff, "ab")],
    plainTag,
  ),
  resp: row(
    () => resp({ bulk: "text" }),
    ["é", ["SET", "k", ""], 12, null, [[], [true, 1n << 70n]]],
    json,
  ),
};

/** Sends all frames, and ends. */
async function sendFrames(to: Connection, { codec, inputs }: Row<unknown, unknown>): Promise<void> {
  const encoder = codec();
  for (const input of inputs) encoder.encode(to.writer, input);
  await to.writer.flush();
  await to.closeWrite();
}

for (const [name, codec] of Object.entries(CODECS)) {
  /** Sends all there and back. The frames that came back. */
  const echo = async (client: Connection, server: Connection, seen: string[]) => {
    const echoing = (async () => {
      const answers = codec.codec();
      for await (const frame of frames(server, codec.codec())) {
        answers.encode(server.writer, frame);
        await server.writer.flush();
      }
      await server.closeWrite();
    })();
    const sending = sendFrames(client, codec);
    const reading = (async () => {
      for await (const frame of frames(client, codec.codec())) seen.push(codec.plain(frame));
    })();
    const settled = await Promise.allSettled([reading, echoing, sending]);
    for (const each of settled) if (each.status === "rejected") throw each.reason;
  };
  const whole: string[] = [];

  test(`frames() gives the same however it is cut, of ${name}`, () =>
    leaks(async () => {
      await everySplit(async (client, server) => {
        const seen: string[] = [];
        await echo(client, server, seen);
        if (whole.length === 0) whole.push(...seen);
        assertEquals(seen, whole);
      }, { casesMax: 800 });
      assertEquals(whole.length, codec.inputs.length);
    }));

  test(`frames() gives what came before a loss, no more, and says so, of ${name}`, () =>
    leaks(async () => {
      let lostCount = 0;
      await everyLoss(async (client, server) => {
        const seen: string[] = [];
        try {
          await echo(client, server, seen);
        } catch (error) {
          lostCount += 1;
          assert(error instanceof NetpollError, String(error));
          assertEquals(seen, whole.slice(0, seen.length));
          throw error;
        }
        // An end between two frames is one in order: then these are the first ones.
        assertEquals(seen, whole.slice(0, seen.length));
      }, BOTH);
      assert(lostCount > 0);
    }));
}

type Calls = Codec<Tagged<Uint8Array>, Tagged<FrameInput>>;
/** A client's codec, and what its server does with each request. */
const CALLS: Readonly<Record<string, [() => Calls, (server: Connection) => void]>> = {
  "tagged(lengthPrefixed)": [
    () => tagged(lengthPrefixed()),
    answerInAnyOrder(tagged(lengthPrefixed())),
  ],
  "tagged(varintPrefixed)": [
    () => tagged(varintPrefixed()),
    answerInAnyOrder(tagged(varintPrefixed())),
  ],
  "ordered(lengthPrefixed)": [() => ordered(lengthPrefixed()), answerInTurn(lengthPrefixed())],
  "ordered(lines)": [() => ordered(lines()), answerInTurn(lines())],
};

/** Answers the first request after the last one. */
function answerInAnyOrder(codec: Calls): (server: Connection) => void {
  return (server) => {
    const gate = Promise.withResolvers<void>();
    server.setOnRequest(responder(codec, async (body, { signal }) => {
      const text = textOf(body);
      signal.addEventListener("abort", () => gate.resolve(), { once: true });
      if (text === "one") await gate.promise;
      if (text === "six") gate.resolve();
      return `${text}!`;
    }));
  };
}

function answerInTurn(codec: ByteCodec): (server: Connection) => void {
  return (server) =>
    server.setOnRequest(({ reader, writer }) => {
      for (let body; (body = codec.decode(reader)) !== undefined;) {
        codec.encode(writer, [body, "!"]);
      }
      void writer.flush();
      reader.release();
    });
}

for (const [name, [make, answer]] of Object.entries(CALLS)) {
  const ask = async (client: Connection, server: Connection): Promise<string[]> => {
    answer(server);
    const caller = new Multiplexer(client, make(), { timeoutMs: 1000 });
    const answers = ["one", "two", "six"].map((text) => caller.request(text));
    const settled = await Promise.allSettled(answers);
    await caller.close();
    for (const each of settled) if (each.status === "rejected") throw each.reason;
    return (await Promise.all(answers)).map(textOf);
  };
  const right = ["one!", "two!", "six!"];

  test(`request() is answered however the bytes are cut, of ${name}`, () =>
    leaks(async () => {
      await everySplit(async (client, server) => {
        assertEquals(await ask(client, server), right);
      }, { casesMax: 600 });
    }));

  test(`request() is answered rightly or rejects at every loss, of ${name}`, () =>
    leaks(async () => {
      await everyLoss(async (client, server) => {
        assertEquals(await ask(client, server), right);
      }, { losses: ["reset", "end", "stall"], second: { idleTimeoutMs: 10_000 } });
    }));
}

test("streams of the web carry the same however it is cut, and tell each loss", () =>
  leaks(async () => {
    const transfer = async (client: Connection, server: Connection) => {
      const copying = readableOf(server.reader).pipeTo(writableOf(server.writer))
        .then(() => server.closeWrite());
      const sending = (async () => {
        const writer = writableOf(client.writer).getWriter();
        await writer.write(new TextEncoder().encode("hello, "));
        await writer.write(new TextEncoder().encode("world"));
        await writer.close();
        await client.closeWrite();
      })();
      const both = Promise.allSettled([copying, sending]);
      let text = "";
      for await (const chunk of readableOf(client.reader)) text += new TextDecoder().decode(chunk);
      for (const each of await both) if (each.status === "rejected") throw each.reason;
      return text;
    };
    await everySplit(async (client, server) => {
      assertEquals(await transfer(client, server), "hello, world");
    });
    await everyLoss(async (client, server) => {
      const text = await transfer(client, server);
      assert("hello, world".startsWith(text), text);
    });
  }));

test("frames() says of a frame that was cut off by an end, and of a reset, which it was", () =>
  leaks(async () => {
    const kinds: string[] = [];
    await everyLoss(async (client, server) => {
      const codec = lengthPrefixed();
      try {
        codec.encode(client.writer, "ab");
        await client.writer.flush();
        await client.closeWrite();
        for await (const frame of frames(server, codec)) assertEquals(textOf(frame), "ab");
        kinds.push("end");
      } catch (error) {
        if (error instanceof FrameError) kinds.push(error.fault);
        else if (error instanceof EofError) kinds.push((error.cause as { code: string }).code);
        throw error;
      }
    });
    // Nothing goes to the first connection: a loss there is a reset after no byte, and an early end.
    const torn = Array(5).fill(["ECONNRESET", "truncated"]).flat();
    assertEquals(kinds.slice(0, 3), ["end", "ECONNRESET", "end"]);
    assertEquals(kinds.slice(3), ["ECONNRESET", "end", ...torn, "ECONNRESET", "end"]);
  }));
