/**
 * Handlers of datagrams that take long: what is left of a batch is told later, and nothing is lost unseen.
 */
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLessOrEqual,
  assertThrows,
} from "@std/assert";
import { test } from "node:test";
import { setImmediate } from "node:timers";
import {
  ClosedError,
  type Datagram,
  type DatagramCloseResult,
  type DatagramSocket,
} from "../../mod.ts";
import { BATCH_MICROS, DATAGRAMS_MAX } from "../../src/core/limits.ts";
import { DatagramCore } from "../../src/datagram/core.ts";
import { openBound } from "../../src/datagram/create.ts";
import { nameOf } from "../../src/datagram/open.ts";
import { datagramSettings } from "../../src/datagram/options.ts";
import { UserDatagramSocket } from "../../src/datagram/face.ts";
import { Family } from "../../src/net/address.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { bound, bytes, dialled } from "../support/datagrams.ts";
import { leaks } from "../support/leaks.ts";
import { soon, ticks, until } from "../support/until.ts";

/** Takes the thread, unless said otherwise for so long that the handlers of 64 datagrams are late. */
function dawdle(ms = 2 * BATCH_MICROS / DATAGRAMS_MAX / 1000): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

function thrownBy(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

/** Sends datagrams of several sizes, which come together. Their texts. */
async function sendTogether(server: DatagramSocket): Promise<string[]> {
  await using client = await dialled(server);
  server.pauseRead();
  const sent = Array.from({ length: 12 }, (_, i) => `${i}`.repeat([1, 7, 9000][i % 3]!));
  for (const text of sent) client.write(bytes(text));
  const train = Array.from({ length: 200 }, (_, i) => `${i + 100}`);
  client.writeTrain(null, bytes(train.join("")), 3);
  await client.flush();
  server.resumeRead();
  return [...sent, ...train];
}

test("a slow handler leaves the thread to others, and hears every datagram in its order", async () => {
  await leaks(async () => {
    const heard: string[] = [];
    const others: [heard: number, error: unknown][] = [];
    let kept: Datagram | null = null;
    await using server = bound({
      onDatagram(datagram) {
        const text = new TextDecoder().decode(datagram.bytes);
        kept = datagram;
        setImmediate(() => others.push([heard.length, thrownBy(() => kept!.length)]));
        dawdle();
        heard.push(text);
        if (text === "222") throw new Error("the rest is heard all the same");
      },
      onError() {},
    });
    const sent = await sendTogether(server);
    await until(() => others.length === sent.length, "all are heard");
    assertEquals(heard, sent);
    assert(others[0]![0] < sent.length / 2, `others ran after ${others}`);
    for (const [, error] of others) assertInstanceOf(error, TypeError); // no handler runs then
    assertEquals(server.metrics().received.count, sent.length);
  });
});

test("a handler of milliseconds leaves the thread to others amid a batch, once it is known", async () => {
  const count = 40;
  const others = new Set<number>();
  let heard = 0;
  await using server = bound({
    receiveCountMax: 4,
    onDatagram() {
      heard += 1;
      setImmediate(() => others.add(heard));
      dawdle(BATCH_MICROS / 1000);
    },
  });
  await using client = await dialled(server, { segmentation: "off" });
  server.pauseRead();
  for (let i = 0; i < count; i++) client.write(bytes(`${i}`));
  await client.flush();
  server.resumeRead();
  await until(() => others.has(count), "all are heard");
  // Of the first batch it is not known. Of the others, a datagram or two are heard at once.
  assertGreaterOrEqual(others.size, (count - 4) / 2);
});

test("close() amid the datagrams of a slow handler: all of them are heard and answered before", async () => {
  await leaks(async () => {
    const heard: string[] = [];
    let early = -1;
    const isTaken = new Set<boolean>();
    const server = bound({
      onDatagram(datagram) {
        dawdle();
        heard.push(new TextDecoder().decode(datagram.bytes));
        isTaken.add(datagram.reply(bytes("answer")));
        if (heard.length > 1) return;
        setImmediate(() => {
          early = heard.length;
          server.pauseRead(); // nobody takes that back but close()
          void server.close();
        });
      },
    });
    const sent = await sendTogether(server);
    await soon(server.closed);
    assertEquals([heard, isTaken], [sent, new Set([true])]);
    assert(0 < early && early < sent.length, `it was closed amid them, after ${early}`);
    assertThrows(() => server.writeTo(1, bytes("late")), ClosedError);
    const { sent: left, dropped, received } = server.metrics();
    assertEquals([received.count, dropped.closed], [sent.length, 0]);
    assertEquals(left.count + dropped.refused, sent.length); // their peer is gone
  });
});

for (const [how, timeoutMs] of [["without time", 0], ["whose time is over", 20]] as const) {
  test(`a close() ${how} counts what a slow handler has not heard`, async () => {
    await leaks(async () => {
      let calls = 0;
      let closing: Promise<DatagramCloseResult> | undefined;
      const server = bound({
        onDatagram() {
          calls += 1;
          dawdle();
          if (calls > 1) return;
          setImmediate(() => {
            closing = server.close({ timeoutMs });
            server.pauseRead(); // so the time is over before all are heard
          });
        },
      });
      const sent = await sendTogether(server);
      await soon(server.closed);
      const before = calls;
      assertEquals(await closing, { unsentCount: 0 });
      await ticks(5);
      assertEquals(calls, before);
      assert(calls < sent.length, "it was closed amid them");
      assertEquals(server.metrics().dropped.closed, sent.length - calls);
    });
  });
}

test("an error that ends the socket counts what a slow handler has not heard", async () => {
  await leaks(async () => {
    let calls = 0;
    const failure = new Error("it cannot be watched any more");
    const onDatagram = () => {
      calls += 1;
      dawdle();
      if (calls === 1) setImmediate(() => core.end(failure));
    };
    const fd = openBound("udp4", "127.0.0.1:0", {});
    const core = new DatagramCore(fd, {
      poller: threadPoller(),
      callbacks: { onDatagram, onError() {} },
      settings: datagramSettings({}),
      family: Family.IPV4,
      isIPv6Only: false,
      local: nameOf(fd),
      remoteAddress: null,
    });
    const server = new UserDatagramSocket(core);
    const sent = await sendTogether(server);
    assertEquals(await soon(server.closed.catch((error) => error)), failure);
    assert(calls < sent.length, "it ended amid them");
    assertEquals(server.metrics().dropped.closed, sent.length - calls);
    assertEquals(await server.close(), { unsentCount: 0 });
  });
});

test("a handler that closes its socket hears nothing more, and the rest of its batch is counted", async () => {
  let calls = 0;
  const server = bound({
    onDatagram() {
      if (++calls === 3) void server.close();
    },
  });
  const sent = await sendTogether(server);
  await soon(server.closed);
  const { received, dropped } = server.metrics();
  assertEquals([calls, dropped.closed], [3, received.count - 3]);
  assertLessOrEqual(received.count, sent.length);
});

test("pauseRead() amid the datagrams of a slow handler: none is told, until resumeRead()", async () => {
  const heard: string[] = [];
  let atPause = 0;
  await using server = bound({
    onDatagram(datagram) {
      dawdle();
      heard.push(new TextDecoder().decode(datagram.bytes));
      if (heard.length > 1) return;
      setImmediate(() => {
        server.pauseRead();
        atPause = heard.length;
      });
    },
  });
  const sent = await sendTogether(server);
  await until(() => server.isReadPaused, "it is paused");
  await using client = await dialled(server);
  client.write(bytes("next"));
  await client.flush();
  await ticks(10);
  assertEquals(heard.length, atPause);
  assert(0 < atPause && atPause < sent.length, `it was paused amid them, after ${atPause}`);
  server.resumeRead();
  await until(() => heard.includes("next"), "all are heard");
  assertEquals(heard, [...sent, "next"]);
});
