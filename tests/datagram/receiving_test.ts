import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { test } from "node:test";
import { BusyError, configure, type LinkBuffer, SystemError, TimeoutError } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { config } from "../../src/core/config.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { DATAGRAM_SLOT_BYTES } from "../../src/core/limits.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { bound, bytes, dialled, echo, texts, withLog } from "../support/datagrams.ts";
import { leaks } from "../support/leaks.ts";
import { soon, ticks, until } from "../support/until.ts";

test("wait() resolves with all that is there, and gives back what the one before has brought", async () => {
  await leaks(async () => {
    await using server = bound({ readTimeoutMs: 3000 });
    await using client = await dialled(server);
    for (const round of ["a", "b"]) {
      for (let i = 0; i < 3; i++) client.write(bytes(`${round}${i}`));
      await client.flush();
      await server.wait();
      assertEquals(server.datagrams.count, 3);
      assertEquals(new TextDecoder().decode(server.datagrams.at(2).bytes), `${round}2`);
    }
    server.release();
    server.release();
    assertEquals(server.datagrams.count, 0);
  });
});

test("wait() behind flush() is there when the next batch is: no event finds nobody", async () => {
  await using server = bound({ receiveCountMax: 4, readTimeoutMs: 3000 });
  await using client = await dialled(server, { segmentation: "off" });
  const answerAll = async (count: number) => {
    for (let answered = 0; answered < count; answered += server.datagrams.count) {
      server.release();
      await server.wait();
      for (const datagram of server.datagrams) datagram.reply(datagram.bytes);
      await server.flush();
    }
  };
  const { counts } = threadPoller();
  const { told } = counts;
  const answering = answerAll(40);
  for (let i = 0; i < 40; i++) client.write(bytes(`${i}`));
  await client.flush();
  await answering;
  assertEquals(counts.told - told, 40 / 4);
});

test("wait() refuses a second one, ends with its signal or its deadline, and can begin again", async () => {
  await leaks(async () => {
    await using server = bound({ readTimeoutMs: 20 });
    const first = server.wait();
    await assertRejects(() => server.wait(), BusyError);
    const late = await soon(first.catch((error) => error));
    assertInstanceOf(late, TimeoutError);
    assertEquals(late.operation, "read");
    const controller = new AbortController();
    const second = server.wait({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await assertRejects(() => second, Error, "enough");
    await assertRejects(() => server.wait({ signal: controller.signal }), Error, "enough");
    await using client = await dialled(server);
    client.write(bytes("x"));
    await client.flush();
    await server.wait({ signal: new AbortController().signal });
    assertEquals(server.datagrams.count, 1);
    server.release();
  });
});

test("wait() is refused where a handler takes the datagrams", async () => {
  await using server = echo();
  assertThrows(() => server.wait(), TypeError, "handler");
});

test("wait() is over for its signal once it has resolved", async () => {
  await using server = bound({ readTimeoutMs: 3000 });
  await using client = await dialled(server);
  const controller = new AbortController();
  const first = server.wait({ signal: controller.signal });
  client.write(bytes("one"));
  await client.flush();
  await first;
  const second = server.wait();
  controller.abort(); // of the one before
  client.write(bytes("two"));
  await client.flush();
  await second;
  assertEquals(server.datagrams.count, 1);
});

test("release() in a handler gives nothing back of the batch that is under way", async () => {
  const got: string[] = [];
  await using server = bound({
    onDatagram(datagram) {
      server.release();
      got.push(new TextDecoder().decode(datagram.bytes));
    },
  });
  await using client = await dialled(server);
  for (const text of ["a", "b", "c"]) client.write(bytes(text));
  await client.flush();
  await until(() => got.length === 3, "all come");
  assertEquals(got, ["a", "b", "c"]);
});

test("with debug a view of a datagram that is over has no bytes", async () => {
  const { debug } = config;
  configure({ debug: true });
  try {
    await using server = bound({ readTimeoutMs: 3000 });
    await using client = await dialled(server);
    client.write(bytes("kept"));
    await client.flush();
    await server.wait();
    const view = server.datagrams.at(0).bytes;
    assertEquals(view.length, 4);
    server.release();
    assertEquals(view.length, 0);
  } finally {
    configure({ debug });
  }
});

test("what nobody waits for stays with the kernel", async () => {
  await using server = bound({ readTimeoutMs: 3000 });
  await using client = await dialled(server);
  client.write(bytes("early"));
  await client.flush();
  await ticks(5);
  assertEquals(server.metrics().received.count, 0);
  assertEquals(await texts(server, 1), ["early"]);
  const { counts } = threadPoller();
  const before = counts.events;
  client.write(bytes("late"));
  await client.flush();
  await until(() => counts.events > before, "an event tells of it");
  await ticks(20);
  assertLess(counts.events - before, 10, "an event that goes on is told in each turn");
  assertEquals(await texts(server, 1), ["late"]);
});

test("a handler that throws hurts no other datagram, and onError hears whose it was", async () => {
  const got: string[] = [];
  const heard: [string, boolean][] = [];
  let peer: unknown = null;
  await using server = bound({
    onDatagram(datagram) {
      peer = datagram.peer;
      const text = new TextDecoder().decode(datagram.bytes);
      if (text === "b") throw new Error("not b");
      got.push(text);
    },
    onError: (error, from) => heard.push([(error as Error).message, from === peer]),
  });
  await using client = await dialled(server);
  for (const text of ["a", "b", "c"]) client.write(bytes(text));
  await client.flush();
  await until(() => got.length === 2 && heard.length === 1, "all come");
  assertEquals([got, heard], [["a", "c"], [["not b", true]]]);
});

test("a handler that returns a promise is told that it must not, and its rejection, too", async () => {
  const heard: string[] = [];
  await using server = bound({
    // deno-lint-ignore require-await -- the mistake that is tested
    onDatagram: (async () => {
      throw new Error("later");
    }) as unknown as () => void,
    onError: (error) => heard.push((error as Error).message),
  });
  await using client = await dialled(server);
  client.write(bytes("x"));
  await client.flush();
  await until(() => heard.length === 2, "both are told");
  assert(heard[0]!.startsWith("Cannot wait in a handler of datagrams"));
  assertEquals(heard[1], "later");
});

test("onDatagrams gets a batch, and slice() outlives it", async () => {
  await leaks(async () => {
    const kept: LinkBuffer[] = [];
    await using server = bound({
      onDatagrams(datagrams) {
        for (const datagram of datagrams) kept.push(datagram.slice());
      },
    });
    await using client = await dialled(server);
    client.write(bytes("small"));
    client.write(new Uint8Array(30_000).fill(7));
    await client.flush();
    await until(() => kept.length === 2, "both come");
    client.write(new Uint8Array(30_000).fill(9));
    await client.flush();
    await until(() => kept.length === 3, "the third comes");
    assertEquals(kept[0]!.readString(5), "small");
    assert(kept[1]!.next(30_000).every((byte) => byte === 7));
    for (const each of kept) each.close();
  });
});

test("pauseRead() leaves what comes with the kernel, and resumeRead() takes it", async () => {
  const got: number[] = [];
  await using server = bound({ onDatagram: ({ length }) => void got.push(length) });
  await using client = await dialled(server);
  server.pauseRead();
  assertEquals(server.isReadPaused, true);
  client.write(bytes("abc"));
  await client.flush();
  await ticks(10);
  assertEquals(got, []);
  server.resumeRead();
  await until(() => got.length > 0, "it comes");
  assertEquals([got, server.isReadPaused], [[3], false]);
});

test("a train of datagrams comes apart, each with its own bytes", async () => {
  const got: string[] = [];
  let messages = 0;
  await using server = bound({
    onDatagrams(datagrams) {
      messages += 1;
      for (const { bytes } of datagrams) got.push(new TextDecoder().decode(bytes));
    },
  });
  await using client = await dialled(server);
  const sent = Array.from({ length: 64 }, (_, i) => `${1000 + i}`);
  for (const text of sent) client.write(bytes(text));
  client.write(bytes("end"));
  await client.flush();
  await until(() => got.length === 65, "all come");
  assertEquals(got, [...sent, "end"]);
  assert(messages <= 2 && server.metrics().received.messages <= 2);
});

test("errors without onError are logged, one line in ten seconds", async () => {
  const lines = await withLog(async () => {
    await using server = bound({
      onDatagram() {
        throw new Error("broken");
      },
    });
    await using client = await dialled(server);
    for (let i = 0; i < 100; i++) client.write(bytes("x"));
    await client.flush();
    await until(() => server.metrics().errorCount === 100, "all fail");
    await ticks(3);
  });
  assert(lines.length <= 1);
});

test("a view whose buffer is taken away is empty, and what comes next is as it was sent", async () => {
  const got: string[] = [];
  await using server = echo({
    onDatagram(datagram) {
      const { bytes } = datagram;
      try {
        (bytes.buffer as ArrayBuffer).transfer();
      } catch {
        // Deno does not let go of it.
      }
      got.push(`${bytes.length === 0 || bytes.length === 3}`);
      datagram.reply(datagram.bytes);
    },
  });
  await using client = await dialled(server);
  for (const text of ["abc", "def", "ghi"]) client.write(bytes(text));
  await client.flush();
  assertEquals(await texts(client, 3), ["abc", "def", "ghi"]);
  assertEquals(got, ["true", "true", "true"]);
});

test("a handler of batches that throws, or returns a promise, is told so, and hears the next batch", async () => {
  const heard: string[] = [];
  let calls = 0;
  await using server = bound({
    onDatagrams: (() => {
      calls += 1;
      if (calls === 1) throw new Error("thrown");
      return calls === 2 ? Promise.reject(new Error("later")) : calls;
    }) as unknown as () => void,
    onError: (error, peer) => heard.push(`${(error as Error).message.slice(0, 11)} ${peer}`),
  });
  await using client = await dialled(server);
  for (const [call, errors] of [1, 3, 3].entries()) {
    client.write(bytes("x"));
    await client.flush();
    await until(() => calls === call + 1 && heard.length === errors, "it is called, and told");
  }
  assertEquals(heard[0], "thrown null");
  assertEquals(new Set(heard.slice(1)), new Set(["Cannot wait null", "later null"]));
});

for (
  const [what, isFor, left] of [
    ["receive into", () => true, ["first"]],
    ["keep it in", (length: number) => length < DATAGRAM_SLOT_BYTES, []],
  ] as const
) {
  test(`a wait is told that there is no memory to ${what}, and the next one has the rest`, async () => {
    await using server = bound({ readTimeoutMs: 3000 });
    await using client = await dialled(server);
    client.write(bytes("first"));
    await client.flush();
    const take = blocks.take.bind(blocks);
    blocks.take = (length) => {
      if (isFor(length)) throw new SystemError("allocate", ERRNO.ENOMEM);
      return take(length);
    };
    try {
      await assertRejects(() => server.wait(), SystemError, "ENOMEM");
    } finally {
      delete (blocks as Partial<typeof blocks>).take;
    }
    assertEquals([server.datagrams.count, server.metrics().received.count], [0, 1 - left.length]);
    client.write(bytes("next"));
    await client.flush();
    assertEquals(await texts(server, left.length + 1), [...left, "next"]);
  });
}
