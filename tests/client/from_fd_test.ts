import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { Connection, createListener, EofError, socketPair, SystemError } from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import { run } from "../support/child.ts";
import { type Call, failWith, type Fault, faultTest } from "../support/faults.ts";
import { openFifo } from "../support/fifo.ts";
import { leaks } from "../support/leaks.ts";
import { libraryPath } from "../support/library.ts";
import { assertBytes, closeAll, pattern, receive, send } from "../support/pair.ts";
import { soon, until } from "../support/until.ts";

/** The kind of a descriptor of this process; nothing when it is closed by now. */
function linkOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

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
    failWith("socketpair", 24);
    assertThrows(() => socketPair(), SystemError, "EMFILE");
    for (const skip of [0, 1]) {
      failWith("epollCtl", 12, { skip });
      assertThrows(() => socketPair(), SystemError, "ENOMEM");
    }
  }));

test("Connection.fromFd() refuses what is no open stream, and leaves it to its owner", () =>
  leaks(() => {
    for (const fd of [-1, 1.5, NaN, 2 ** 31, 2 ** 32, Infinity]) {
      assertThrows(() => Connection.fromFd(fd), TypeError, "a whole number from 0 to 2147483647");
    }
    assertEquals(assertThrows(() => Connection.fromFd(1_000_000), SystemError).code, "EBADF");
    const file = openSync(libraryPath, "r");
    assertEquals(assertThrows(() => Connection.fromFd(file), SystemError).code, "EPERM");
    closeSync(file);
    assertThrows(() => Connection.fromFd(-1, { readTimeoutMs: -1 }), RangeError);
  }));

test("Connection.fromFd() refuses what the kernel made for something else, and closes none of it", () =>
  leaks(async () => {
    const [a, b] = socketPair(); // the poller and its waker are there
    const own = [native.eventfd(), native.epollCreate()];
    const anonymous = () =>
      readdirSync("/proc/self/fd").map(Number).filter((fd) => linkOf(fd).startsWith("anon_inode:"));
    const before = anonymous();
    for (const fd of own) assert(before.includes(fd));
    for (const fd of before) {
      const error = assertThrows(() => Connection.fromFd(fd), TypeError);
      assertEquals(error.message.includes("no socket, pipe or device"), true, error.message);
    }
    assertEquals(anonymous(), before);
    await send(a, "all goes on");
    assertEquals(await soon(receive(b, 11)), "all goes on");
    for (const fd of own) native.close(fd);
    await closeAll(a, b);
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

test("Connection.fromFd() and sendFile() take no number for another one, 2^32 apart", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const fd = a.detach();
    const file = openSync(libraryPath, "r");
    assertThrows(() => Connection.fromFd(2 ** 32 + fd), TypeError);
    const again = Connection.fromFd(fd);
    await assertRejects(() => again.sendFile(2 ** 32 + file), TypeError);
    await again.close();
    await assertRejects(() => soon(b.reader.wait(1)), EofError);
    await b.close();
    closeSync(file);
  }));

test("Connection.fromFd() refuses a descriptor that a connection has, which goes on", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    assertThrows(() => Connection.fromFd(a.fd), TypeError, "a connection of this thread has it");
    await send(a, "hello");
    assertEquals(await soon(receive(b, 5)), "hello");
    await closeAll(a, b);
  }));

/** The flags of an open file, O_NONBLOCK among them, as the kernel shows them. */
function flagsOf(fd: number): string {
  return /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!;
}

faultTest("Connection.fromFd() leaves a descriptor as it was, whatever fails", () =>
  leaks(() => {
    const { reading: pipe, writing } = openFifo();
    const before = flagsOf(pipe);
    const callbacks: string[] = [];
    const options = { onDisconnect: () => void callbacks.push("disconnect") };
    const fails: [Call, number, Fault][] = [
      ["epollCtl", 12, { fd: pipe }],
      ["epollCtl", 28, { skip: 2 }], // of the duplicate, after the probe of the original
      ["fcntl", 24, {}],
    ];
    for (const [call, errno, fault] of fails) {
      failWith(call, errno, fault);
      const error = assertThrows(() => Connection.fromFd(pipe, options), SystemError);
      assertEquals(error.errno, errno);
      assertEquals(flagsOf(pipe), before);
    }
    assertEquals(callbacks, []);
    closeSync(pipe);
    closeSync(writing);
  }));

/** The open file of a descriptor: no two sockets have the same. Null if there is none. */
function fileOf(fd: number): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}

test("Connection.fromFd() that failed in a Worker leaves the descriptor open when that ends", async () => {
  const file = openSync(libraryPath, "r");
  const before = flagsOf(file);
  const url = new URL("../support/adopt_worker.ts", import.meta.url);
  const worker = new Worker(fileURLToPath(url.href), { workerData: file });
  const [[code, another]] = await soon(once(worker, "message"));
  assertEquals(code, "EPERM");
  const its = fileOf(another);
  await soon(worker.terminate());
  await until(() => fileOf(another) !== its, "the end of the Worker closes what it had opened");
  assertEquals(flagsOf(file), before);
  assertEquals(readSync(file, new Uint8Array(4), 0, 4, 0), 4);
  closeSync(file);
});

test("Connection.fromFd() of what the runtime opened: closed once, and not the next file", async () => {
  const { code, signal, stdout, stderr } = await run("tests/support/adopted.ts");
  assertEquals([code, signal, stdout], [0, null, "written to 1\nhello\ntrue\nend\n"], stderr);
});

test("Connection.fromFd() refuses a socket that listens, and leaves it alone", () => {
  using listener = createListener("tcp", "127.0.0.1:0");
  assertThrows(() => Connection.fromFd(listener.fd), TypeError, "no stream socket");
  assert(listener.fd >= 0);
});
