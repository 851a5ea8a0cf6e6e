/**
 * Readers and writers over what is no socket, or more than one: TLS, bodies of `fetch`, a Transform.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Transform } from "node:stream";
import { test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { EofError, readerFrom, writerTo } from "../../mod.ts";
import { certificateIn, NO_OPENSSL } from "../support/certificate.ts";
import { withDirectory } from "../support/library.ts";
import { assertBytes, pattern } from "../support/pair.ts";
import { soon, ticks } from "../support/until.ts";

const MIB = 1 << 20;
/** More than the kernel holds for a connection. */
const FLOOD_MIB = 64;

/** Both ends of a TLS connection. */
function withTls(use: (near: TLSSocket, far: TLSSocket) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    const [key, cert] = certificateIn(directory).map((path) => readFileSync(path));
    const server = createServer({ key, cert, allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const options = { port, host: "127.0.0.1", servername: "localhost", ca: cert };
    const near = connect({ ...options, allowHalfOpen: true } as typeof options);
    const [[far]] = await Promise.all([
      once(server, "secureConnection") as Promise<[TLSSocket]>,
      once(near, "secureConnect"),
    ]);
    try {
      await use(near, far);
    } finally {
      near.destroy();
      far.destroy();
      server.close();
    }
  });
}

test(
  "node:tls carries bytes both ways at once, and the end",
  { skip: NO_OPENSSL },
  () =>
    withTls(async (near, far) => {
      const ends = [near, far].map((socket) => ({
        reader: readerFrom(socket),
        writer: writerTo(socket),
      }));
      const sent = pattern(MIB);
      for (const { writer } of ends) {
        writer.writeBinary(sent);
        void writer.flush();
      }
      for (const { reader } of ends) {
        await soon(reader.wait(MIB), "a MiB");
        assertBytes(reader.readBinary(MIB), sent);
      }
      await Promise.all(ends.map(({ writer }) => writer.close()));
      for (const { reader } of ends) {
        await assertRejects(() => soon(reader.wait(1), "the end"), EofError);
      }
    }),
);

test(
  "node:tls holds back who flushes while the peer reads nothing",
  { skip: NO_OPENSSL },
  () =>
    withTls(async (near, far) => {
      far.pause();
      const writer = writerTo(near);
      let flushedMib = 0;
      const flooding = (async () => {
        for (; flushedMib < FLOOD_MIB; flushedMib++) {
          writer.writeBinary(new Uint8Array(MIB));
          await writer.flush();
        }
      })();
      await ticks(8 * FLOOD_MIB);
      assert(flushedMib < FLOOD_MIB, `${flushedMib} MiB were flushed`);
      const failed = assertRejects(() => flooding, Error);
      near.destroy();
      await soon(failed, "the flush rejects");
    }),
);

/** An HTTP server that answers each request so. Its URL. */
async function withHttp(
  answer: (response: ServerResponse) => void,
  use: (url: string) => Promise<void>,
): Promise<void> {
  const server = createHttpServer((_request, response) => answer(response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("readerFrom() the body of a fetch: its bytes, and its end", () =>
  withHttp((response) => response.end(pattern(MIB)), async (url) => {
    await using reader = readerFrom((await fetch(url)).body!);
    await reader.wait(MIB);
    assertBytes(reader.readBinary(MIB), pattern(MIB));
    await assertRejects(() => reader.wait(1), EofError);
  }));

test("readerFrom() the body of a fetch holds its server back while nobody waits", async () => {
  let writtenMib = 0;
  const flood = async (response: ServerResponse) => {
    const gone = new Promise((resolve) => response.on("close", resolve));
    for (; writtenMib < FLOOD_MIB; writtenMib++) {
      if (response.destroyed) return;
      if (response.write(new Uint8Array(MIB))) continue;
      await Promise.race([new Promise((resolve) => response.once("drain", resolve)), gone]);
    }
  };
  await withHttp((response) => void flood(response), async (url) => {
    const reader = readerFrom((await fetch(url)).body!);
    await reader.wait(1);
    await ticks(8 * FLOOD_MIB);
    assert(writtenMib < FLOOD_MIB, `${writtenMib} MiB were written`);
    await reader.close();
  });
});

test("readerFrom() the body of a fetch that is cut rejects, and keeps what came", async () => {
  let answering: ServerResponse;
  await withHttp((response) => {
    answering = response;
    response.writeHead(200, { "content-length": "100" });
    response.write("half");
  }, async (url) => {
    const reader = readerFrom((await fetch(url)).body!);
    await reader.wait(4);
    answering.destroy();
    const error = await assertRejects(() => soon(reader.wait(5), "it is cut"), Error);
    assert(!(error instanceof EofError), `${error}`);
    assertEquals(reader.readString(4), "half");
    await reader.close().catch(() => {});
  });
});

/** A Transform that gives each byte one more, and has room for two pieces. */
function addOne(failAt = Infinity): Transform {
  let seen = 0;
  return new Transform({
    highWaterMark: 1,
    transform(bytes: Uint8Array, _encoding, done) {
      seen += bytes.length;
      if (seen > failAt) done(new Error("too much"));
      else done(null, Uint8Array.from(bytes, (byte) => byte + 1));
    },
  });
}

test("a Transform between writerTo() and readerFrom() is full after a few pieces", async () => {
  const transform = addOne();
  const [reader, writer] = [readerFrom(transform), writerTo(transform)];
  let flushed = 0;
  const writing = (async () => {
    for (; flushed < 100; flushed++) {
      writer.writeBinary(pattern(1000));
      await writer.flush();
    }
    await writer.close();
  })();
  await ticks(200);
  assert(flushed < 10, `${flushed} pieces went in while nobody read`);
  for (let n = 0; n < 100; n++) {
    await reader.wait(1000);
    assertBytes(reader.readBinary(1000), pattern(1000).map((byte) => byte + 1));
    reader.release();
  }
  await writing;
  await assertRejects(() => reader.wait(1), EofError);
  await reader.close();
});

test("a Transform that fails ends its reader and its writer with its error", async () => {
  const transform = addOne(3);
  const [reader, writer] = [readerFrom(transform), writerTo(transform)];
  writer.writeString("abc");
  await Promise.all([writer.flush(), reader.wait(3)]);
  writer.writeString("d");
  await assertRejects(() => writer.flush(), Error, "too much");
  await assertRejects(() => reader.wait(4), Error, "too much");
  assertEquals(reader.readString(3), "bcd");
  await reader.close();
});
