/**
 * What users do with the library, each as a function: with right bytes at its end, or a typed error.
 */
import { assertEquals } from "@std/assert";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { native } from "../../ffi/load.ts";
import {
  Connection,
  createListener,
  dial,
  type DialOptions,
  EofError,
  EventLoop,
  frames,
  lengthPrefixed,
  Multiplexer,
  pipe,
  readableOf,
  resp,
  responder,
  socketPair,
  tagged,
  TimeoutError,
  writableOf,
} from "../../mod.ts";
import { check } from "../../src/core/check.ts";
import { Poller } from "../../src/poll/poller.ts";
import { Interest } from "../../src/poll/watcher.ts";
import { receiveAll } from "../support/line.ts";
import { assertBytes, pattern } from "../support/pair.ts";
import {
  closing,
  echo,
  echoes,
  exchange,
  filePath,
  MANY,
  MESSAGE,
  type Note,
  type Scenario,
  withClient,
  withServer,
} from "./stage.ts";

/** Sends one message back, and awaits that. */
async function echoMessage({ reader, writer }: Connection): Promise<void> {
  await reader.wait(MESSAGE);
  writer.writeBinary(reader.next(MESSAGE));
  await writer.flush();
  reader.release();
}

async function echoSync(note: Note): Promise<void> {
  await withClient(note, echo, echoes);
}

async function echoAsync(note: Note): Promise<void> {
  await withClient(note, echoMessage, async (client) => {
    for (let n = 0; n < 5; n++) await exchange(client, MESSAGE);
  });
}

async function pipelined(note: Note): Promise<void> {
  await withClient(
    note,
    ({ reader, writer }) => {
      while (reader.length >= MESSAGE) writer.writeBinary(reader.next(MESSAGE));
      void writer.flush();
      reader.release();
    },
    (client) => exchange(client, 100 * MESSAGE),
    { dial: { noDelay: true } },
  );
}

async function framed(note: Note): Promise<void> {
  const codec = lengthPrefixed();
  await withClient(note, async (connection) => {
    for await (const frame of frames(connection, codec)) {
      codec.encode(connection.writer, frame);
      void connection.writer.flush();
    }
  }, async (client) => {
    const sizes = [0, 10, 70_000];
    for (const size of sizes) codec.encode(client.writer, pattern(size));
    await client.writer.flush();
    await client.closeWrite();
    const got: number[] = [];
    for await (const frame of frames(client, codec)) {
      assertBytes(frame, pattern(frame.length));
      got.push(frame.length);
    }
    assertEquals(got, sizes.slice(0, got.length));
    assertEquals(got, sizes);
  });
}

async function mux(note: Note): Promise<void> {
  const codec = tagged(lengthPrefixed());
  const answer = responder(codec, async (body: Uint8Array) => {
    await Promise.resolve();
    return body;
  });
  await withClient(note, answer, async (client) => {
    const multiplexer = new Multiplexer(client, codec);
    try {
      const sizes = [1, 100, 20_000, 3, 4, 5];
      const answers = sizes.map((size) => multiplexer.request(pattern(size)));
      const settled = await Promise.allSettled(answers);
      for (const [i, each] of settled.entries()) {
        if (each.status === "rejected") throw each.reason;
        assertBytes(each.value, pattern(sizes[i]!));
      }
    } finally {
      await multiplexer.close();
    }
  });
}

async function redis(note: Note): Promise<void> {
  const codec = resp({ bulk: "text" });
  await withClient(note, ({ reader, writer }) => {
    for (let value; (value = codec.decode(reader)) !== undefined;) codec.encode(writer, value);
    void writer.flush();
    reader.release();
  }, async ({ reader, writer }) => {
    const values = [["SET", "key", "v".repeat(3000)], ["GET", "key"], ["PING"]];
    for (const value of values) codec.encode(writer, value);
    await writer.flush();
    for (const value of values) {
      let got;
      while ((got = codec.decode(reader)) === undefined) await reader.wait(reader.length + 1);
      assertEquals(got, value);
    }
    reader.release();
  });
}

/** client ═ proxy ═ echo server. */
async function proxied(note: Note, count: number, times: number): Promise<void> {
  await withServer(note, echo, async (back) => {
    await withClient(note, async (front) => {
      const target = await dial("tcp", `127.0.0.1:${back}`);
      await closing(target, note, async () => void await pipe(front, target));
    }, async (client) => {
      for (let n = 0; n < times; n++) await exchange(client, count);
    });
  });
}

async function sendFile(note: Note): Promise<void> {
  const path = filePath();
  await withClient(note, async (connection) => {
    connection.reader.skip(connection.reader.length);
    connection.reader.release();
    connection.writer.writeString("file:");
    await connection.sendFile(path);
    const fd = openSync(path, "r");
    try {
      await connection.sendFile(fd, { offset: 100, length: 1000 });
    } finally {
      closeSync(fd);
    }
  }, async ({ reader, writer }) => {
    writer.writeString("x");
    await writer.flush();
    await reader.wait(5 + MANY + 1000);
    assertEquals(reader.readString(5), "file:");
    assertBytes(reader.next(MANY), pattern(MANY));
    assertBytes(reader.next(1000), pattern(1000, 100));
    reader.release();
  });
}

async function receiveFile(note: Note): Promise<void> {
  const path = join(tmpdir(), `netpoll-faults-${process.pid}.received`);
  try {
    await withClient(note, async (connection) => {
      const { reader, writer } = connection;
      await reader.wait(1);
      reader.skip(1);
      reader.release();
      await connection.receiveFile(path, MANY);
      assertBytes(readFileSync(path), pattern(MANY));
      await connection.receiveFile(path, 1000, { offset: 5, onBytes: () => {} });
      writer.writeString("got it");
      await writer.flush();
    }, async ({ reader, writer }) => {
      writer.writeString("x");
      writer.writeBinary(pattern(MANY));
      writer.writeBinary(pattern(1000));
      await writer.flush();
      await reader.wait(6);
      assertEquals(reader.readString(6), "got it");
      reader.release();
    });
  } finally {
    rmSync(path, { force: true });
  }
}

async function zeroCopy(note: Note): Promise<void> {
  await withClient(note, echo, async (client) => {
    await exchange(client, MANY);
    await client.writer.released();
    await exchange(client, MANY);
  }, { zeroCopy: "always", dial: { zeroCopy: "always" } });
}

async function dialName(note: Note): Promise<void> {
  await withServer(note, echo, async (port) => {
    const options: DialOptions = { timeoutMs: 5000, keepAlive: { idleMs: 5000 }, noDelay: false };
    const client = await dial("tcp", `localhost:${port}`, options);
    await closing(client, note, (each) => exchange(each, MESSAGE));
  });
}

async function unixSocket(note: Note): Promise<void> {
  const path = join(tmpdir(), `netpoll-faults-${process.pid}.sock`);
  const listener = createListener("unix", path);
  const loop = new EventLoop(echo, {
    onConnect: (connection) => void connection.closed.catch(note),
    onError: note,
  });
  const served = loop.serve(listener);
  served.catch(note);
  try {
    await closing(await dial("unix", path), note, (client) => exchange(client, MANY));
  } finally {
    await loop.shutdown({ timeoutMs: 20 });
  }
  await served;
}

/** A shutdown while a request is under way, which is still answered. */
async function drain(note: Note): Promise<void> {
  await withServer(note, echoMessage, async (port, loop) => {
    await closing(await dial("tcp", `127.0.0.1:${port}`), note, async (client) => {
      await exchange(client, MESSAGE);
      client.writer.writeBinary(pattern(10));
      await client.writer.flush();
      const over = loop.shutdown({ timeoutMs: 2000 });
      over.catch(note);
      client.writer.writeBinary(pattern(MESSAGE - 10, 10));
      await client.writer.flush();
      await client.reader.wait(MESSAGE);
      assertBytes(client.reader.next(MESSAGE), pattern(MESSAGE));
      client.reader.release();
      await over;
    });
  });
}

/** A shutdown that does not wait for a client that reads nothing. */
async function force(note: Note): Promise<void> {
  await withServer(note, echo, async (port, loop) => {
    await closing(await dial("tcp", `127.0.0.1:${port}`), note, async (client) => {
      client.pauseRead();
      client.writer.writeBinary(pattern(MANY));
      await client.writer.flush();
      await loop.shutdown({ timeoutMs: 0 });
      client.resumeRead();
    });
  }, { onConnect: () => undefined });
}

async function pair(note: Note): Promise<void> {
  const [a, b] = socketPair();
  await closing(a, note, () =>
    closing(b, note, async () => {
      a.writer.writeBinary(pattern(MANY));
      const flushed = a.writer.flush();
      await b.reader.wait(MANY);
      assertBytes(b.reader.next(MANY), pattern(MANY));
      b.reader.release();
      await flushed;
      await a.closeWrite();
      assertEquals((await receiveAll(b)).length, 0);
    }));
}

/** Both ends of a pipe of the kernel, each as a connection. */
async function fifo(note: Note): Promise<void> {
  const ends = new Int32Array(2);
  check("open a pipe", native.pipe(ends));
  const [reading, writing] = [...ends] as [number, number];
  let reader: Connection;
  try {
    reader = Connection.fromFd(reading);
  } catch (error) {
    for (const fd of [reading, writing]) native.close(fd);
    throw error;
  }
  await closing(reader, note, async () => {
    let writer: Connection;
    try {
      writer = Connection.fromFd(writing);
    } catch (error) {
      native.close(writing);
      throw error;
    }
    await closing(writer, note, async () => {
      writer.writer.writeBinary(pattern(MANY));
      const flushed = writer.writer.flush();
      await reader.reader.wait(MANY);
      assertBytes(reader.reader.next(MANY), pattern(MANY));
      reader.reader.release();
      await flushed;
    });
  });
}

/** Streams of the platform: one is written from, and one is read. */
async function adapters(note: Note): Promise<void> {
  await withClient(note, echo, async (client) => {
    const sent = new Blob([pattern(MANY) as Uint8Array<ArrayBuffer>]).stream()
      .pipeTo(writableOf(client.writer), { preventClose: true });
    sent.catch(note);
    const got = new Uint8Array(MANY);
    let at = 0;
    for await (const bytes of readableOf(client.reader)) {
      got.set(bytes, at);
      at += bytes.length;
      if (at === MANY) break;
    }
    await sent;
    if (at < MANY) throw new EofError("Cannot read more: the server has ended its side");
    assertBytes(got.subarray(0, at), pattern(MANY));
  });
}

/** A handler that pipes streams of the platform, and ends with them. */
async function streams(note: Note): Promise<void> {
  await withClient(note, async ({ reader, writer }) => {
    await readableOf(reader).pipeTo(writableOf(writer));
  }, async (client) => {
    await echoes(client);
    await client.closeWrite();
    assertEquals((await receiveAll(client)).length, 0);
  });
}

/** Deadlines that pass, and others that do not. */
async function deadlines(note: Note): Promise<void> {
  await withClient(note, echo, async (client) => {
    client.readTimeoutMs = 1;
    const late = await client.reader.wait(1).then(() => null, (error) => error);
    if (!(late instanceof TimeoutError)) throw late;
    client.readTimeoutMs = 10_000;
    client.writeTimeoutMs = 10_000;
    await exchange(client, 5000);
  }, { idleTimeoutMs: 10_000 });
}

/** A poller of its own: it begins and ends with it. */
function poller(): Promise<void> {
  const [a, b] = socketPair();
  try {
    const own = new Poller();
    try {
      const fd = check("duplicate a descriptor", native.dup(a.fd));
      try {
        const watcher = { fd, onEvent() {}, onFailure() {} };
        own.remove(own.add(watcher, Interest.READ), fd);
      } finally {
        native.close(fd);
      }
    } finally {
      own.close();
    }
  } finally {
    void a.close({ timeoutMs: 0 });
    void b.close({ timeoutMs: 0 });
  }
  return Promise.resolve();
}

/** Those that run in one thread. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  echoSync,
  echoAsync,
  pipelined,
  framed,
  mux,
  redis,
  proxySplice: (note) => proxied(note, MANY, 2),
  proxyCopy: (note) => proxied(note, MESSAGE, 5),
  sendFile,
  receiveFile,
  zeroCopy,
  dialName,
  unixSocket,
  drain,
  force,
  pair,
  fifo,
  adapters,
  streams,
  deadlines,
  poller,
};
