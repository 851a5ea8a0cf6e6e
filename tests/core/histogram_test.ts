import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { Histogram, mergeHistograms, percentileMicros } from "../../src/core/histogram.ts";
import { seededRandom } from "../support/random.ts";

const PERCENTS = [0, 1, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100];

/** Distributions of times in microseconds. */
const DISTRIBUTIONS: Record<string, (unit: () => number) => number> = {
  "even": (unit) => unit() * 1000,
  "exponential": (unit) => -Math.log(1 - unit()) * 50,
  "with a long tail": (unit) => (1 - unit()) ** -1.5,
  "with two humps": (unit) => unit() < 0.95 ? 2 + unit() : 90_000 + 20_000 * unit(),
  "of tenths": (unit) => Math.floor(unit() * 20) / 10,
  "of one value": () => 1234.5,
  "over all lengths": (unit) => 2 ** (unit() * 30) / 10,
};

function unitsOf(seed: number): () => number {
  return seededRandom(seed).next;
}

/** The value that so many percent do not exceed, by sorting all of them. */
function exact(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(1, Math.ceil(sorted.length * percent / 100 - 1e-9)) - 1]!;
}

for (const [name, draw] of Object.entries(DISTRIBUTIONS)) {
  test(`Histogram has the percentiles that sorting finds, within a 64th: ${name}`, () => {
    for (const [seed, size] of [[1, 1], [2, 10], [3, 1000], [4, 20_000]] as const) {
      const unit = unitsOf(seed);
      const values = Array.from({ length: size }, () => Math.round(draw(unit) * 10) / 10);
      const histogram = new Histogram();
      for (const value of values) histogram.record(value);
      values.sort((a, b) => a - b);
      const found = histogram.snapshot();
      assertEquals([found.count, found.maxMicros], [size, values.at(-1)!]);
      const sum = values.reduce((sum, value) => sum + value, 0);
      assert(Math.abs(found.sumMicros - sum) <= sum * 1e-9, `${found.sumMicros} for ${sum}`);
      for (const percent of PERCENTS) {
        const [ours, theirs] = [percentileMicros(percent, found), exact(values, percent)];
        assert(
          ours >= theirs - 1e-9 && ours <= theirs * (1 + 1 / 64) + 1e-9,
          `${percent} % of ${size}: ${ours} for ${theirs}`,
        );
      }
      const { p50Micros, p90Micros, p99Micros, p999Micros } = found;
      assertEquals(
        [p50Micros, p90Micros, p99Micros, p999Micros],
        [50, 90, 99, 99.9].map((percent) => percentileMicros(percent, found)),
      );
    }
  });
}

test("mergeHistograms() of parts is what one histogram of everything has", () => {
  const unit = unitsOf(7);
  const all = new Histogram();
  const parts = [new Histogram(), new Histogram(), new Histogram()];
  for (let n = 0; n < 3000; n++) {
    const micros = Math.round((1 - unit()) ** -2 * 8) / 8; // sums of eighths are exact
    all.record(micros);
    parts[n % 2]!.record(micros); // the third is empty
  }
  const merged = mergeHistograms(parts.map((part) => part.snapshot()));
  const { sumMicros, ...whole } = all.snapshot();
  const { sumMicros: sum, ...rest } = merged;
  assertEquals(rest, whole);
  assert(Math.abs(sum - sumMicros) < 1e-6 * sumMicros);
});

test("percentileMicros() of two snapshots is that of what came between them", () => {
  const histogram = new Histogram();
  for (let n = 0; n < 1000; n++) histogram.record(5);
  const before = histogram.snapshot();
  for (let n = 0; n < 10; n++) histogram.record(100 + n);
  const now = histogram.snapshot();
  assertEquals(percentileMicros(50, now), 5);
  const between = percentileMicros(50, now, before);
  assert(between >= 104 && between <= 106, `${between}`);
  assertEquals(percentileMicros(50, now, now), 0);
  assertEquals(percentileMicros(50, before, now), 0); // it began again
});

test("percentileMicros() refuses what is no percentage", () => {
  const empty = new Histogram().snapshot();
  for (const percent of [-1, 100.1, NaN, Infinity]) {
    assertThrows(() => percentileMicros(percent, empty), RangeError, "Cannot look for");
  }
});

test("Histogram counts what is out of its range at its ends, and nothing gets lost", () => {
  const histogram = new Histogram();
  for (const micros of [-5, 0, NaN, 1e12, Infinity]) histogram.record(micros);
  const { count, maxMicros, buckets } = histogram.snapshot();
  assertEquals([count, maxMicros], [5, 429_496_729.5]);
  assertEquals(buckets, { "0": 3, "429496729.5": 2 });
});

test("Histogram of nothing has zeros", () => {
  assertEquals(new Histogram().snapshot(), {
    count: 0,
    sumMicros: 0,
    maxMicros: 0,
    p50Micros: 0,
    p90Micros: 0,
    p99Micros: 0,
    p999Micros: 0,
    buckets: {},
  });
});
