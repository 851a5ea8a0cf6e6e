/**
 * The bytes that a connection tells of are those that its peer has sent and got, however they are
 * moved: in the message of its close, in its metrics, and in the sums of the thread.
 */
import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  Connection,
  type ConnectionCloseMessage,
  createDatagramSocket,
  dial,
  dialDatagram,
  type DialOptions,
  memoryPair,
  metrics,
  pipe,
  socketPair,
} from "../../mod.ts";
import { memoryEnds } from "../support/duplexes.ts";
import { Listening } from "../support/heard.ts";
import { withDirectory } from "../support/library.ts";
import { authority, serverIdentity } from "../support/pki.ts";
import { serve } from "../support/serve.ts";
import { soon, until } from "../support/until.ts";

const LARGE = 3 * 1024 * 1024 + 7;

/** A peer that is not of netpoll, and counts. */
class Peer {
  sent = 0;
  got = 0;
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes) => void (this.got += bytes.length));
    socket.on("error", () => {});
  }

  send(bytes: number): void {
    this.sent += bytes;
    this.socket.write(Buffer.alloc(bytes, 7));
  }

  /** Has got so many bytes. */
  async has(bytes: number): Promise<void> {
    await until(() => this.got >= bytes, `${bytes} bytes, of which ${this.got} came`);
  }
}

/** A connection, and its peer. */
interface Both {
  readonly it: Connection;
  readonly peer: { readonly sent: number; readonly got: number };
}

/** A TCP connection that we dialled, to a peer of `node:net`. */
async function withPeer(options: DialOptions<undefined> = {}): Promise<{
  it: Connection;
  peer: Peer;
}> {
  const server = createServer({ allowHalfOpen: true });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const accepted = once(server, "connection");
  const it = await dial("tcp", `127.0.0.1:${(server.address() as AddressInfo).port}`, options);
  const peer = new Peer((await accepted)[0] as Socket);
  server.close();
  return { it, peer };
}

/** Has received so many bytes. */
function received(it: Connection, bytes: number): Promise<void> {
  return until(() => it.metrics().receivedBytes >= bytes, `${bytes} bytes`);
}

/** Sends so many. */
async function give(it: Connection, bytes: number): Promise<void> {
  it.writer.writeBinary(new Uint8Array(bytes));
  await soon(it.writer.flush());
}

/** Reads so many. */
async function take(it: Connection, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) {
    await soon(it.reader.wait(1));
    const part = Math.min(left, it.reader.length);
    it.reader.skip(part);
    it.reader.release();
    left -= part;
  }
}

/** Both ends of netpoll: each sends so much to the other, and then both are closed. */
async function exchange(a: Connection, b: Connection, bytes: number): Promise<Both[]> {
  await Promise.all([give(a, bytes), take(b, bytes)]);
  await Promise.all([give(b, 2 * bytes), take(a, 2 * bytes)]);
  await Promise.all([a.close(), b.close()]);
  return [
    { it: a, peer: { sent: 2 * bytes, got: bytes } },
    { it: b, peer: { sent: bytes, got: 2 * bytes } },
  ];
}

async function piped(bytes: number, options: DialOptions<undefined> = {}): Promise<Both[]> {
  const [front, back] = await Promise.all([withPeer(options), withPeer()]);
  front.peer.send(50); // before there is a pipe
  await received(front.it, 50);
  const moved = pipe(front.it, back.it);
  front.peer.send(bytes);
  back.peer.send(2 * bytes);
  await Promise.all([front.peer.has(2 * bytes), back.peer.has(bytes + 50)]);
  front.peer.socket.end();
  back.peer.socket.end();
  assertEquals(await soon(moved), { aToB: bytes + 50, bToA: 2 * bytes });
  return [front, back];
}

async function secured(upgrade: boolean): Promise<Both[]> {
  const [client, server] = socketPair();
  const plain = upgrade ? 100 : 0;
  if (upgrade) await Promise.all([give(client, plain), take(server, plain)]);
  const tls = { authorities: authority().certificate, serverName: "localhost" };
  const started = client.startTls("client", tls);
  if (upgrade) await received(server, plain + 1); // the first bytes of TLS are no bytes of it
  await Promise.all([started, server.startTls("server", serverIdentity())]);
  const [a, b] = await exchange(client, server, LARGE);
  return [
    { it: a!.it, peer: { sent: a!.peer.sent, got: a!.peer.got + plain } },
    { it: b!.it, peer: { sent: b!.peer.sent + plain, got: b!.peer.got } },
  ];
}

function receivedFile(more: { onBytes?: () => void }, isCut: boolean): Promise<Both[]> {
  return withDirectory(async (directory) => {
    const both = await withPeer();
    const { it, peer } = both;
    const stop = new AbortController();
    const whole = isCut ? 2 * LARGE : LARGE;
    const done = it.receiveFile(`${directory}/file`, whole, { ...more, signal: stop.signal });
    done.catch(() => {});
    peer.send(LARGE);
    if (isCut) {
      await received(it, LARGE);
      stop.abort();
    } else await soon(done);
    peer.send(10);
    await received(it, LARGE + 10);
    await it.close();
    return [both];
  });
}

const CASES: Record<string, () => Promise<Both[]>> = {
  async "that are read and answered"() {
    const both = await withPeer();
    both.peer.send(LARGE);
    await take(both.it, LARGE);
    await give(both.it, 20);
    await both.peer.has(20);
    await both.it.close();
    return [both];
  },
  async "that nobody has read"() {
    const both = await withPeer();
    both.peer.send(1000);
    await received(both.it, 1000);
    await take(both.it, 100);
    await both.it.close();
    return [both];
  },
  async "that are dropped while it closes"() {
    const both = await withPeer();
    const { it, peer } = both;
    peer.socket.pause();
    it.writer.writeBinary(new Uint8Array(4 * LARGE));
    void it.writer.flush().catch(() => {});
    const closed = it.close();
    peer.send(5000);
    await received(it, 5000);
    peer.socket.resume();
    await peer.has(4 * LARGE);
    await soon(closed);
    return [both];
  },
  "that a pipe copies": () => piped(200),
  "that a pipe splices": () => piped(LARGE),
  "that a pipe moves within limits": () =>
    piped(LARGE, { limits: { bytesPerSecond: 4 * LARGE, bytesBurst: LARGE } }),
  async "of a file that is sent"() {
    return await withDirectory(async (directory) => {
      writeFileSync(`${directory}/file`, new Uint8Array(LARGE));
      const both = await withPeer();
      await give(both.it, 10);
      assertEquals(await soon(both.it.sendFile(`${directory}/file`)), LARGE);
      await both.peer.has(LARGE + 10);
      await both.it.close();
      return [both];
    });
  },
  "of a file that is received by splice": () => receivedFile({}, false),
  "of a file that is received by reading": () => receivedFile({ onBytes: () => {} }, false),
  "of a file that is not received to its end": () => receivedFile({}, true),
  async "that are sent without a copy"() {
    const both = await withPeer();
    both.it.zeroCopy = "always";
    await give(both.it, LARGE);
    await both.peer.has(LARGE);
    await both.it.close();
    return [both];
  },
  async "of a descriptor that is given away"() {
    const both = await withPeer();
    both.peer.send(300);
    await received(both.it, 300);
    await take(both.it, 100);
    const fd = both.it.detach();
    const again = Connection.fromFd(fd);
    await again.close();
    return [both];
  },
  "of a pair of Unix sockets": () => exchange(...socketPair(), LARGE),
  "of a pair in memory": () => exchange(...memoryPair(), LARGE),
  async "of streams of the runtime"() {
    const [a, b] = memoryEnds();
    return await exchange(Connection.fromDuplex(a), Connection.fromDuplex(b), LARGE);
  },
  "of TLS": () => secured(false),
  "of TLS that begins later": () => secured(true),
  async "behind a PROXY header"() {
    const [header, payload] = [16, 100]; // version 2, of nobody
    const accepted = Promise.withResolvers<Connection>();
    const { loop, listener, served } = serve(null, {
      onConnect: (it) => accepted.resolve(it),
    }, { proxyProtocol: { trusted: ["127.0.0.1"] } });
    const before = metrics().bytes.received;
    const client = await dial(listener.address, { proxyProtocol: true });
    const [a, b] = await exchange(client, await accepted.promise, payload);
    assertEquals(metrics().bytes.received - before, header + 3 * payload);
    await loop.shutdown();
    await served;
    return [a!, b!];
  },
};

/** The cases whose bytes are others for the kernel. */
const ELSEWHERE = /memory|runtime|TLS|PROXY/;

for (const [name, run] of Object.entries(CASES)) {
  test(`a connection tells of all bytes ${name}`, async () => {
    using listening = new Listening<ConnectionCloseMessage>("connection:close");
    const before = metrics().bytes;
    const all = await run();
    const messageOf = (it: Connection) =>
      listening.messages.filter(({ connection }) => connection === it);
    await until(() => all.every(({ it }) => messageOf(it).length > 0), "every close");
    for (const { it, peer } of all) {
      const expected = [peer.sent, peer.got];
      const [{ receivedBytes, sentBytes }, ...others] = messageOf(it) as [ConnectionCloseMessage];
      assertEquals([receivedBytes, sentBytes], expected, "its close");
      assertEquals(others, []);
      const later = it.metrics();
      assertEquals([later.receivedBytes, later.sentBytes], expected, "its metrics");
      if (peer instanceof Peer) peer.socket.destroy();
    }
    const now = metrics().bytes;
    const sum = (read: (of: Both["peer"]) => number) =>
      all.reduce((sum, { peer }) => sum + read(peer), 0);
    if (ELSEWHERE.test(name)) {
      // Both ends are here: whatever was sent was received.
      return assertEquals(now.received - before.received, now.sent - before.sent);
    }
    assertEquals(
      [now.received - before.received, now.sent - before.sent],
      [sum(({ sent }) => sent), sum(({ got }) => got)],
      "the sums of the thread",
    );
  });
}

test("metrics() tells of all bytes of datagrams, of the socket and of the thread", async () => {
  const before = metrics().bytes;
  let got = 0;
  const b = createDatagramSocket("udp", "127.0.0.1:0", {
    onDatagram: ({ bytes }) => void (got += bytes.length),
  });
  const a = await dialDatagram(b.localAddress);
  for (let n = 1; n <= 20; n++) a.write(new Uint8Array(10 * n));
  await a.flush();
  await until(() => got === 2100, "all of them");
  assertEquals([a.metrics().sent.bytes, b.metrics().received.bytes], [2100, 2100]);
  await Promise.all([a.close(), b.close()]);
  const now = metrics().bytes;
  assertEquals([now.sent - before.sent, now.received - before.received], [2100, 2100]);
});
