import { assert, assertThrows } from "@std/assert";
import { test } from "node:test";
import { nanosOf } from "../../bench/harness/micro.ts";
import { BLOCK } from "../../bench/micro/block.ts";
import { FFI_CALL } from "../../bench/micro/ffi_call.ts";
import { LINK_BUFFER } from "../../bench/micro/link_buffer.ts";
import { POLLER_TURN } from "../../bench/micro/poller_turn.ts";
import { TIMER_WHEEL } from "../../bench/micro/timer_wheel.ts";

for (const micro of [...LINK_BUFFER, ...BLOCK, ...FFI_CALL, ...POLLER_TURN, ...TIMER_WHEEL]) {
  test(`${micro.name}: the outcome is right before and after many times`, () => {
    const bench = micro.prepare();
    try {
      bench.check();
      bench.run(100);
      bench.check();
    } finally {
      bench.close?.();
    }
  });
}

test("nanosOf() times nothing whose outcome is wrong, and closes it", () => {
  let isClosed = false;
  const wrong = {
    check() {
      throw new Error("wrong");
    },
    run: () => {},
    close: () => void (isClosed = true),
  };
  assertThrows(() => nanosOf({ name: "wrong", prepare: () => wrong }), Error, "wrong");
  assert(isClosed);
});

test("nanosOf() divides by what one run does", () => {
  let count = 0;
  const bench = { check() {}, run: (times: number) => void (count += times) };
  assert(nanosOf({ name: "count", perRun: 1000, prepare: () => bench }) >= 0);
  assert(count > 0);
});
