import { assert } from "@std/assert";
import { test } from "node:test";
import { isLateNumber } from "../../bench/peers/frames.mjs";

const COUNT = 1_000_000;
const late = Array.from({ length: COUNT }, (_, n) => isLateNumber(n));

/** The number in a million that is late, of those that satisfy. */
function share(isCounted: (n: number) => boolean): number {
  const counted = late.filter((_, n) => isCounted(n));
  return counted.filter((isLate) => isLate).length / counted.length;
}

test("isLateNumber() makes one request in 100 late", () => {
  const all = share(() => true);
  assert(Math.abs(all - 0.01) < 0.0005, `${all}`);
});

test("isLateNumber() scatters them: a late one tells nothing of those that follow", () => {
  // Some ten requests pile up behind a late answer, and are answered within a few hundred.
  for (const distance of [1, 2, 5, 10, 50, 99, 100, 101, 200, 500, 1000]) {
    const after = share((n) => n >= distance && late[n - distance]!);
    assert(Math.abs(after - 0.01) < 0.004, `${after} after ${distance}`);
  }
});
