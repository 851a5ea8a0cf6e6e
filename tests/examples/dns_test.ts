/**
 * examples/dns_server.ts before questions that make no sense, and before another server that cannot be
 * trusted; tests/acceptance/datagram_test.ts has the clients of others.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { Code, readQuery, Type, writeAnswer } from "../../examples/dns/message.ts";
import { Zone } from "../../examples/dns/zone.ts";
import { sent } from "../support/dgram.ts";
import { portOf, withExample } from "../support/example.ts";
import { until } from "../support/until.ts";

const HEADER = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const HELLO = [5, ...Buffer.from("hello"), 4, ...Buffer.from("test"), 0];
/** EDNS: 4096 bytes, and an option of 4 bytes. */
const EDNS = [0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 8, 0, 10, 0, 4, 1, 2, 3, 4];

/** A query of type A, with changes. */
function query({ header = {} as Record<number, number>, name = HELLO, behind = [] as number[] }) {
  const bytes = [...HEADER, ...name, 0, 1, 0, 1, ...behind];
  for (const [at, byte] of Object.entries(header)) bytes[Number(at)] = byte;
  return Uint8Array.from(bytes);
}

const withEdns = query({ header: { 11: 1 }, behind: EDNS });

/** The answer that the records of a zone make; null where there is none. */
function answerOf(zone: Zone, bytes: Uint8Array): Uint8Array | null {
  const read = readQuery(bytes);
  if (read === null) return null;
  const answers = zone.find(read.name, read.type);
  if (read.code !== Code.OK) return writeAnswer(bytes, read, read.code);
  return writeAnswer(bytes, read, answers === null ? Code.NO_NAME : Code.OK, {
    answers: answers ?? [],
  });
}

const codeOf = (answer: Uint8Array | null) => answer === null ? null : answer[3]! & 15;

const large = new Zone();
for (let i = 0; i < 100; i++) large.add(`hello.test=192.0.2.${i}`);
large.add("hello.test=a text");

test("readQuery() and writeAnswer() make an answer or nothing of every prefix and every changed byte", () => {
  const variants: Uint8Array[] = [];
  for (let end = 0; end <= withEdns.length; end++) variants.push(withEdns.slice(0, end));
  for (let at = 0; at < withEdns.length; at++) {
    for (let byte = 0; byte < 256; byte++) {
      const changed = withEdns.slice();
      changed[at] = byte;
      variants.push(changed);
    }
  }
  for (const bytes of variants) {
    const answer = answerOf(large, bytes);
    const isQuery = bytes.length >= HEADER.length && bytes[2]! < 0x80;
    assertEquals(answer !== null, isQuery, `${bytes}`);
    if (answer === null) continue;
    assert(answer.length <= 1232, `${bytes}`);
    assertEquals([answer[0], answer[1], answer[2]! >> 7], [bytes[0], bytes[1], 1]);
    assertEquals(answer[2]! & 0x78, bytes[2]! & 0x78);
  }
});

test("readQuery() refuses what it cannot read, with the code for it", () => {
  const label = [63, ...Buffer.from("a".repeat(63))];
  const longest = [...label, ...label, ...label, 61, ...Buffer.from("a".repeat(61)), 0];
  const { FORMAT, NO_NAME, NOT_IMPLEMENTED } = Code;
  const cases: [string, number, Uint8Array][] = [
    ["255 bytes", NO_NAME, query({ name: longest })],
    ["257 bytes", FORMAT, query({ name: [...label, ...label, ...label, ...label, 0] })],
    ["the root", NO_NAME, query({ name: [0] })],
    ["a dot within a label", NO_NAME, query({ name: [10, ...Buffer.from("hello.test"), 0] })],
    ["a pointer to itself", FORMAT, query({ name: [0xc0, 12] })],
    ["a pointer behind the end", FORMAT, query({ name: [0xc0, 0xff] })],
    ["a label of 64", FORMAT, query({ name: [64, ...label, 0] })],
    ["no question", FORMAT, query({ header: { 5: 0 } })],
    ["two questions", FORMAT, query({ header: { 5: 2 }, behind: [...HELLO, 0, 1, 0, 1] })],
    ["records that are not there", FORMAT, query({ header: { 10: 255 } })],
    ["EDNS twice", FORMAT, query({ header: { 11: 2 }, behind: [...EDNS, ...EDNS] })],
    ["notify", NOT_IMPLEMENTED, query({ header: { 2: 0x20 } })],
    ["all of a zone", NOT_IMPLEMENTED, query({}).with(HEADER.length + HELLO.length + 1, 252)],
    ["another class", NOT_IMPLEMENTED, query({}).with(HEADER.length + HELLO.length + 3, 3)],
  ];
  for (const [what, code, bytes] of cases) assertEquals(codeOf(answerOf(large, bytes)), code, what);
  const later = answerOf(large, withEdns.with(HEADER.length + HELLO.length + 4 + 6, 1))!;
  assertEquals(later.at(-6), Code.BAD_VERSION >> 4);
  assertEquals(readQuery(query({ header: { 2: 0x81 } })), null);
});

test("writeAnswer() has no more bytes than the client takes, and says what did not fit", () => {
  const sizes: [Uint8Array, number][] = [[query({}), 512], [withEdns, 1232]];
  for (const size of [0, 511, 513, 1232, 65_535]) {
    const bytes = withEdns.slice();
    new DataView(bytes.buffer).setUint16(HEADER.length + HELLO.length + 4 + 3, size);
    sizes.push([bytes, Math.min(1232, Math.max(512, size))]);
  }
  for (const [bytes, most] of sizes) {
    const answer = answerOf(large, bytes)!;
    assert(answer.length <= most && answer.length > most - 16 - 11, `${answer.length} of ${most}`);
    assertEquals(answer[2]! & 2, 2);
  }
});

/** A server of others' making: `answer` says what it sends to whom. */
async function withUpstream(
  answer: (question: Uint8Array, send: (bytes: Uint8Array) => void) => void,
  call: (port: number) => Promise<void>,
): Promise<void> {
  const upstream = createSocket("udp4").bind(0, "127.0.0.1");
  await once(upstream, "listening");
  let last = Promise.resolve(); // answers leave in order
  upstream.on("message", (question, { port }) => {
    answer(question, (bytes) => void (last = last.then(() => sent(upstream, bytes, port))));
  });
  const args = [
    "--record",
    "own.test=a text",
    "--upstream",
    `127.0.0.1:${upstream.address().port}`,
  ];
  try {
    const run = (at: string) => call(portOf(at));
    const ended = await withExample("examples/dns_server.ts", "127.0.0.1:0", run, { args });
    assertEquals(ended, { code: 0, signal: null, stderr: "" });
  } finally {
    upstream.close();
  }
}

/** An answer with one address, as a server makes it. */
function oneAddress(question: Uint8Array, last: number): Uint8Array {
  const end = HEADER.length + HELLO.length + 4;
  const bytes = Uint8Array.of(
    ...question.subarray(0, end),
    ...[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last],
  );
  bytes.set([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], 2);
  return bytes;
}

/** Asks with the runtime's own socket, again when no answer comes. */
async function ask(port: number, question: Uint8Array): Promise<Uint8Array> {
  const socket = createSocket("udp4");
  const again = setInterval(() => socket.send(question, port, "127.0.0.1"), 5000);
  socket.send(question, port, "127.0.0.1");
  const [answer] = await once(socket, "message");
  clearInterval(again);
  socket.close();
  return answer;
}

test("Forwarder takes no answer but the one to its question", async () => {
  const forged: ((bytes: Uint8Array) => Uint8Array)[] = [
    (bytes) => bytes.with(0, bytes[0]! ^ 1), // another number
    (bytes) => bytes.with(13, bytes[13]! ^ 1), // another name
    (bytes) => bytes.with(HEADER.length + HELLO.length + 1, 28), // another type
    (bytes) => bytes.with(2, 1), // a question
    (bytes) => bytes.with(5, 0), // without a question
    (bytes) => bytes.subarray(0, 12),
    (bytes) => bytes.subarray(0, 1),
    () => new Uint8Array(0),
  ];
  let asked: Uint8Array = new Uint8Array(0);
  await withUpstream((question, send) => {
    asked = question;
    for (const forge of forged) send(forge(oneAddress(question, 66)));
    send(oneAddress(question, 1));
    send(oneAddress(question, 66)); // a second answer
  }, async (port) => {
    for (let i = 0; i < 20; i++) {
      const answer = await ask(port, query({ header: { 1: i }, behind: [1, 2, 3] }));
      assertEquals([answer[0], answer[1], answer.at(-1)], [0x12, i, 1]);
      // What the client has sent beside its question goes nowhere.
      assertEquals(asked.length, HEADER.length + HELLO.length + 4);
    }
  });
});

test("Forwarder asks once what many ask at a time, and answers each", async () => {
  let count = 0;
  const sends: (() => void)[] = [];
  await withUpstream((question, send) => {
    count += 1;
    sends.push(() => send(oneAddress(question, 1)));
  }, async (port) => {
    const socket = createSocket("udp4");
    const ids = new Set<number>();
    const answered = new Promise<void>((resolve) =>
      socket.on("message", (answer) => {
        ids.add(answer[1]!);
        if (ids.size === 50) resolve();
      })
    );
    for (let i = 0; i < 50; i++) await sent(socket, query({ header: { 1: i } }), port);
    // Another question, asked last, is heard upstream when all before it are known.
    const other = query({ name: HELLO.with(1, 0x48) });
    await sent(socket, other, port);
    await until(() => count === 2, "both questions are asked");
    for (const send of sends) send();
    await answered;
    assertEquals(count, 2);
    socket.close();
  });
});

test("Forwarder cuts what the client does not take", async () => {
  await withUpstream((question, send) => {
    const answer = new Uint8Array(4000);
    answer.set(oneAddress(question, 1));
    send(answer);
  }, async (port) => {
    const plain = await ask(port, query({}));
    assertEquals([plain.length, plain[2]! & 2], [HEADER.length + HELLO.length + 4, 2]);
    const edns = await ask(port, withEdns);
    assert(edns.length <= 1232);
    assertEquals(edns[2]! & 2, 2);
  });
});

test("Zone has names as they are asked for, and refuses others", () => {
  const zone = new Zone();
  for (const record of ["x", "=1", `${"a".repeat(64)}=1`, "a..b=1", `a=${"x".repeat(256)}`]) {
    let message = "";
    try {
      zone.add(record);
    } catch (error) {
      message = (error as Error).message;
    }
    assertMatch(message, /^Cannot use /, record);
  }
  zone.add("A.Test.=192.0.2.1");
  assertEquals(zone.find("a.test", Type.A)?.length, 1);
  zone.add("a.test=a text");
  assertEquals(zone.find("a.test", Type.ANY)?.length, 1);
  assertEquals([zone.isParent("test"), zone.isParent(""), zone.isParent("b")], [true, true, false]);
});
