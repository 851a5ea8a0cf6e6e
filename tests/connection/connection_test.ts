import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { Connection, createListener, EofError, socketPair, SystemError } from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { libraryPath } from "../support/library.ts";
import { assertBytes, closeAll, pattern, receive, send } from "../support/pair.ts";
import { soon } from "../support/until.ts";

test("socketPair() makes two connections, each the peer of the other (netpoll 164)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    await send(a, "hello");
    assertEquals(await soon(receive(b, 5)), "hello");
    await send(b, "back");
    assertEquals(await soon(receive(a, 4)), "back");
    assertEquals(a.remoteAddress, { transport: "unix", path: "" });
    await closeAll(a, b);
  }));

faultTest("socketPair() leaks nothing when it fails half-way", () =>
  leaks(() => {
    failWith("socket", 24);
    assertThrows(() => socketPair(), SystemError, "EMFILE");
    for (const skip of [0, 1]) {
      failWith("epollCtl", 12, { skip });
      assertThrows(() => socketPair(), SystemError, "ENOMEM");
    }
  }));

test("Connection.fromFd() refuses what is no open stream, and leaves it to its owner", () =>
  leaks(() => {
    for (const fd of [-1, 1.5, NaN]) assertThrows(() => Connection.fromFd(fd), TypeError);
    assertEquals(assertThrows(() => Connection.fromFd(1_000_000), SystemError).code, "EBADF");
    const file = openSync(libraryPath, "r");
    assertEquals(assertThrows(() => Connection.fromFd(file), SystemError).code, "EPERM");
    closeSync(file);
    assertThrows(() => Connection.fromFd(-1, { readTimeoutMs: -1 }), RangeError);
  }));

test("Connection.fromFd() over a descriptor that is no socket: the calls for files serve it", () =>
  leaks(async () => {
    // An eventfd can be polled, and is no socket: eight bytes in, eight bytes out.
    const counter = Connection.fromFd(native.eventfd());
    counter.writer.writeBigUint64LE(7n);
    await counter.writer.flush();
    await soon(counter.reader.wait(8));
    assertEquals(counter.reader.readBigUint64LE(), 7n);
    await counter.close();
  }));

test("Connection.fromFd() over the ends of a Unix stream that somebody else opened", () =>
  leaks(async () => {
    const pair = new Int32Array(2);
    assertEquals(native.socketpair(pair), 0);
    const [a, b] = [Connection.fromFd(pair[0]!), Connection.fromFd(pair[1]!)];
    a.writer.writeBinary(pattern(100_000));
    a.writer.flush();
    await soon(b.reader.wait(100_000));
    assertBytes(b.reader.next(100_000), pattern(100_000));
    await a.close();
    await assertRejects(() => soon(b.reader.wait(1)), EofError);
    assert(b.isActive);
    await b.close();
  }));

test("Connection.fromFd() refuses a socket that listens, and leaves it alone", () => {
  using listener = createListener("tcp", "127.0.0.1:0");
  assertThrows(() => Connection.fromFd(listener.fd), TypeError, "no stream socket");
  assert(listener.fd >= 0);
});
