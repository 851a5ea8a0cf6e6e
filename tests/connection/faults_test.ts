import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { configure, Connection, EofError, NetpollError, SystemError } from "../../mod.ts";
import { serveHandler } from "../support/echo_server.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, receive, send, tcpPair } from "../support/pair.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { NO_TLS } from "../support/pki.ts";
import { type TestTransport, transport } from "../support/transport.ts";
import { soon, ticks, until } from "../support/until.ts";

const ECONNRESET = 104, ENOMEM = 12, EAGAIN = 11, EBADF = 9, EFAULT = 14, ENOBUFS = 105;

/** The one that is tested, and TLS where it can be had. */
async function transports(): Promise<TestTransport[]> {
  if (NO_TLS !== false) return [transport];
  return [transport, (await import("../support/transports/tls.ts")).transport];
}

faultTest("Connection tells a reset that a receive finds", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "first");
    await until(() => b.reader.length === 5, "the bytes");
    failWith("recv", ECONNRESET, { fd: b.fd });
    const waiting = assertRejects(() => soon(b.reader.wait(20)), EofError);
    await send(a, "second");
    assertEquals(((await waiting).cause as SystemError).code, "ECONNRESET");
    assertEquals(b.reader.readString(b.reader.length), "firstsecond");
    await closeAll(a, b);
  }));

faultTest(
  "Connection tells a reset that a send finds: flush() rejects, and nothing runs within it (netpoll 115)",
  () =>
    leaks(async () => {
      let isInFlush = false;
      const calls: string[] = [];
      const [a, b] = pairWith({
        onRequest: ({ reader }) => void calls.push(`request ${reader.length} ${isInFlush}`),
        onDisconnect: () => void calls.push(`disconnect ${isInFlush}`),
      });
      a.addCloseCallback(() => calls.push(`close ${isInFlush}`));
      failWith("send", ECONNRESET, { fd: a.fd });
      a.writer.writeString("x");
      isInFlush = true;
      const flushed = a.writer.flush();
      isInFlush = false;
      const error = await assertRejects(() => soon(flushed), EofError);
      assertEquals((error.cause as SystemError).code, "ECONNRESET");
      assertThrows(() => a.writer.writeString("more"), EofError);
      await assertRejects(() => soon(a.closed), EofError);
      await ticks(2);
      assertEquals(calls, ["disconnect false", "close false"]);
      await closeAll(a, b);
    }),
);

faultTest("Connection.fromFd() throws when the poller cannot watch", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const fd = a.detach();
    failWith("epollCtl", ENOMEM, { fd });
    const error = assertThrows(() => Connection.fromFd(fd), SystemError);
    assertEquals((error as SystemError).code, "ENOMEM");
    const again = Connection.fromFd(fd); // it is still its owner's
    await closeAll(again, b);
  }));

faultTest("EventLoop goes on after a connection that cannot be watched", () =>
  leaks(async () => {
    const errors: unknown[] = [];
    let accepted = 0;
    await using server = serveHandler(({ reader, writer }) => {
      writer.writeBinary(reader.next(reader.length));
      writer.flush();
      reader.release();
    }, {
      onPrepare: ({ fd }) => {
        // Of this descriptor: the poller has others to watch, at times of its own.
        if (++accepted === 1) failWith("epollCtl", ENOMEM, { fd });
        return undefined;
      },
      onError: (error) => void errors.push(error),
    });
    using first = new RawPeer(server.listener);
    await until(() => first.isOver, "it is closed");
    assertEquals(errors.length, 1);
    using second = new RawPeer(server.listener);
    second.send("x");
    assertEquals(await second.receive(1), "x");
  }));

faultTest("Connection survives a receive without memory: it ends alone, and says so", async () => {
  const lines: string[] = [];
  configure({ log: (line) => void lines.push(line) });
  try {
    const [a, b] = pairWith({}, { readBufferBytesMax: 64 * 1024 * 1024 });
    const [c, d] = pairWith();
    failWith("mmap", ENOMEM, { count: 1000 });
    const size = 40 * 1024 * 1024;
    const waiting = b.reader.wait(size).then(() => null, (error) => error);
    const chunk = new Uint8Array(1024 * 1024);
    for (let i = 0; i < 40 && a.isActive; i++) {
      a.writer.writeBinary(chunk);
      const outcome = await Promise.race([a.writer.flush().then(() => 0, () => 1), waiting]);
      if (outcome !== 0) break;
    }
    const error = await soon(waiting);
    assert(error instanceof Error, "the wait fails");
    failWith("mmap", ENOMEM, { count: 0 });
    await send(c, "others go on");
    assertEquals(await soon(receive(d, 12)), "others go on");
    assert(lines.length >= 1, "it is said in the log");
    await closeAll(a, b, c, d);
  } finally {
    configure({ log: (line) => console.error(line) });
  }
});

faultTest(
  "Connection goes on after receives and sends that are not ready",
  () =>
    leaks(async () => {
      const [a, b] = pairWith();
      failWith("send", EAGAIN, { fd: a.fd, count: 3 });
      failWith("recv", EAGAIN, { fd: b.fd, count: 3 });
      a.writer.writeString("later");
      const flushed = a.writer.flush();
      assertEquals(await soon(receive(b, 5)), "later");
      await soon(flushed);
      await closeAll(a, b);
    }),
);

faultTest(
  "Connection tries again what the kernel has no memory to send just now",
  () =>
    leaks(async () => {
      const [a, b] = pairWith();
      failWith("send", ENOBUFS, { fd: a.fd, count: 3 });
      a.writer.writeString("later");
      await soon(a.writer.flush());
      assertEquals(await soon(receive(b, 5)), "later");
      await closeAll(a, b);
    }),
);

faultTest(
  "Connection names the error of this machine, and blames no peer for it",
  () =>
    leaks(async () => {
      for (
        const [call, errno, code] of [["send", 1, "EPERM"], ["recv", 9, "EBADF"]] as const
      ) {
        const [a, b] = pairWith();
        failWith(call, errno, { fd: a.fd });
        if (call === "recv") await send(b, "x");
        else a.writer.writeString("x");
        const failing = call === "recv" ? a.reader.wait(2) : a.writer.flush();
        for (const promise of [failing, a.closed]) {
          assertEquals((await assertRejects(() => soon(promise), SystemError)).code, code);
        }
        assertEquals(assertThrows(() => a.writer.writeString("x"), SystemError).code, code);
        await closeAll(a, b);
      }
    }),
);

/** Ways to cut a connection. */
const CUTS: Record<string, (a: Connection, b: Connection) => Promise<void> | void> = {
  "an error of ours": (a, b) => {
    failWith("recv", EBADF, { fd: a.fd });
    return send(b, "x");
  },
  "reset()": (a) => a.reset(),
};

for (const [how, cut] of Object.entries(CUTS)) {
  for (const refused of [null, "setsockopt", "getsockopt"] as const) {
    const ofKernel = refused === null ? "" : `, where the kernel refuses ${refused}`;
    faultTest(
      `Connection that ${how} cuts does not look to its peer like the end${ofKernel}`,
      () =>
        leaks(async () => {
          for (const over of await transports()) {
            const [a, b] = await over.tcpPair();
            if (refused !== null) failWith(refused, EFAULT, { fd: a.fd });
            await cut(a, b);
            const error = await assertRejects(() => soon(b.reader.wait(1)), EofError);
            assertEquals((error.cause as SystemError).code, "ECONNRESET");
            await closeAll(a, b);
          }
        }),
    );
  }
}

faultTest(
  "closeWrite() that the kernel refuses breaks the connection, of which the peer hears",
  () =>
    leaks(async () => {
      const [a, b] = await tcpPair();
      failWith("shutdown", EBADF, { fd: a.fd });
      await soon(a.closeWrite());
      const error = await assertRejects(() => soon(a.closed), SystemError);
      assertEquals([error.syscall, error.code], ["end the stream", "EBADF"]);
      await assertRejects(() => soon(b.reader.wait(1)), EofError);
      await closeAll(a, b);
    }),
);

faultTest(
  "a flush whose connection cannot be watched for room fails, and does not wait for ever",
  () =>
    leaks(async () => {
      const [a, b] = pairWith();
      b.pauseRead();
      await ticks(2);
      failWith("epollCtl", ENOMEM, { fd: a.fd });
      a.writer.writeBinary(new Uint8Array(8 << 20));
      await assertRejects(() => soon(a.writer.flush()), NetpollError);
      assertEquals((await assertRejects(() => soon(a.closed), SystemError)).code, "ENOMEM");
      await closeAll(a, b);
    }),
);
