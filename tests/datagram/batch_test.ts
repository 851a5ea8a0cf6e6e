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
  for (let i = 0; i < batch.count; i++) {
    batch.moveTo(i);
    found.push(Buffer.from(batch.lend()).toString());
  }
  return found;
}

test("moveTo() goes through datagrams and trains alike, empty ones included", async () => {
  await leaks(() => {
    const { batch, slots } = batchOf(["one"], ["aaabbbc", 3], [""], ["ddd", 3], ["", 3], ["z"]);
    assertEquals(batch.count, 8);
    assertEquals(rest(batch), ["one", "aaa", "bbb", "c", "", "ddd", "", "z"]);
    batch.end();
    assertEquals([batch.count, rest(batch)], [0, []]);
    for (const slot of slots) slot.release();
  });
});

test("moveTo() finds a datagram by its number, forwards and backwards", () => {
  const messages = [["one"], ["aaabbbc", 3], [""], ["ddeef", 2], ["", 9]] as const;
  const texts = ["one", "aaa", "bbb", "c", "", "dd", "ee", "f", ""];
  const { batch, slots } = batchOf(...messages.map(([...each]) => each as [string, number?]));
  for (let from = 0; from < texts.length; from++) {
    for (let to = 0; to < texts.length; to++) {
      for (const index of [from, to, to]) {
        batch.moveTo(index);
        assertEquals([batch.index, Buffer.from(batch.lend()).toString()], [index, texts[index]]);
      }
    }
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
    for (let i = 0; i < batch.count; i++) {
      batch.moveTo(i);
      slices.push(batch.slice());
    }
    assertEquals(slots.map((slot) => slot.references), [1, 2, 1]);
    batch.end();
    for (const slot of slots) slot.release();
    assertEquals(slices.map((slice) => slice.readString(slice.length).length), [3, 20_000, 0]);
    for (const slice of slices) slice.close();
  });
});
