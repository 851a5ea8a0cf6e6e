import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { mean, median, quantile, ratios, spread } from "../../bench/harness/statistics.ts";

test("median() is the middle value, whatever the order, and between two of an even count", () => {
  assertEquals(median([9, 1, 5]), 5);
  assertEquals(median([4, 1, 2, 3]), 2.5);
  assertEquals(median([]), NaN);
});

test("quantile() lies between neighbours where it falls between", () => {
  const values = [0, 10, 20, 30];
  assertEquals(quantile(values, 0), 0);
  assertEquals(quantile(values, 1), 30);
  assertEquals(quantile(values, 0.25), 7.5);
});

test("ratios() divides by the value of the same round", () => {
  assertEquals(ratios([2, 9], [1, 3]), [2, 3]);
});

test("spread() is the median and the middle half", () => {
  assertEquals(spread([5, 1, 3, 2, 4]), { median: 3, low: 2, high: 4 });
  assertEquals(mean([1, 2, 6]), 3);
});
