import { assertEquals, assertGreater } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { dial, SystemError } from "../../mod.ts";
import { type CallName, readCallCounts } from "../../src/metrics/call_counts.ts";
import { Family } from "../../src/net/address.ts";
import { type Call, failWith, faultTest } from "../support/faults.ts";
import { closeAll, receive, send, tcpPair } from "../support/pair.ts";

/** Counts the calls of some kinds while something runs. */
async function during(run: () => Promise<void>): Promise<ReturnType<typeof readCallCounts>> {
  const before = readCallCounts();
  await run();
  const after = readCallCounts();
  for (const name of Object.keys(after.calls) as CallName[]) {
    const [now, then] = [after.calls[name], before.calls[name]];
    now.calls -= then.calls;
    now.notReady -= then.notReady;
    now.bytes -= then.bytes;
  }
  for (const code of Object.keys(before.errors)) after.errors[code]! -= before.errors[code]!;
  after.accepted -= before.accepted;
  after.waits.events -= before.waits.events;
  after.waits.hotWaits -= before.waits.hotWaits;
  after.waits.warmWaits -= before.waits.warmWaits;
  after.waits.batches = after.waits.batches.map((count, i) => count - before.waits.batches[i]!);
  return after;
}

test("readCallCounts() has the calls of an exchange, under their names", async () => {
  const { calls, accepted, waits } = await during(async () => {
    const [a, b] = await tcpPair();
    await send(a, "hello");
    await receive(b, 5);
    await closeAll(a, b);
  });
  assertEquals([calls.send.calls, calls.send.bytes], [1, 5]);
  assertEquals(calls.receive.bytes, 5);
  assertEquals([calls.connect.calls, calls.connect.notReady], [1, 1]);
  assertEquals(accepted, 1);
  assertEquals([calls.splice.calls, calls.sendFile.calls, calls.sendZeroCopy.calls], [0, 0, 0]);
  assertGreater(calls.watch.calls, 0);
  assertGreater(waits.events, 0);
  assertEquals(calls.wait.calls, waits.batches.reduce((sum, count) => sum + count, 0));
  assertEquals(calls.wait.calls, waits.hotWaits + waits.warmWaits);
  assertEquals([calls.wait.bytes, calls.wait.notReady], [0, 0]); // what they moved is no bytes
});

test("readCallCounts() tells waits that may block from those that only look", async () => {
  const epoll = native.epollCreate();
  const { waits } = await during(() => {
    for (const micros of [0, 0, 0, 1, 1]) native.epollWait(epoll, new Uint32Array(64), 1, micros);
    return Promise.resolve();
  });
  assertEquals([waits.hotWaits, waits.warmWaits, waits.events], [3, 2, 0]);
  native.close(epoll);
});

test("readCallCounts() counts what is not ready apart from failures", async () => {
  const [a, b] = await tcpPair();
  const { calls, errors } = await during(() => {
    const slab = native.slabMap(2 << 20);
    assertEquals(native.recv(a.fd, slab, 0, 10) < 0, true);
    return Promise.resolve();
  });
  assertEquals([calls.receive.calls, calls.receive.notReady, calls.receive.bytes], [1, 1, 0]);
  assertEquals(Object.values(errors).filter((count) => count > 0), []);
  await closeAll(a, b);
});

test("readCallCounts() has failures by name: of a call, and of a socket later", async () => {
  const [a, b] = await tcpPair();
  const { errors } = await during(async () => {
    // Nobody listens any more where it was accepted.
    const { localAddress } = a;
    const port = localAddress.transport === "tcp" ? localAddress.port : 0;
    const failure = await dial("tcp", `127.0.0.1:${port}`).catch((error) => error);
    assertEquals(failure instanceof SystemError && failure.code, "ECONNREFUSED");
    assertEquals(native.recv(-1, 0, 0, 0) < 0, true);
  });
  assertEquals(errors.ECONNREFUSED, 1);
  await closeAll(a, b);
});

const KINDS: readonly [CallName, Call][] = [
  ["accept", "accept"],
  ["connect", "connect"],
  ["watch", "epollCtl"],
  ["wait", "epollWait"],
  ["receive", "recv"],
  ["send", "send"],
  ["open", "fcntl"],
  ["readFile", "pread"],
  ["writeFile", "pwrite"],
  ["sendFile", "sendfile"],
  ["splice", "splice"],
  ["sendZeroCopy", "sendZeroCopy"],
];

faultTest("readCallCounts() counts each kind of call under its own name", async () => {
  const EIO = 5;
  const slab = native.slabMap(2 << 20);
  const words = new Uint32Array(64);
  words.set([Family.IPV4, 1, 0, 4]); // an address to connect to
  const acts: Record<CallName, () => number> = {
    accept: () => native.accept(0, words),
    connect: () => native.connect(0, words),
    watch: () => native.epollCtl(0, 1, 0, 0, 0),
    wait: () => native.epollWait(0, words, 1, 0),
    receive: () => native.recv(0, slab, 0, 1),
    send: () => native.send(0, slab, 0, 1, 0),
    open: () => native.dup(0),
    readFile: () => native.pread(0, slab, 0, 1, 0, 0),
    writeFile: () => native.pwrite(0, slab, 0, 1, 0, 0),
    sendFile: () => native.sendfile(0, 0, 0, 0, 1),
    splice: () => native.splice(0, 0, 1),
    sendZeroCopy: () => native.sendmsgZeroCopy(0, words, 0, 0),
  };
  for (const [name, call] of KINDS) {
    failWith(call, EIO);
    const { calls, errors } = await during(() => Promise.resolve(void acts[name]()));
    const made = (Object.keys(calls) as CallName[]).filter((each) => calls[each].calls > 0);
    assertEquals([made, errors.EIO], [[name], 1], name);
  }
});
