/**
 * Times operations in a process of its own, with mitata: prints {name: nanoseconds} as a line of
 * JSON. Its argument is a part of their names. `bench/micro.ts` runs it on either runtime.
 */
import { measure } from "mitata";
import process from "node:process";
import { OPERATIONS } from "./operations.ts";

/**
 * 200 ms are enough for the compilers, which share the CPU with the program: the median is of
 * compiled code. mitata times a call alone, with the clock in it, unless one of the first calls is
 * quick; the very first ones may allocate, so it has 64.
 */
const LIMITS = {
  min_cpu_time: 200e6,
  batch_samples: 1024,
  warmup_samples: 64,
  warmup_threshold: Infinity,
  gc: false,
};

const nanos: Record<string, number> = {};
for (const { name, perCall = 1, prepare } of OPERATIONS) {
  if (!name.includes(process.argv[2] ?? "")) continue;
  const generate = function* () { // mitata wants a generator function, whatever calls it inside
    yield* prepare();
  };
  nanos[name] = (await measure(generate, { ...LIMITS })).p50 / perCall;
}
console.log(JSON.stringify(nanos));
process.exit(0); // without waiting for what a poller or the pool of blocks has scheduled
