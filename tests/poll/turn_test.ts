import { assertEquals, assertLess } from "@std/assert";
import { test } from "node:test";
import { clock } from "../../src/poll/clock.ts";
import { Turn } from "../../src/poll/turn.ts";
import { withFakeClock } from "../support/fake_clock.ts";

/** Counts the steps of so many microseconds before the time is over. */
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

test("Turn.step() gives code outside a turn as much time, from its first look on", () =>
  withFakeClock((fake) => {
    const turn = new Turn();
    turn.begin(clock.now() + 1000, clock.now());
    turn.end();
    fake.block(50); // nobody of ours runs
    let count = 0;
    while (!turn.step()) {
      count += 1;
      fake.block(0.01);
    }
    assertLess(Math.abs(count - 100), 35);
    turn.end(); // there was a turn meanwhile
    assertEquals(turn.step(), false);
  }));

test("Turn.since() is when the step before ended, if that was looked at, and now otherwise", () =>
  withFakeClock((fake) => {
    const turn = new Turn();
    const begin = clock.now();
    const since = () => turn.since() - begin;
    turn.begin(begin + 1000, begin);
    fake.block(0.1);
    assertEquals(since(), 0); // the first step begins with the batch
    fake.block(0.1);
    assertEquals(since(), 200); // it is known once
    turn.endStep(clock.now());
    turn.step();
    fake.block(0.1);
    assertEquals(since(), 200);
    turn.endStep(clock.now());
    turn.step();
    turn.step(); // of somebody who has not looked
    fake.block(0.1);
    assertEquals(since(), 400);
    turn.endStep(clock.now());
    turn.spoilStep();
    turn.step();
    fake.block(0.1);
    assertEquals(since(), 500);
    turn.endStep(clock.now());
    turn.end();
    turn.step();
    fake.block(0.1);
    assertEquals(since(), 600); // outside a turn anything may have run
  }));
