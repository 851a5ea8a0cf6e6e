/**
 * Zero copy where it really does not copy, and where the kernel has little memory for it. The
 * numbers are those of the cases that the algorithm was validated with.
 * NETPOLL_SOAK_SECONDS says how long connections come and go; 20 s unless it does.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { bedTest, obstacleOf, runInBed } from "../support/bed.ts";
import type { CASES } from "../support/zero_copy_cases.ts";
import { hasFaults } from "../support/faults.ts";

type Name = keyof typeof CASES;

/** Each bed: how it is made, and which cases run in it. */
const BEDS: readonly [what: string, options: string[], cases: Readonly<Record<Name, string>>][] = [
  ["loopback that does not copy", [], {
    soak: "200 connections that end in every way leave nothing (zero copy 47, 50)",
    oneWrite: "one write is one send, released when it was received and not before (zero copy 4)",
    mixed: "small and large pieces keep their order (zero copy 8, 49)",
    resetByPeer: "a reset completes everything and is told once (zero copy 12, 30, 32)",
    abortEstablished: "reset() completes everything: established (zero copy 13)",
    abortCloseWait: "reset() completes everything: the peer has ended (zero copy 13)",
    abortFinWait: "reset() completes everything: we have ended (zero copy 13)",
    abortLastAck: "reset() completes everything: both have ended (zero copy 13)",
    closeGracefully: "close() waits until the peer has all, and nothing is pinned (zero copy 14)",
    closeGivesUp: "close() resets a peer that never reads, in the end (zero copy 15)",
    scribbleFast: "freed memory is overwritten at once, and a fast peer sees none (zero copy 16)",
    scribbleSlow: "freed memory is overwritten at once, and a slow peer sees none (zero copy 16)",
    scribbleStopAndGo:
      "freed memory is overwritten at once, and one in bursts sees none (zero copy 16)",
    closeAndReuse: "close() and others that use the memory disturb nothing (zero copy 17)",
    descriptorReuse: "a descriptor's next connection hears of no old send (zero copy 18)",
    streamsLowerTheThreshold: "streams lower the threshold to 16 KiB (zero copy 28)",
    answersRaiseTheThreshold: "requests and answers raise it to 256 KiB (zero copy 28)",
    copiedWhileWatched:
      "it stops while somebody watches the device, and then goes on (zero copy 25)",
    completionsAreNoErrors: "completions are no errors, with or without interest (zero copy 29)",
    overIPv6: "IPv6 sockets complete, too (zero copy 33)",
    smallPieces: "64 B pieces are copied, 64 to a send (zero copy 36)",
    headerAndTrailer: "a header joins its body, a trailer is copied (zero copy 36)",
    oneHugeWrite: "100 MiB leave in sends of 512 KiB, 4 MiB under way (zero copy 37)",
    receiverStops: "a peer that stops costs nothing and is resumed (zero copy 39)",
    flushDoesNotWait: "flush() does not wait for a completion (zero copy 40)",
    ownArrays: "a user's arrays may change, vanish, be collected (zero copy 41, 42, 43)",
    borrowedIsNeverPinned: "borrowed arrays are never pinned by auto (zero copy 41, 42, 43)",
    childProcess: "a child process disturbs nothing and inherits nothing (zero copy 44)",
    processExit: "the process exits and the peer gets everything (zero copy 45)",
    detachIsRefused: "detach() is refused while something is pinned",
    nothingIsHeldBack: "nothing is held back for more to come (zero copy 48)",
  }],
  ["loopback that does not copy, for long", [], {
    soakLong: "1 000 connections and more leave no descriptor and no memory (zero copy 47)",
  }],
  ["plain loopback", ["-c"], {
    soak: "200 connections that end in every way leave nothing (zero copy 47, 50)",
    copiedIsTold: "the data is right where the kernel copies (zero copy 5)",
    copiedStops: "three completions that say copied stop it (zero copy 24)",
    scribbleSlow: "freed memory is overwritten at once, and a slow peer sees none (zero copy 16)",
  }],
  ["a kernel without memory for it", ["-o", "0"], {
    noMemoryEver: "everything is copied, and asked for twice in 300 sends (zero copy 19)",
    memoryLater: "it is asked for again, and then is zero copy (zero copy 21)",
  }],
  ["a kernel with memory for one send", ["-o", "900"], {
    memoryForOne: "what does not fit is copied, and nothing stalls (zero copy 20)",
    spuriousError: "a drain beside the wait leaves no error behind (zero copy 31)",
    scribbleStopAndGo:
      "freed memory is overwritten at once, and one in bursts sees none (zero copy 16)",
  }],
  ["a kernel with memory for any number of sends", ["-o", "10000000"], {
    ringIsFull: "256 sends under way are enough, the next one copies (zero copy 38)",
  }],
  ["a user who may lock 256 KiB", ["-u", "65534", "-l", "262144"], {
    littleLocked: "what may not be pinned is copied, others are not disturbed (zero copy 22)",
  }],
  ["a user who may lock nothing", ["-u", "65534", "-l", "0"], {
    nothingLocked: "it is off from the start (zero copy 23)",
  }],
];

if (hasFaults) {
  Object.assign(BEDS[0]![2], {
    copiedForAWhile: "copied stops it for 1 000 sends, then it goes on (zero copy 25)",
    copiesBetween: "partial sends of either kind keep their order (zero copy 49)",
  });
}

for (const [what, options, cases] of BEDS) {
  const obstacle = obstacleOf(options);
  let outcomes: ReturnType<typeof runInBed> | null = null;
  for (const [name, promise] of Object.entries(cases)) {
    bedTest(`on ${what}: ${promise}`, obstacle, async () => {
      outcomes ??= runInBed(options, Object.keys(cases));
      assertEquals((await outcomes).get(name), "ok");
    });
  }
}

for (const options of [[], ["-c"]]) {
  const where = options.length === 0 ? "that does not copy" : "that copies on arrival";
  bedTest(
    `a mutant that frees memory when it was sent is caught, on loopback ${where} (zero copy 16)`,
    obstacleOf(options),
    async () => {
      const names = ["scribbleFast", "scribbleSlow", "scribbleStopAndGo"];
      const outcomes = await runInBed(options, ["--mutant", ...names]);
      const caught = names.filter((name) => outcomes.get(name) !== "ok");
      assert(caught.length > 0, "the scribble test sees freed memory");
      for (const name of caught) assertMatch(outcomes.get(name)!, /the first to differ at/);
    },
  );
}
