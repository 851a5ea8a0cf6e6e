import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { type Block, blocks } from "../../src/buffer/block.ts";
import { Batch } from "../../src/datagram/batch.ts";
import { RECORD_WORDS, recordTable, Word } from "../../src/datagram/record.ts";
import { leaks } from "../support/leaks.ts";

/** A batch of messages: [text, bytes of each datagram if it is a train]. */
function batchOf(
  ...messages: [text: string, segment?: number][]
): { batch: Batch; slots: Block[] } {
  const table = recordTable(messages.length);
  const slots = messages.map(([text, segment = 0], i) => {
    const slot = blocks.take(64 * 1024);
    const at = RECORD_WORDS * i;
    slot.slab.bytes.write(text, slot.offset);
    table[at + Word.OFFSET] = slot.offset;
    table[at + Word.LENGTH] = text.length;
    table[at + Word.SEGMENT] = segment;
    return slot;
  });
  const batch = new Batch();
  batch.begin(table, slots, messages.length);
  return { batch, slots };
}

function rest(batch: Batch): string[] {
  const found: string[] = [];
  while (batch.next()) found.push(Buffer.from(batch.lend()).toString());
  return found;
}

test("next() goes through datagrams and trains alike, empty ones included", async () => {
  await leaks(() => {
    const { batch, slots } = batchOf(["one"], ["aaabbbc", 3], [""], ["ddd", 3], ["", 3], ["z"]);
    assertEquals(batch.count, 8);
    assertEquals(rest(batch), ["one", "aaa", "bbb", "c", "", "ddd", "", "z"]);
    assertEquals(batch.next(), false);
    batch.end();
    assertEquals([batch.count, batch.next()], [0, false]);
    for (const slot of slots) slot.release();
  });
});

test("moveTo() finds a datagram by its number, forwards and backwards", () => {
  const { batch, slots } = batchOf(["one"], ["aaabbbc", 3], [""]);
  for (const [index, text] of [[3, "c"], [0, "one"], [4, ""], [2, "bbb"], [2, "bbb"]] as const) {
    batch.moveTo(index);
    assertEquals(Buffer.from(batch.lend()).toString(), text);
  }
  batch.end();
  for (const slot of slots) slot.release();
});

test("keep() outlives the slots, whose next content it does not show", async () => {
  const large = "x".repeat(20_000);
  await leaks(() => {
    const { batch, slots } = batchOf(["one"], [large], ["aaabb", 3]);
    batch.keep();
    assertEquals(slots.map((slot) => slot.references), [1, 2, 1]);
    for (const slot of [slots[0]!, slots[2]!]) {
      slot.slab.bytes.fill(0, slot.offset, slot.offset + 9);
    }
    for (const slot of slots) slot.release();
    assertEquals(rest(batch), ["one", large, "aaa", "bb"]);
    batch.end();
  });
});

test("slice() is owned: small ones are copies, large ones keep their slot", async () => {
  await leaks(() => {
    const { batch, slots } = batchOf(["one"], ["y".repeat(20_000)], [""]);
    const slices = [];
    while (batch.next()) slices.push(batch.slice());
    assertEquals(slots.map((slot) => slot.references), [1, 2, 1]);
    batch.end();
    for (const slot of slots) slot.release();
    assertEquals(slices.map((slice) => slice.readString(slice.length).length), [3, 20_000, 0]);
    for (const slice of slices) slice.close();
  });
});
