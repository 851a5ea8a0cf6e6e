import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { next, type State, type Step } from "../../src/connection/lifecycle.ts";

const LEGAL: readonly [State, Step, State][] = [
  ["preparing", "registered", "connecting"],
  ["preparing", "close", "draining"],
  ["preparing", "lost", "closed"],
  ["preparing", "detached", "closed"],
  ["connecting", "connected", "open"],
  ["connecting", "close", "draining"],
  ["connecting", "lost", "closed"],
  ["connecting", "detached", "closed"],
  ["open", "close", "draining"],
  ["open", "lost", "closed"],
  ["open", "detached", "closed"],
  ["draining", "drained", "closed"],
  ["draining", "lost", "closed"],
];
const STATES: readonly State[] = ["preparing", "connecting", "open", "draining", "closed"];
const STEPS: readonly Step[] = ["registered", "connected", "close", "drained", "lost", "detached"];

test("next() takes every legal step", () => {
  for (const [state, step, after] of LEGAL) assertEquals(next(state, step), after);
});

test("next() refuses every other step: it would be a bug", () => {
  for (const state of STATES) {
    for (const step of STEPS) {
      if (LEGAL.some(([from, by]) => from === state && by === step)) continue;
      assertThrows(() => next(state, step), Error, `${step} while ${state}`);
    }
  }
});
