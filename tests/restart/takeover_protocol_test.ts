import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { type Connection, NetpollError, socketPair } from "../../mod.ts";
import { closeDescriptor, sendDescriptors } from "../../src/entries/operations.ts";
import {
  fits,
  nextWord,
  type Passed,
  passOn,
  receiveListeners,
} from "../../src/restart/takeover_protocol.ts";
import { leaks } from "../support/leaks.ts";

/** Descriptors that are told apart by what they are of. */
function descriptors(count: number): number[] {
  return Array.from({ length: count }, () => native.eventfd());
}

async function withPair(run: (from: Connection, to: Connection) => Promise<void>): Promise<void> {
  await leaks(async () => {
    const [from, to] = socketPair();
    await run(from, to);
    await from.close();
    await to.close();
  });
}

/** The version and the listeners' shapes at the other end; all descriptors are closed. */
async function pass(listeners: readonly Passed[]): Promise<[number, [number, number][]]> {
  let result: [number, [number, number][]] | null = null;
  await withPair(async (from, to) => {
    const sent = passOn(from, listeners);
    const version = (await nextWord(to))!;
    const received = await receiveListeners(to, version);
    await sent;
    for (const { fds } of received) for (const fd of fds) closeDescriptor(fd);
    assertEquals(to.reader.length, 0, "all of it was read");
    result = [version, received.map(({ flags, fds }) => [flags, fds.length])];
  });
  return result!;
}

for (
  const [what, shape, version] of [
    ["one listener", [[3, 1]], 1],
    ["200 listeners", Array.from({ length: 200 }, (_, n) => [n % 4, 1]), 1],
    ["a group of sockets", [[1, 1], [2, 7], [0, 1]], 2],
    ["more sockets than a message has", [[0, 300], [1, 1], [0, 500]], 2],
    ["as many messages as descriptors may wait", [[0, 1012]], 2],
  ] as [string, [number, number][], number][]
) {
  test(`passOn() and receiveListeners() agree on ${what}, in version ${version}`, async () => {
    const listeners = shape.map(([flags, count]) => ({ flags, fds: descriptors(count) }));
    try {
      assertEquals(fits(listeners), true);
      assertEquals(await pass(listeners), [version, shape]);
    } finally {
      for (const { fds } of listeners) for (const fd of fds) native.close(fd);
    }
  });
}

test("fits() is false when more sockets pass on than may wait to be taken", () => {
  assertEquals(fits([{ fds: new Array(1012).fill(0) }, { fds: [0] }]), false);
});

for (
  const [what, bytes] of [
    ["a later version", [9, 1, 0]],
    ["no version", [0, 1, 0]],
    ["fewer descriptors than it says, and an end", [1, 2, 0, 0]],
    ["more descriptors than it says", [1, 0]],
    ["a listener without a socket", [2, 2, 0, 0, 0, 0, 0, 1]],
  ] as [string, number[]][]
) {
  test(`receiveListeners() refuses ${what}, and keeps no descriptor`, () =>
    withPair(async (from, to) => {
      const [fd] = descriptors(1);
      await sendDescriptors(from, [fd!], Uint8Array.from(bytes));
      native.close(fd!);
      await from.close();
      await assertRejects(async () => receiveListeners(to, (await nextWord(to))!), NetpollError);
    }));
}
