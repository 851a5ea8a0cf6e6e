import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { chance, fullJitter, halfJitter } from "../../src/core/jitter.ts";

/** Runs something by a chance that is none. */
function withChance(next: () => number, run: () => void): void {
  const before = chance.next;
  chance.next = next;
  try {
    run();
  } finally {
    chance.next = before;
  }
}

test("fullJitter() is anything from 0 to a time that doubles, halfJitter() from half of it", () => {
  withChance(() => 0, () => {
    assertEquals([0, 3, 99].map((tries) => fullJitter(tries, 100, 1000)), [0, 0, 0]);
    assertEquals([0, 3, 99].map((tries) => halfJitter(tries, 100, 1000)), [50, 400, 500]);
  });
  withChance(() => 1, () => {
    assertEquals([0, 1, 3, 4, 1e9].map((tries) => fullJitter(tries, 100, 1000)), [
      100,
      200,
      800,
      1000,
      1000,
    ]);
    assertEquals(halfJitter(1, 100, 1000), 200);
  });
});
