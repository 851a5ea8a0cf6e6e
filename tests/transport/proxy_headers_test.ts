import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import {
  encodeProxyHeader,
  metrics,
  type NetpollError,
  type ProxyHeaderError,
  type SystemError,
} from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { HeaderReading, HeaderSending } from "../../src/transport/proxy_headers.ts";
import { clearFaults, failWith, faultTest, shorten } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { until } from "../support/until.ts";

const HEADER = encodeProxyHeader({ source: "192.0.2.1:1", destination: "192.0.2.2:2" });
const LARGE = encodeProxyHeader({ values: [{ type: 4, bytes: new Uint8Array(65_532) }] });
const BOUNDS = { timeoutMs: 0, bytesMax: 65_551 };

type Ended = (NetpollError | null)[];

/** Runs with a pair of sockets. */
function withPair(run: (ours: number, theirs: number, ended: Ended) => unknown): Promise<void> {
  return leaks(async () => {
    const pair = new Int32Array(2);
    native.socketpair(pair);
    try {
      await run(pair[0]!, pair[1]!, []);
    } finally {
      native.close(pair[0]!);
      native.close(pair[1]!);
      clearFaults();
    }
  });
}

function send(fd: number, bytes: Uint8Array): void {
  assertEquals(native.sendBorrowed(fd, bytes, bytes.length, 0, bytes.length, 0), bytes.length);
}

function received(fd: number): Uint8Array {
  const room = new Uint8Array(1 << 18);
  return room.subarray(0, Math.max(0, native.recvArray(fd, room, room.length, 0, 0)));
}

function reading(fd: number, ended: Ended, bytesMax = BOUNDS.bytesMax): HeaderReading {
  const one = new HeaderReading(threadPoller(), fd, { ...BOUNDS, bytesMax }, (error) => {
    ended.push(error);
  });
  one.begin();
  return one;
}

test("HeaderReading takes the header and leaves every byte behind it in the kernel", () =>
  withPair((ours, theirs, ended) => {
    const before = metrics().proxyProtocol.headers;
    send(theirs, Buffer.concat([HEADER, HEADER]));
    const one = reading(ours, ended);
    assertEquals([ended, one.header?.headerBytes], [[null], HEADER.length]);
    assertEquals(received(ours), new Uint8Array(HEADER));
    assertEquals(metrics().proxyProtocol.headers, before + 1);
  }));

test("HeaderReading takes what has come of a header, so that nothing is reported twice", () =>
  withPair(async (ours, theirs, ended) => {
    const one = reading(ours, ended);
    send(theirs, LARGE.subarray(0, 40_000));
    await until(() => native.unread(ours) === 0, "the first part is taken");
    assertEquals(ended, []);
    send(theirs, Buffer.concat([LARGE.subarray(40_000), Uint8Array.of(9)]));
    await until(() => ended.length === 1, "it ends");
    assertEquals(one.header?.headerBytes, 65_551);
    assertEquals(received(ours), Uint8Array.of(9));
  }));

test("HeaderReading fails on what is none, on an end, and on more than it may have", () =>
  withPair((ours, theirs, ended) => {
    send(theirs, Buffer.from("no"));
    reading(ours, ended);
    received(ours);
    send(theirs, LARGE.subarray(0, 16));
    reading(ours, ended, 65_550);
    received(ours);
    send(theirs, HEADER.subarray(0, 20));
    native.shutdown(theirs, 1);
    reading(ours, ended);
    const faults = ended.map((error) => (error as ProxyHeaderError).fault);
    assertEquals(faults, ["signature", "too-long", "truncated"]);
  }));

faultTest(
  "HeaderReading fails with the error of a call that fails",
  () =>
    withPair((ours, theirs, ended) => {
      const before = metrics().proxyProtocol.failures.lost;
      send(theirs, HEADER);
      failWith("recv", ERRNO.ECONNRESET, { fd: ours });
      reading(ours, ended);
      assertEquals((ended[0] as SystemError).code, "ECONNRESET");
      assertEquals(metrics().proxyProtocol.failures.lost, before + 1);
    }),
);

test("HeaderSending sends all of a header, as there is room", () =>
  withPair(async (ours, theirs, ended) => {
    // Until there is none.
    const filler = new Uint8Array(4096);
    let filled = 0;
    for (let count = 0; count >= 0;) {
      count = native.sendBorrowed(ours, filler, filler.length, 0, filler.length, 0);
      filled += Math.max(0, count);
    }
    const one = new HeaderSending(threadPoller(), ours, LARGE, (error) => void ended.push(error));
    one.begin();
    assertEquals(ended, []);
    const parts: Uint8Array[] = [];
    await until(() => {
      const part = received(theirs);
      if (part.length > 0) parts.push(part.slice());
      return ended.length === 1 && part.length === 0;
    }, "all has left");
    assertEquals(ended, [null]);
    const all = Buffer.concat(parts);
    assert(Buffer.compare(all.subarray(filled), LARGE) === 0);
  }));

faultTest(
  "HeaderSending goes on after a short send, and fails with the error of one",
  () =>
    withPair((ours, theirs, ended) => {
      shorten("send", 5, { fd: ours });
      new HeaderSending(threadPoller(), ours, HEADER, (error) => void ended.push(error)).begin();
      assertEquals(ended, [null]);
      assertEquals(received(theirs), new Uint8Array(HEADER));
      failWith("send", ERRNO.EPIPE, { fd: ours });
      new HeaderSending(threadPoller(), ours, HEADER, (error) => void ended.push(error)).begin();
      assertEquals((ended[1] as SystemError).code, "EPIPE");
    }),
);
