/**
 * Six seconds of the soak, and its verdict on series that grow and that do not: `make soak` runs for
 * half an hour.
 */
import { assertEquals, assertGreater } from "@std/assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { metrics } from "../../mod.ts";
import { withDirectory } from "../support/library.ts";
import { seededRandom } from "../support/random.ts";
import { streamFile } from "../support/streams.ts";
import { growing, growth } from "./flat.ts";
import { soak } from "./soak.ts";

const MIB = 1024 * 1024;
const { next } = seededRandom(1);

test("soak() compares every byte and holds as much at each pause, with clients of every kind", () =>
  withDirectory(async (folder) => {
    const streamPath = join(folder, "stream");
    writeFileSync(streamPath, streamFile());
    const { seed } = seededRandom();
    console.log(`  SEED=${seed}`);
    const { samples, churned, bytes } = await soak({ seconds: 6, periodMs: 500, seed, streamPath });
    assertGreater(churned, 0);
    assertGreater(bytes, MIB);
    assertGreater(metrics().datagrams.receivedCount, 0);
    assertEquals(growing(samples, 6), []);
  }));

test("growing() finds a leak of one descriptor in ten pauses, and of memory amid noise", () => {
  const leaking = Array.from({ length: 100 }, (_, i) => ({
    residentBytes: 100 * MIB + i * 0.2 * MIB + 10 * MIB * next(),
    slabs: 4,
    descriptors: 20 + Math.floor(i / 10),
  }));
  assertEquals(growing(leaking, 1800).map((text) => text.split(" ")[0]), [
    "residentBytes",
    "descriptors",
  ]);
  // A minute is too short for a verdict on memory, but not for one on what is counted.
  assertEquals(growing(leaking, 60).map((text) => text.split(" ")[0]), ["descriptors"]);
});

test("growing() finds nothing in noise, in one leap of the warm-up, or in a few wild values", () => {
  const steady = Array.from({ length: 100 }, (_, i) => ({
    residentBytes: (i < 25 ? 60 : 100) * MIB + 30 * MIB * next() + (i % 20 === 0 ? 500 * MIB : 0),
    slabs: 4 + (i % 7 === 0 ? 1 : 0),
    descriptors: 20,
  }));
  assertEquals(growing(steady, 1800), []);
});

test("growth() is the median slope from begin to end", () => {
  assertEquals(growth([1, 2, 3, 100, 5]), 4);
  assertEquals([growth([7]), growth([]), growth([3, 3, 3])], [0, 0, 0]);
});
