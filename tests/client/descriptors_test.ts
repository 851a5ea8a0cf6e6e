import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import {
  BusyError,
  ClosedError,
  closeDescriptor,
  Connection,
  createListener,
  dial,
  EofError,
  EventLoop,
  memoryPair,
  NetpollError,
  peerCredentials,
  pipe,
  receiveDescriptors,
  sendDescriptors,
  socketPair,
  SystemError,
  TimeoutError,
} from "../../mod.ts";
import { DESCRIPTORS_UNCLAIMED_MAX } from "../../src/core/limits.ts";
import { run } from "../support/child.ts";
import { failWith, faultTest, shorten } from "../support/faults.ts";
import { descriptorCount, leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { closeAll, pattern, receive, send, tcpPair } from "../support/pair.ts";
import { until } from "../support/until.ts";

/** The open file behind a descriptor, as its name in /proc says. */
function fileOf(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`);
}

/** Two ends whose descriptors are ours to give away, and what the one reads that the other writes. */
function rawPair(): [number, number] {
  const pair = new Int32Array(2);
  assertEquals(native.socketpair(pair), 0);
  return [pair[0]!, pair[1]!];
}

function closeFds(...fds: number[]): void {
  for (const fd of fds) closeDescriptor(fd);
}

test("sendDescriptors() brings others of the same open files, in order, close-on-exec", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const fds = [...rawPair(), ...rawPair()];
    await sendDescriptors(a, fds, new TextEncoder().encode("four"));
    const came = await receiveDescriptors(b);
    assertEquals(came.map(fileOf), fds.map(fileOf));
    assertEquals(await receive(b, 4), "four");
    for (const fd of came) {
      const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!;
      assert((parseInt(flags, 8) & 0o2_000_000) !== 0, `${fd} is close-on-exec`);
    }
    closeFds(...fds, ...came);
    await closeAll(a, b);
  }));

test("sendDescriptors() sends a zero without bytes, and takes up to 253", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const [one, other] = rawPair();
    for (const count of [1, 2, 253]) {
      await sendDescriptors(a, Array.from({ length: count }, () => one));
      const came = await receiveDescriptors(b);
      assertEquals(came.length, count);
      assertEquals([...b.reader.readBinary(1)], [0]);
      closeFds(...came);
    }
    closeFds(one, other);
    await closeAll(a, b);
  }));

test("sendDescriptors() refuses what cannot be sent, and sends nothing of it", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const [one, other] = rawPair();
    const some = (count: number) => Array.from({ length: count }, () => one);
    const strange = (value: unknown) => value as number;
    for (
      const [fds, bytes, type] of [
        [[], undefined, RangeError],
        [some(254), undefined, RangeError],
        [[one], new Uint8Array(0), RangeError],
        [[-1], undefined, TypeError],
        [[one, strange("3")], undefined, TypeError],
        [[1.5], undefined, TypeError],
        [strange(one) as unknown as number[], undefined, TypeError],
        [[one], "text" as unknown as Uint8Array, TypeError],
        [[one, 1_000_000], undefined, SystemError],
      ] as const
    ) {
      await assertRejects(() => sendDescriptors(a, fds, bytes), type);
    }
    await send(a, "none");
    assertEquals(await receive(b, 4), "none");
    closeFds(one, other);
    await closeAll(a, b);
    await assertRejects(() => sendDescriptors(a, [1]), ClosedError);
    await assertRejects(() => receiveDescriptors(a), ClosedError);
    assertThrows(() => peerCredentials(a), ClosedError);
  }));

test("descriptors pass through plain Unix sockets only", () =>
  leaks(async () => {
    const [accepted, dialled] = await tcpPair();
    const [first, second] = memoryPair();
    for (const each of [accepted, dialled, first, second, {} as Connection]) {
      await assertRejects(() => sendDescriptors(each, [1]), TypeError);
      await assertRejects(() => receiveDescriptors(each), TypeError);
      assertThrows(() => peerCredentials(each), TypeError);
    }
    await closeAll(accepted, dialled, first, second);
  }));

test("the original may be closed as soon as sendDescriptors() was called", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const [one, other] = rawPair();
    const file = fileOf(one);
    const sent = sendDescriptors(a, [one]);
    closeFds(one, other);
    await sent;
    const [came] = await receiveDescriptors(b);
    assertEquals(fileOf(came!), file);
    closeFds(came!);
    await closeAll(a, b);
  }));

test("bytes before, with and after descriptors arrive in order, wherever the kernel cuts", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const [one, other] = rawPair();
    const chunk = 200_000;
    let written = 0;
    const take = () => pattern(chunk, (written += chunk) - chunk);
    const sending = [];
    for (let n = 0; n < 5; n++) {
      a.writer.writeBinary(take());
      sending.push(sendDescriptors(a, Array.from({ length: n + 1 }, () => one), take()));
      a.writer.writeBinary(take());
    }
    sending.push(a.writer.flush());
    // Each message's descriptors are there as soon as its first byte is.
    for (let n = 0; n < 5; n++) {
      await b.reader.wait(chunk + 1);
      assertEquals(b.reader.readBinary(chunk), pattern(chunk, 3 * n * chunk));
      const came = await receiveDescriptors(b);
      assertEquals(came.length, n + 1);
      closeFds(...came);
      await b.reader.wait(2 * chunk);
      assertEquals(b.reader.readBinary(2 * chunk), pattern(2 * chunk, (3 * n + 1) * chunk));
      b.reader.release();
    }
    await Promise.all(sending);
    closeFds(one, other);
    await closeAll(a, b);
  }));

faultTest(
  "descriptors keep their place at every split of what is sent and received",
  () =>
    leaks(async () => {
      const [one, other] = rawPair();
      const text = new TextEncoder().encode("with");
      for (let most = 1; most <= 13; most++) {
        for (const call of ["send", "recv"] as const) {
          const [a, b] = socketPair();
          shorten(call, most, { fd: call === "send" ? a.fd : b.fd, count: 1000 });
          a.writer.writeString("before");
          const sent = sendDescriptors(a, [one], text);
          const again = sendDescriptors(a, [other, one], text);
          a.writer.writeString("after");
          const flushed = a.writer.flush();
          const first = await receiveDescriptors(b);
          assert(b.reader.length >= 7, "its first byte is there");
          const second = await receiveDescriptors(b);
          assertEquals(first.map(fileOf), [fileOf(one)]);
          assertEquals(second.map(fileOf), [fileOf(other), fileOf(one)]);
          assertEquals(await receive(b, 19), "beforewithwithafter");
          await Promise.all([sent, again, flushed]);
          closeFds(...first, ...second);
          await closeAll(a, b);
        }
      }
      closeFds(one, other);
    }),
);

faultTest(
  "descriptors wait while the kernel has no room, and for a send that is tried again",
  () =>
    leaks(async () => {
      const [a, b] = socketPair();
      const [one, other] = rawPair();
      failWith("send", 11, { fd: a.fd, count: 3 });
      const sent = sendDescriptors(a, [one, other]);
      closeFds(one, other);
      const came = await receiveDescriptors(b);
      await sent;
      assertEquals(came.length, 2);
      closeFds(...came);
      await closeAll(a, b);
    }),
);

test("what was to be sent is closed when the connection ends first", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const [one, other] = rawPair();
    b.pauseRead();
    a.writer.writeBinary(new Uint8Array(4_000_000));
    const sent = sendDescriptors(a, [one, other]);
    sent.catch(() => {});
    closeFds(one, other);
    a.reset();
    await assertRejects(() => sent, ClosedError);
    await closeAll(a, b);
  }));

test("descriptors that nobody takes are closed with the connection, in any order of the ends", () =>
  leaks(async () => {
    for (const end of ["close", "reset", "detach"] as const) {
      const [a, b] = socketPair();
      const [one, other] = rawPair();
      await sendDescriptors(a, [one, other]);
      closeFds(one, other);
      await b.reader.wait(1);
      if (end === "detach") closeFds(b.detach());
      else await b[end]();
      await closeAll(a, b);
    }
  }));

test("a peer who sends descriptors that nobody wants takes no more than the bound", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const [one, other] = rawPair();
    const before = descriptorCount();
    const many = Array.from({ length: 253 }, () => one);
    for (let n = 1; n <= 8; n++) {
      await sendDescriptors(a, many);
      await b.reader.wait(n);
      assert(descriptorCount() <= before + DESCRIPTORS_UNCLAIMED_MAX);
    }
    for (let n = 0; n < 4; n++) closeFds(...await receiveDescriptors(b));
    await assertRejects(() => receiveDescriptors(b), NetpollError, "nobody took");
    await sendDescriptors(a, [one]);
    closeFds(...await receiveDescriptors(b), one, other);
    await closeAll(a, b);
  }));

test("receiveDescriptors() ends as a wait for bytes does: at the peer's end, in time, by a signal", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    b.readTimeoutMs = 5;
    await assertRejects(() => receiveDescriptors(b), TimeoutError);
    b.readTimeoutMs = 0;
    const reason = new Error("enough");
    await assertRejects(
      () => receiveDescriptors(b, { signal: AbortSignal.abort(reason) }),
      Error,
      "enough",
    );
    await assertRejects(() => receiveDescriptors(b, { sginal: 1 } as object), TypeError, "signal");
    const first = receiveDescriptors(b);
    await assertRejects(() => receiveDescriptors(b), BusyError);
    const [one, other] = rawPair();
    await sendDescriptors(a, [one]);
    closeFds(...await first, one, other);
    await a.close();
    await assertRejects(() => receiveDescriptors(b), EofError);
    await b.close();
  }));

test("receiveDescriptors() with a signal that is aborted leaves what has come", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    await sendDescriptors(a, [2]);
    await b.reader.wait(1);
    const reason = new Error("too late");
    const signal = AbortSignal.abort(reason);
    assertEquals(await assertRejects(() => receiveDescriptors(b, { signal })), reason);
    await assertRejects(() => receiveDescriptors(b, { signal: 1 as never }), TypeError, "signal");
    closeFds(...await receiveDescriptors(b));
    await closeAll(a, b);
  }));

test("descriptors among bytes that the kernel moves leave nothing behind", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const [c, d] = socketPair();
    const bytes = new Uint8Array(300_000);
    const received = b.receiveFile("/dev/null", 2 * bytes.length);
    await send(a, "a".repeat(bytes.length));
    await sendDescriptors(a, [2, 2], bytes);
    assertEquals(await received, 2 * bytes.length);
    const piped = pipe(b, c);
    const sent = sendDescriptors(a, [2, 2], bytes);
    await receive(d, bytes.length);
    await sent;
    await closeAll(a, d);
    await piped;
  }));

test("descriptors that came before the peer's end are there after it", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const [one, other] = rawPair();
    await sendDescriptors(a, [one]);
    await a.close();
    await until(() => b.reader.length === 1, "the byte comes");
    closeFds(...await receiveDescriptors(b), one, other);
    await b.close();
  }));

test("a server's handler gets the descriptors of its first bytes, and who sent them", () =>
  leaks(async () => {
    const listener = createListener("unix", "@netpoll-descriptors-test");
    const loop = new EventLoop(async (connection) => {
      const came = await receiveDescriptors(connection);
      const { pid, uid } = peerCredentials(connection);
      connection.reader.skip(connection.reader.length);
      connection.writer.writeString(`${came.length} ${pid} ${uid === process.getuid!()}.`);
      await connection.writer.flush();
      closeFds(...came);
    });
    const served = loop.serve(listener);
    const client = await dial("unix", "@netpoll-descriptors-test");
    const [one, other] = rawPair();
    await sendDescriptors(client, [one, other]);
    closeFds(one, other);
    const answer = `2 ${process.pid} true.`;
    assertEquals(await receive(client, answer.length), answer);
    await client.close();
    await loop.shutdown();
    await served;
  }));

faultTest("a process that may open no more closes what came, says so, and goes on", async () => {
  const ended = await run(`${root}tests/support/descriptors_full.ts`, { descriptorsMax: 96 });
  assertEquals(
    [ended.code, ended.stdout.trim()],
    [0, "EMFILE, nothing left, then 1"],
    ended.stderr,
  );
});

test("a connection goes on elsewhere with the bytes that were read already, at every split", () =>
  leaks(async () => {
    const message = "0123456789abcdef";
    for (let split = 0; split <= message.length; split++) {
      const [client, server] = socketPair();
      const [a, b] = socketPair();
      if (split > 0) await send(client, message.slice(0, split));
      await until(() => server.reader.length === split, "the first bytes come");
      // Those that nobody has read here lie in the kernel, or come later.
      const unread = server.reader.readBinary(server.reader.length);
      const fd = server.detach();
      if (split < message.length) await send(client, message.slice(split));
      const length = new Uint8Array([unread.length, ...unread]);
      await sendDescriptors(a, [fd], length);
      closeDescriptor(fd);
      const [came] = await receiveDescriptors(b);
      await b.reader.wait(1);
      const count = b.reader.readByte();
      await b.reader.wait(count);
      const next = Connection.fromFd(came!, { unread: b.reader.readBinary(count) });
      assertEquals(await receive(next, message.length), message);
      await send(next, "done");
      assertEquals(await receive(client, 4), "done");
      await closeAll(next, client, a, b);
    }
  }));

test("Connection.fromFd() serves the bytes that it begins with, however many", () =>
  leaks(async () => {
    for (const count of [0, 1, 3_000_000]) {
      const [client, server] = socketPair();
      const seen = Promise.withResolvers<number>();
      const next = Connection.fromFd(server.detach(), {
        unread: pattern(count),
        readBufferBytesMax: 64,
        onRequest: async ({ reader }) => {
          await reader.wait(count + 4);
          assertEquals(reader.readBinary(count), pattern(count));
          reader.skip(4);
          seen.resolve(count);
        },
      });
      await send(client, "rest");
      assertEquals(await seen.promise, count);
      await closeAll(next, client);
    }
    const [a, b] = socketPair();
    const fd = a.detach();
    const unread = "text" as unknown as Uint8Array;
    assertThrows(() => Connection.fromFd(fd, { unread }), TypeError);
    closeDescriptor(fd);
    await b.close();
  }));

test("closeDescriptor() ends nothing that another goes on with, and refuses what is no number", () =>
  leaks(async () => {
    const [client, server] = socketPair();
    const fd = server.detach();
    const other = native.dup(fd);
    closeDescriptor(fd);
    assert(!existsSync(`/proc/self/fd/${fd}`));
    const next = Connection.fromFd(other);
    await send(client, "on");
    assertEquals(await receive(next, 2), "on");
    for (const no of [-1, 0.5, "3", null]) {
      assertThrows(() => closeDescriptor(no as number), TypeError);
    }
    await closeAll(client, next);
  }));
