/**
 * Every server of the bench, in every mode: what comes back is what it must be, byte by byte. A
 * bench of servers that do something else measures nothing.
 *
 * Those that run on neither runtime are tested on both, when they were built (`make -C bench
 * go-peers rust-peers`).
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { LIMIT, runFile } from "../../bench/harness/candidates.ts";
import { startServer } from "../../bench/harness/child.ts";
import {
  COLLECTIONS,
  type CollectionTrace,
  type Mode,
  MODES,
  type Peer,
  PEERS,
} from "../../bench/peers/peers.ts";
import { isLateNumber, LATE_MS } from "../../bench/peers/frames.mjs";
import { host } from "../../ffi/runtime.ts";
import { built } from "../support/bench_programs.ts";
import { frame, FrameClient, header } from "../support/frame_client.ts";
import { seededRandom } from "../support/random.ts";
import { delay } from "../support/until.ts";

const MESSAGE_BYTES = 64;
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;
/** None, few, more than one read brings, and more than a socket's buffers hold. */
const PAYLOAD_BYTES = [64, 0, 1, 5000, 64, 100_000, 3 * 1024 * 1024, 64];

const random = seededRandom();

/** Bytes that no mix-up leaves equal. */
function someBytes(count: number): Buffer {
  const words = new Uint32Array(Math.ceil(count / 4)).map(() => random.below(2 ** 32));
  return Buffer.from(words.buffer, 0, count);
}

function assertSame(actual: Buffer, expected: Buffer): void {
  assertEquals(actual.length, expected.length);
  assert(actual.equals(expected), `bytes differ; seed ${random.seed}`);
}

/** The server under a test of a mode. */
interface Subject {
  readonly port: number;
  /** Connects. */
  open(): Promise<FrameClient>;
}

async function echoes({ open }: Subject): Promise<void> {
  using a = await open();
  using b = await open();
  const messages = Array.from({ length: 20 }, () => someBytes(MESSAGE_BYTES));
  for (const message of messages) {
    a.send(message);
    assertSame(await a.read(MESSAGE_BYTES), message);
  }
  const many = someBytes(MESSAGE_BYTES * 5000);
  a.send(many);
  b.send(messages[0]!);
  assertSame(await b.read(MESSAGE_BYTES), messages[0]!);
  assertSame(await a.read(many.length), many);
}

/** More than any buffer on the way holds: the server has to keep, or wait with, what is not read. */
async function echoesToTheSlow({ open }: Subject): Promise<void> {
  using slow = await open();
  using quick = await open();
  const bytes = someBytes(16 * 1024 * 1024);
  slow.pause();
  slow.send(bytes);
  for (let i = 0; i < 50; i++) {
    const message = someBytes(MESSAGE_BYTES);
    quick.send(message);
    assertSame(await quick.read(MESSAGE_BYTES), message);
  }
  slow.resume();
  assertSame(await slow.read(bytes.length), bytes);
}

const FLOOD_BYTES = 128 * 1024 * 1024;
const STALL_MS = 200;

/** Sends more than all buffers hold to a server whose answers nobody reads, until it takes no more. */
async function stopsReading(client: FrameClient, message: Uint8Array): Promise<void> {
  client.pause();
  for (let sent = 0; sent < FLOOD_BYTES; sent += message.length) client.send(message);
  let last = Infinity;
  while (client.unsentBytes < last) {
    last = client.unsentBytes;
    await delay(STALL_MS);
  }
  assert(last > 0, `it took ${FLOOD_BYTES} bytes whose answers nobody reads`);
}

async function stopsReadingEchoes({ open }: Subject): Promise<void> {
  using client = await open();
  await stopsReading(client, someBytes(1024 * 1024));
}

async function stopsReadingFrames({ open }: Subject): Promise<void> {
  using client = await open();
  await stopsReading(client, frame(someBytes(1024 * 1024)));
}

async function answersFrames({ open }: Subject): Promise<void> {
  using client = await open();
  const payloads = PAYLOAD_BYTES.map(someBytes);
  for (const payload of payloads) {
    client.send(frame(payload));
    assertSame(await client.readFrame(), payload);
  }
  // All at once, cut where no frame ends.
  const stream = Buffer.concat(payloads.map(frame));
  for (let from = 0, to; from < stream.length; from = to) {
    to = from + 1 + random.below(100_000);
    await client.sent(stream.subarray(from, to));
  }
  for (const payload of payloads) assertSame(await client.readFrame(), payload);
}

/** A header byte by byte, and answers to what came before a frame that is not complete. */
async function answersParts({ open }: Subject): Promise<void> {
  using client = await open();
  const [first, second] = [someBytes(64), someBytes(3000)];
  const stream = Buffer.concat([frame(first), frame(second)]);
  for (const cut of [[0, 1], [1, 3], [3, 4], [4, 70], [70, 71]]) {
    await client.sent(stream.subarray(...cut));
  }
  assertSame(await client.readFrame(), first); // although the client sends no more until then
  client.send(stream.subarray(71));
  assertSame(await client.readFrame(), second);
}

async function refusesLong({ open }: Subject): Promise<void> {
  using other = await open();
  for (const length of [PAYLOAD_BYTES_MAX + 1, 0xffff_ffff]) {
    using client = await open();
    client.send(Buffer.concat([header(length), someBytes(100)]));
    await client.ended();
  }
  const payload = someBytes(64);
  other.send(frame(payload));
  assertSame(await other.readFrame(), payload);
}

async function answersFramesToTheSlow({ open }: Subject): Promise<void> {
  using client = await open();
  const payload = someBytes(1024 * 1024);
  client.pause();
  for (let i = 0; i < 16; i++) client.send(frame(payload));
  using other = await open();
  other.send(frame(payload));
  assertSame(await other.readFrame(), payload);
  client.resume();
  for (let i = 0; i < 16; i++) assertSame(await client.readFrame(), payload);
}

/** The runtime's timers round to a millisecond. */
const LATE_MS_MIN = LATE_MS - 1;

/** Nobody else is connected: the server's counter is this client's. */
async function answersLate({ open }: Subject): Promise<void> {
  using client = await open();
  const payload = someBytes(64);
  for (let i = 1; i <= 350; i++) { // 4 late ones are among them
    const began = performance.now();
    client.send(frame(payload));
    assertSame(await client.readFrame(), payload);
    const took = performance.now() - began;
    if (isLateNumber(i)) assert(took >= LATE_MS_MIN, `answer ${i} came after ${took} ms`);
  }
  // In order, those behind a late one too.
  const payloads = Array.from({ length: 500 }, (_, i) => someBytes(i % 200));
  client.send(Buffer.concat(payloads.map(frame)));
  for (const one of payloads) assertSame(await client.readFrame(), one);
}

/** The number of answers from that one on that come in time, before the first that is late. */
function inTimeFrom(number: number): number {
  let next = number;
  while (!isLateNumber(next)) next += 1;
  return next - number;
}

/**
 * While an answer is late another connection gets one: the thread was not blocked. A slow machine
 * may miss that moment, but not every time.
 */
async function goesOnMeanwhile({ open }: Subject): Promise<void> {
  using late = await open();
  using other = await open();
  const payload = someBytes(64);
  const bytes = frame(payload);
  let count = 0;
  const isSeen = async () => {
    // Answers in time, a late one behind them, and the other's.
    const before = inTimeFrom(count + 1);
    late.send(Buffer.concat(Array.from({ length: before + 1 }, () => bytes)));
    await late.read(before * bytes.length);
    other.send(bytes);
    assertSame(await other.readFrame(), payload);
    const isFirst = late.length === 0;
    await late.read(bytes.length);
    count += before + 2;
    return isFirst;
  };
  for (let attempt = 0; attempt < 20; attempt++) if (await isSeen()) return;
  assert(false, "nobody was answered while an answer was late");
}

/** Broadcasts to connections that were made before the sender's: they are members when a frame comes. */
async function broadcasts({ open }: Subject): Promise<void> {
  using first = await open();
  using second = await open();
  using gone = await open();
  using sender = await open();
  const payloads = PAYLOAD_BYTES.map(someBytes);
  gone[Symbol.dispose]();
  sender.send(Buffer.concat(payloads.map(frame)));
  for (const receiver of [first, second]) {
    for (const payload of payloads) assertSame(await receiver.readFrame(), payload);
  }
  // The first thing that the sender receives is somebody else's.
  const answer = someBytes(10);
  first.send(frame(answer));
  assertSame(await sender.readFrame(), answer);
  assertSame(await second.readFrame(), answer);
}

/** One receiver is slow: nothing is lost, and the others have all of it in the end. */
async function broadcastsToTheSlow({ open }: Subject): Promise<void> {
  using slow = await open();
  using quick = await open();
  using sender = await open();
  const payloads = Array.from({ length: 16 }, () => someBytes(1024 * 1024));
  slow.pause();
  for (const payload of payloads) sender.send(frame(payload));
  assertSame(await quick.readFrame(), payloads[0]!);
  slow.resume();
  for (const payload of payloads) assertSame(await slow.readFrame(), payload);
  for (const payload of payloads.slice(1)) assertSame(await quick.readFrame(), payload);
}

/** Each with a server of its own: its counter, and its members, are this test's. */
const TESTS: Readonly<Record<Mode, readonly ((subject: Subject) => Promise<void>)[]>> = {
  echo: [echoes, echoesToTheSlow, stopsReadingEchoes],
  framed: [answersFrames, answersParts, refusesLong, answersFramesToTheSlow, stopsReadingFrames],
  tail: [answersLate, goesOnMeanwhile],
  broadcast: [broadcasts, broadcastsToTheSlow],
};

async function withServer(
  argv: readonly string[],
  check: (subject: Subject) => Promise<void>,
): Promise<void> {
  const server = await startServer({ argv });
  const { port } = server;
  try {
    await check({ port, open: () => FrameClient.open(port) });
  } finally {
    await server.stop();
  }
}

function testServer(
  { name, isUnbounded }: Pick<Peer, "name" | "isUnbounded">,
  argvOf: (mode: Mode) => string[],
  absence: string | false = false,
): void {
  const known = "it reads on from a client that takes no answers: its library cannot stop";
  for (const mode of MODES) {
    for (const check of TESTS[mode]) {
      const skip = absence || isUnbounded && check.name.startsWith("stopsReading") && known;
      const words = check.name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      test(
        `${name} ${words}, when its mode is ${mode}`,
        { skip },
        () => withServer(argvOf(mode), check),
      );
    }
  }
}

for (const style of ["sync", "async"]) {
  testServer(
    { name: `netpoll ${style}` },
    (mode) => runFile(host.name, "bench/servers/echo.ts", ["0", `${MESSAGE_BYTES}`, mode, style]),
  );
}

testServer(
  { name: "C" },
  (mode) => [built("echo"), ...LIMIT.argv(MESSAGE_BYTES, mode).slice(1)],
);

function testPeer(peer: Peer): void {
  if (peer.runtime === null) {
    const argvOf = (mode: Mode) => peer.argv(MESSAGE_BYTES, mode);
    const isBuilt = existsSync(argvOf("echo")[0]!);
    return testServer(peer, argvOf, !isBuilt && `not built: make -C bench ${peer.build}`);
  }
  const { runtime, file } = peer;
  if (runtime !== "node" && runtime !== host.name) return;
  const args = (mode: Mode) => ["0", `${MESSAGE_BYTES}`, mode];
  testServer(peer, (mode) => runFile(runtime, `bench/peers/${file}`, args(mode)));
}

PEERS.forEach(testPeer);

const COLLECTING = `
  let kept;
  for (let i = 0; i < 1e6; i++) kept = new Array(100).fill(i);
  console.log("end");`;

/** The lines that a runtime prints while it collects. */
function linesOf(runtime: "bun" | "deno" | "node", trace: Partial<CollectionTrace>): string[] {
  const { prefix = [], env, flags = [] } = trace;
  const [program] = runFile(runtime, "");
  const evaluate = runtime === "deno" ? ["eval", ...flags] : [...flags, "-e"];
  const [command, ...args] = [...prefix, program!, ...evaluate, COLLECTING];
  const options = { encoding: "utf8", env: { ...process.env, ...env } } as const;
  const { stdout, stderr } = spawnSync(command!, args, options);
  return `${stdout}${stderr}`.split("\n");
}

for (const runtime of [host.name, "node"] as const) {
  test(`COLLECTIONS finds a line for each collection, when ${runtime} traces them`, () => {
    const trace = COLLECTIONS[runtime];
    const lines = linesOf(runtime, trace);
    assertEquals(lines.filter((line) => line === "end").length, 1); // whole, not amid another
    const found = lines.filter((line) => trace.pattern.test(line)).length;
    assert(found > 3, `${found} collections of a million arrays: ${lines.slice(0, 5).join("\n")}`);
    assertEquals(linesOf(runtime, {}).filter((line) => trace.pattern.test(line)), []);
  });
}
