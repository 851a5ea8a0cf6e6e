import { assertEquals, assertLess } from "@std/assert";
import { test } from "node:test";
import { clock } from "../../src/poll/clock.ts";
import { Turn } from "../../src/poll/turn.ts";
import { withFakeClock } from "../support/fake_clock.ts";

/** How many steps of so many microseconds there are before the time is over. */
function stepsOf(turn: Turn, block: (ms: number) => void, micros: number): number {
  turn.begin(clock.now() + 1000, clock.now());
  let count = 0;
  do {
    count += 1;
    block(micros / 1000);
  } while (!turn.step());
  return count;
}

test("Turn.step() says when the time is over, and goes on saying so", () =>
  withFakeClock((fake) => {
    const turn = new Turn();
    assertLess(Math.abs(stepsOf(turn, (ms) => fake.block(ms), 10) - 100), 17);
    assertEquals([turn.step(), turn.step()], [true, true]);
  }));

test("Turn.step() looks at the clock as often as the steps are long", () =>
  withFakeClock((fake) => {
    const turn = new Turn();
    stepsOf(turn, (ms) => fake.block(ms), 1); // short ones: one look in many
    stepsOf(turn, (ms) => fake.block(ms), 500);
    assertEquals(stepsOf(turn, (ms) => fake.block(ms), 500), 3);
  }));

test("Turn.hurry() makes the next step look", () =>
  withFakeClock((fake) => {
    const turn = new Turn();
    stepsOf(turn, (ms) => fake.block(ms), 1);
    turn.begin(clock.now() + 1000, clock.now());
    fake.block(2);
    turn.hurry();
    assertEquals(turn.step(), true);
  }));

test("Turn.step() is never over where there is no turn", () =>
  withFakeClock((fake) => {
    const turn = new Turn();
    turn.begin(clock.now() + 1000, clock.now());
    turn.end();
    for (let i = 0; i < 100; i++) {
      fake.block(1);
      assertEquals(turn.step(), false);
    }
  }));
