/**
 * No peer keeps the thread longer than a turn, whatever it sends and however its handler reads.
 */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { test } from "node:test";
import { setImmediate, setTimeout } from "node:timers";
import {
  type Connection,
  frames,
  lengthPrefixed,
  Multiplexer,
  resp,
  responder,
  tagged,
} from "../../mod.ts";
import { EVENT_BYTES_FIRST } from "../../src/core/limits.ts";
import { type FakeClock, withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, send } from "../support/pair.ts";
import { echo } from "../support/serve.ts";
import { soon, until } from "../support/until.ts";

const MESSAGES = 20_000;
/** The time that a handler takes for a message: a hundred of them are a turn. */
const MESSAGE_MS = 0.01;
/** A clock that stands would never end a turn in which there are always events. */
const LOOK_MICROS = 2;
/** A few turns: one may end before the others of its batch are told, and a tick comes late. */
const PER_TURN_MAX = 500;
/** A handler that takes all bytes in one call is bounded by the bytes received for one event. */
const PER_CALL_MAX = 3 * EVENT_BYTES_FIRST / 8;

/** The last byte of a message. */
const Y = 0x79;
const plain = lengthPrefixed();
const numbered = tagged(lengthPrefixed());

/** Ways to read messages of four bytes behind their length, each of which is told to `work`. */
const STYLES: Record<
  string,
  (work: () => void) => (connection: Connection) => void | Promise<void>
> = {
  "a handler that takes one message a call": (work) => ({ reader }) => {
    if (plain.decode(reader) === undefined) return;
    work();
    reader.release();
  },
  "a handler that loops over what is there": (work) => ({ reader }) => {
    while (plain.decode(reader) !== undefined) work();
    reader.release();
  },
  "a handler that settles after each message": (work) => async ({ reader }) => {
    await reader.wait(8);
    reader.skip(8);
    work();
    reader.release();
  },
  "a handler that waits for one message after the other": (work) => async ({ reader }) => {
    for (;;) {
      await reader.wait(8);
      reader.skip(8);
      work();
      reader.release();
    }
  },
  "waitUntil()": (work) => async ({ reader }) => {
    for (;;) {
      reader.skip(await reader.waitUntil(Y));
      work();
      reader.release();
    }
  },
  "frames()": (work) => async (connection) => {
    for await (const _ of frames(connection, plain)) work();
  },
  "responder(), synchronous": (work) => responder(numbered, () => void work()),
  "responder(), asynchronous": (work) =>
    responder(numbered, async () => {
      await null;
      work();
      return undefined;
    }),
};

/** The most messages between two turns of another connection, when all of them come at once. */
async function mostAtOnce(
  clock: FakeClock,
  serve: (work: () => void) => (connection: Connection) => void | Promise<void>,
  message: string,
): Promise<number> {
  let [count, before, most] = [0, 0, 0];
  const [a, b] = pairWith({
    onRequest: serve(() => {
      count += 1;
      clock.block(MESSAGE_MS);
    }),
  });
  const turn = (connection: Connection) => {
    most = Math.max(most, count - before);
    before = count;
    echo(connection);
  };
  const [c, d] = pairWith({ onRequest: turn }, { onRequest: turn });
  send(d, "ball");
  b.writer.writeString(message.repeat(MESSAGES));
  const sent = b.writer.flush();
  await until(() => count === MESSAGES, "all messages");
  await soon(sent);
  await closeAll(a, b, c, d);
  return most;
}

for (const [name, serve] of Object.entries(STYLES)) {
  test(`others have their turns beside ${name}`, () =>
    leaks(() =>
      withFakeClock(async (clock) => {
        clock.microsPerLook = LOOK_MICROS;
        const most = await mostAtOnce(clock, serve, "\0\0\0\x04body");
        const isLoop = name.includes("loops");
        assertLessOrEqual(most, isLoop ? PER_CALL_MAX : PER_TURN_MAX, "messages at once");
      })
    ));
}

for (const [name, serve] of Object.entries(STYLES)) {
  if (name.includes("loops")) continue; // one call may take all that is there
  test(`others have their turns beside ${name}, called outside of a turn with all of it there`, () =>
    leaks(() =>
      withFakeClock(async (clock) => {
        clock.microsPerLook = LOOK_MICROS;
        let [count, before, most] = [0, 0, 0];
        const [a, b] = pairWith({});
        b.writer.writeString("\0\0\0\x04body".repeat(MESSAGES));
        await soon(b.writer.flush());
        await soon(a.reader.wait(8 * MESSAGES));
        let isOver = false;
        const look = () => {
          most = Math.max(most, count - before);
          before = count;
          if (!isOver) setImmediate(look);
        };
        const handler = serve(() => {
          count += 1;
          clock.block(MESSAGE_MS);
        });
        setTimeout(() => {
          a.setOnRequest(handler);
          setImmediate(look);
        }, 0);
        await until(() => count === MESSAGES, "all messages");
        isOver = true;
        assertLessOrEqual(most, PER_TURN_MAX, "messages at once");
        await closeAll(a, b);
      })
    ));
}

test("others have their turns beside answers that come to a Multiplexer", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
      clock.microsPerLook = LOOK_MICROS;
      let [count, before, most] = [0, 0, 0];
      const [a, b] = pairWith();
      const client = new Multiplexer(a, numbered);
      const asked = Array.from({ length: 5000 }, () =>
        client.request("?").then(() => {
          count += 1;
          clock.block(MESSAGE_MS);
        }));
      await soon(b.reader.wait(5000 * 9));
      const turn = (connection: Connection) => {
        most = Math.max(most, count - before);
        before = count;
        echo(connection);
      };
      const [c, d] = pairWith({ onRequest: turn }, { onRequest: turn });
      send(d, "ball");
      b.writer.writeBinary(b.reader.readBinary(5000 * 9));
      await soon(b.writer.flush());
      await soon(Promise.all(asked));
      assertLessOrEqual(most, PER_TURN_MAX, "answers at once");
      await closeAll(a, b, c, d);
    })
  ));

test("others have their turns beside an array of RESP with a million values", () =>
  leaks(async () => {
    const codec = resp();
    let values = 0;
    let turns = 0;
    const [a, b] = pairWith({
      readBufferBytesMax: 8 << 20,
      onRequest: ({ reader }) => {
        const value = codec.decode(reader);
        if (value === undefined) return;
        values = (value as unknown[]).length;
        reader.release();
      },
    });
    const [c, d] = pairWith({ onRequest: (connection) => (turns += 1, echo(connection)) });
    d.setOnRequest(echo);
    send(d, "ball");
    b.writer.writeString(`*1000000\r\n${":1\r\n".repeat(1_000_000)}`);
    const sent = b.writer.flush();
    await until(() => values > 0, "the array");
    await soon(sent);
    assertEquals(values, 1_000_000);
    assertLessOrEqual(4_000_000 / (1 << 20), turns, "one in between each event's bytes");
    await closeAll(a, b, c, d);
  }));
