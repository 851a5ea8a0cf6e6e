import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { AssertionError } from "../../src/core/assert.ts";
import { Roster } from "../../src/server/roster.ts";
import { seededRandom } from "../support/random.ts";

class Guest {
  place = -1;
}

test("Roster.remove() takes one out, wherever he is, and no other", () => {
  const { seed, below } = seededRandom(7);
  const roster = new Roster<Guest>();
  const model = new Set<Guest>();
  for (let step = 0; step < 2000; step++) {
    if (below(5) < 3) {
      const guest = new Guest();
      roster.add(guest);
      model.add(guest);
    } else if (model.size > 0) {
      const guest = [...model][below(model.size)]!;
      roster.remove(guest);
      model.delete(guest);
    }
    assertEquals(roster.size, model.size, `seed ${seed}, step ${step}`);
  }
  assertEquals(new Set(roster.list()), model, `seed ${seed}`);
});

test("Roster.remove() of one who is not there is a bug of ours", () => {
  const roster = new Roster<Guest>();
  const guest = new Guest();
  roster.add(guest);
  roster.remove(guest);
  assertThrows(() => roster.remove(guest), AssertionError);
});

test("Roster.list() stays as it was, when somebody goes meanwhile", () => {
  const roster = new Roster<Guest>();
  const guests = [new Guest(), new Guest(), new Guest()];
  for (const guest of guests) roster.add(guest);
  const list = roster.list();
  for (const guest of list) roster.remove(guest);
  assertEquals(list, guests);
  assertEquals(roster.size, 0);
});
