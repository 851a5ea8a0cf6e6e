import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { blocks } from "../../src/buffer/block.ts";
import { Arena } from "../../src/datagram/arena.ts";
import { Word } from "../../src/datagram/record.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { bound, bytes, dialled } from "../support/datagrams.ts";
import { leaks } from "../support/leaks.ts";

test("receive() fills slots of the thread, and done() replaces those that somebody keeps", async () => {
  await using server = bound();
  await using client = await dialled(server);
  await leaks(async () => {
    const arena = new Arena();
    arena.join();
    client.write(bytes("one"));
    client.write(bytes("three"));
    await client.flush();
    assertEquals(arena.receive(server.fd, 8), 2);
    assertEquals([arena.table[Word.LENGTH], arena.slots.length], [3, 8]);
    const [first, second] = arena.slots;
    first!.retain();
    arena.done(2);
    assert(arena.slots[0] !== first && arena.slots[1] === second);
    assertEquals(arena.table[Word.OFFSET], arena.slots[0]!.offset);
    first!.release();
    arena.leave();
    assertEquals(arena.slots.length, 0);
  });
});

test("leave() in the middle of a batch gives the slots back after it", async () => {
  await using server = bound();
  await using client = await dialled(server);
  const arena = new Arena();
  arena.join();
  client.write(bytes("one"));
  await client.flush();
  assertEquals(arena.receive(server.fd, 4), 1);
  arena.leave();
  assertEquals(arena.slots.length, 4);
  arena.done(1);
  assertEquals(arena.slots.length, 0);
});

faultTest("receive() passes on why nothing was received, and nothing is to be done", async () => {
  await using server = bound();
  const arena = new Arena();
  arena.join();
  failWith("recv", 111, { fd: server.fd });
  assertEquals([arena.receive(server.fd, 1), arena.receive(server.fd, 1)], [-111, -11]);
  arena.leave();
});

test("without memory there are fewer slots, and without any what comes stays with the kernel", async () => {
  await using server = bound();
  await using client = await dialled(server);
  const arena = new Arena();
  arena.join();
  for (const text of ["1", "22", "333"]) client.write(bytes(text));
  await client.flush();
  const taken = Object.getOwnPropertyDescriptor(blocks, "takeIfAny");
  try {
    blocks.takeIfAny = () => null;
    assertEquals(arena.receive(server.fd, 2), -12); // ENOMEM
    delete (blocks as Partial<typeof blocks>).takeIfAny;
    assertEquals(arena.receive(server.fd, 2), 2);
    const kept = arena.slots[0]!.retain();
    blocks.takeIfAny = () => null;
    arena.done(2);
    assertEquals(arena.slots.length, 1, "the slot that is kept is not replaced");
    assertEquals(arena.table[Word.OFFSET], arena.slots[0]!.offset);
    assertEquals([arena.receive(server.fd, 2), arena.table[Word.LENGTH]], [1, 3]);
    arena.done(1);
    kept.release();
  } finally {
    if (taken === undefined) delete (blocks as Partial<typeof blocks>).takeIfAny;
    arena.leave();
  }
});
