import { assert, assertEquals, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { type Duplex, PassThrough } from "node:stream";
import { test } from "node:test";
import { ClosedError, Connection, EofError, pipe, UnsentError } from "../../mod.ts";
import { host } from "../../ffi/runtime.ts";
import { KINDS, memoryEnds, netEnds, tlsEnds } from "../support/duplexes.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pattern, receive, send } from "../support/pair.ts";
import { NO_TLS } from "../support/pki.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

const MIB = 1024 * 1024;

async function connected(kind: string): Promise<[Connection, Connection]> {
  const [a, b] = await KINDS[kind]!();
  return [Connection.fromDuplex(a), Connection.fromDuplex(b)];
}

/** Reads so many bytes. Their digest. */
async function digest({ reader }: Connection, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  for (let left = bytes; left > 0;) {
    await reader.wait(1);
    left -= reader.length;
    hash.update(reader.next(reader.length));
    reader.release();
  }
  return hash.digest("hex");
}

for (const kind of Object.keys(KINDS)) {
  const readsOn = kind === "node:tls" && host.name === "deno";
  const bounded = { skip: readsOn && "a paused TLSSocket of Deno reads on: docs/DUPLEX.md" };

  test(`DuplexTransport passes 64 MiB each way at once, over ${kind}`, () =>
    leaks(async () => {
      const [a, b] = await connected(kind);
      const piece = pattern(MIB);
      const hash = createHash("sha256");
      for (let i = 0; i < 64; i++) hash.update(piece);
      const expected = hash.digest("hex");
      const pour = async ({ writer }: Connection) => {
        for (let i = 0; i < 64; i++) {
          writer.writeBinary(piece, { copy: true });
          await writer.flush();
        }
      };
      const received = Promise.all([digest(a, 64 * MIB), digest(b, 64 * MIB)]);
      await Promise.all([pour(a), pour(b)]);
      assertEquals(await received, [expected, expected]);
      await closeAll(a, b);
    }));

  test(`DuplexTransport ends one side after the other, over ${kind}`, () =>
    leaks(async () => {
      const [a, b] = await connected(kind);
      await send(a, "question");
      await a.closeWrite();
      assertEquals(await receive(b, 8), "question");
      await soon(assertRejects(() => b.reader.wait(1), EofError));
      assert(b.isActive);
      await send(b, "answer");
      assertEquals(await soon(receive(a, 6)), "answer");
      assertEquals(await soon(b.close()), { unsentBytes: 0 });
      await soon(assertRejects(() => a.reader.wait(1), EofError));
      assertEquals(await soon(a.close()), { unsentBytes: 0 });
      await Promise.all([a.closed, b.closed]);
    }));

  test(`DuplexTransport delivers what was flushed before close(), over ${kind}`, () =>
    leaks(async () => {
      const [a, b] = await connected(kind);
      const sent = pattern(3 * MIB + 5);
      a.writer.writeBinary(sent, { copy: true });
      void a.writer.flush();
      const closing = a.close();
      await soon(b.reader.wait(sent.length));
      assertBytes(b.reader.next(sent.length), sent);
      assertEquals(await soon(closing), { unsentBytes: 0 });
      await soon(assertRejects(() => b.reader.wait(1), EofError));
      await b.close();
    }));

  test(`DuplexTransport delivers what is flushed when the peer has ended, over ${kind}`, () =>
    leaks(async () => {
      for (let i = 0; i < 5; i++) {
        const [a, b] = await connected(kind);
        await b.closeWrite();
        await soon(assertRejects(() => a.reader.wait(1), EofError));
        const sent = pattern(300_000);
        for (let at = 0; at < sent.length; at += 50_000) {
          a.writer.writeBinary(sent.subarray(at, at + 50_000), { copy: true });
          void a.writer.flush();
        }
        const closing = a.close();
        await soon(b.reader.wait(sent.length));
        assertBytes(b.reader.next(sent.length), sent);
        assertEquals(await soon(closing), { unsentBytes: 0 });
        await closeAll(b);
      }
    }));

  test(`DuplexTransport loses a connection whose peer is destroyed, over ${kind}`, () =>
    leaks(async () => {
      const [stream, raw] = await KINDS[kind]!();
      const a = Connection.fromDuplex(stream);
      const waiting = a.reader.wait(1);
      raw.destroy();
      await soon(assertRejects(() => waiting, EofError));
      await a.close();
    }));

  test(
    `DuplexTransport holds a writer back whose peer does not read, over ${kind}`,
    bounded,
    () =>
      leaks(async () => {
        const [stream, raw] = await KINDS[kind]!();
        const a = Connection.fromDuplex(stream, { closeTimeoutMs: 50 });
        raw.on("error", () => {}).pause();
        a.writer.writeBinary(new Uint8Array(64 * MIB));
        const flushed = a.writer.flush();
        flushed.catch(() => {});
        await ticks(300);
        const { bytes } = a.metrics().unsent;
        assert(bytes > 32 * MIB, `${bytes} bytes are unsent of 64 MiB`);
        assertEquals(await stateOf(flushed), "pending");
        const { unsentBytes } = await soon(a.close());
        assert(
          unsentBytes >= bytes - 16 * MIB && unsentBytes <= 64 * MIB,
          `${unsentBytes} are unsent`,
        );
        await assertRejects(() => flushed, ClosedError);
        await assertRejects(() => a.closed, UnsentError);
        raw.destroy();
      }),
  );

  test(
    `DuplexTransport holds a peer back while nothing is read, over ${kind}`,
    bounded,
    () =>
      leaks(async () => {
        const [stream, raw] = await KINDS[kind]!();
        const a = Connection.fromDuplex(stream);
        a.pauseRead();
        let writtenBytes = 0;
        const piece = Buffer.alloc(MIB);
        const pour = () => {
          while (writtenBytes < 64 * MIB && raw.writableLength === 0) {
            writtenBytes += piece.length;
            raw.write(piece, pour);
          }
        };
        raw.on("error", () => {});
        pour();
        await ticks(300);
        assertLess(writtenBytes, 32 * MIB);
        a.resumeRead();
        let count = 0;
        for (; count < 64 * MIB; a.reader.release()) {
          await soon(a.reader.wait(1));
          count += a.reader.length;
          a.reader.skip(a.reader.length);
        }
        assertEquals(count, 64 * MIB);
        await closeAll(a);
        raw.destroy();
      }),
  );
}

test("DuplexTransport tells of a reset, ours and the peer's, over node:net", () =>
  leaks(async () => {
    for (const isPaused of [false, true]) {
      const [a, b] = await netEnds();
      const [ours, theirs] = [Connection.fromDuplex(a), Connection.fromDuplex(b)];
      await send(theirs, "last");
      await soon(ours.reader.wait(4));
      if (isPaused) ours.pauseRead();
      theirs.reset();
      if (isPaused) setTimeout(() => ours.resumeRead(), 20);
      const error = await soon(assertRejects(() => ours.closed, EofError));
      assertEquals((error.cause as { code?: string }).code, "ECONNRESET");
      assertEquals(ours.reader.readString(4), "last");
      await assertRejects(() => ours.reader.wait(1), EofError);
      await ours.close();
    }
  }));

test("DuplexTransport carries an error without a number as the cause, after what came before", () =>
  leaks(async () => {
    const [stream, raw] = memoryEnds();
    const a = Connection.fromDuplex(stream);
    raw.write("before");
    const boom = new Error("boom");
    await soon(a.reader.wait(6));
    const waiting = a.reader.wait(7);
    stream.destroy(boom);
    const error = await soon(assertRejects(() => waiting, EofError, "the stream failed: boom"));
    assertStrictEquals(error.cause, boom);
    assertStrictEquals(await assertRejects(() => a.closed, EofError), error);
    await assertRejects(() => a.writer.flush(), EofError, "boom");
    assertEquals(a.reader.readString(6), "before");
    await a.close();
    raw.destroy();
  }));

test("DuplexTransport fails a flush by what a stream throws, and does not throw it", () =>
  leaks(async () => {
    const stream = new PassThrough();
    const boom = new Error("boom");
    stream.write = () => {
      throw boom;
    };
    const a = Connection.fromDuplex(stream);
    a.writer.writeString("x");
    void a.writer.flush();
    assertStrictEquals((await soon(assertRejects(() => a.closed, EofError))).cause, boom);
    await a.close();
  }));

test("DuplexTransport gives a stream memory of its own: it may keep what it was given", () =>
  leaks(async () => {
    const stream = new PassThrough({ highWaterMark: 8 * MIB });
    const a = Connection.fromDuplex(stream);
    a.pauseRead();
    for (const size of [10, 5000, 100_000, 2 * MIB]) {
      a.writer.writeBinary(pattern(size), { copy: true });
      await soon(a.writer.flush());
      a.writer.writeBinary(new Uint8Array(size).fill(255), { copy: true });
      await soon(a.writer.flush());
    }
    a.resumeRead();
    for (const size of [10, 5000, 100_000, 2 * MIB]) {
      await soon(a.reader.wait(2 * size));
      assertBytes(a.reader.next(size), pattern(size));
      assertBytes(a.reader.next(size), new Uint8Array(size).fill(255));
      a.reader.release();
    }
    await a.close();
  }));

test("DuplexTransport calls no handler within a flush, however soon the peer has the bytes", () =>
  leaks(async () => {
    const [x, y] = memoryEnds();
    const a = Connection.fromDuplex(x);
    let isFlushing = false;
    let isWithin = false;
    const b = Connection.fromDuplex(y, {
      onRequest({ reader, writer }) {
        isWithin ||= isFlushing;
        writer.writeBinary(reader.next(reader.length));
        void writer.flush();
        reader.release();
      },
    });
    for (let i = 0; i < 20; i++) {
      a.writer.writeString("ping");
      isFlushing = true;
      const flushed = a.writer.flush();
      isFlushing = false;
      await flushed;
      assertEquals(await soon(receive(a, 4)), "ping");
    }
    assertEquals(isWithin, false);
    await closeAll(a, b);
  }));

test("DuplexTransport takes over what a stream holds, and its end", () =>
  leaks(async () => {
    const [stream, raw] = memoryEnds();
    raw.end("early");
    await ticks(3);
    const a = Connection.fromDuplex(stream);
    assertEquals(await soon(receive(a, 5)), "early");
    await soon(assertRejects(() => a.reader.wait(1), EofError));
    await a.close();
    const [gone] = memoryEnds();
    gone.destroy();
    const b = Connection.fromDuplex(gone);
    await soon(assertRejects(() => b.reader.wait(1), EofError));
    await b.close();
  }));

test("DuplexTransport knows the addresses of a socket, and pipes to a descriptor's", () =>
  leaks(async () => {
    const [client, a] = (await netEnds()).map((each) => Connection.fromDuplex(each));
    const [b, server] = (await netEnds()).map((each: Duplex) => Connection.fromDuplex(each));
    assertEquals(a!.localAddress, client!.remoteAddress);
    assertEquals(a!.remoteAddress, client!.localAddress);
    assertEquals(Connection.fromDuplex(new PassThrough()).remoteAddress, {
      transport: "unix",
      path: "",
    });
    const piped = pipe(a!, b!);
    const sent = pattern(MIB);
    client!.writer.writeBinary(sent, { copy: true });
    await client!.writer.flush();
    await soon(server!.reader.wait(MIB));
    assertBytes(server!.reader.next(MIB), sent);
    await closeAll(client!, server!);
    await soon(piped);
  }));

test("DuplexTransport: an end without notice is an end of the stream, over node:tls", {
  skip: NO_TLS,
}, () =>
  leaks(async () => {
    const [server, client] = await tlsEnds();
    const a = Connection.fromDuplex(server);
    client.write("half");
    assertEquals(await soon(receive(a, 4)), "half");
    const raw = (client as Socket & { _parent?: Socket })._parent;
    if (raw != null) raw.end();
    else client.destroy();
    await soon(assertRejects(() => a.reader.wait(1), EofError));
    await a.close();
    client.destroy();
    await once(client, "close").catch(() => {});
  }));

test("DuplexTransport leaves no wait noted with the pace", () =>
  leaks(async () => {
    const [a, b] = await connected("memory");
    const waits = [a.reader.wait(1), b.reader.wait(1)];
    await ticks(2);
    a.reset();
    await Promise.allSettled(waits);
    await until(() => !b.isActive, "the loss");
    await b.close();
  }));
