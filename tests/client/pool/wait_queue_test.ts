import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { WaitQueue } from "../../../src/client/pool/wait_queue.ts";
import { seededRandom } from "../../support/random.ts";

const FOR_EVER = { timeoutMs: 0, signal: undefined };

test("shift() takes who has waited longest, whoever gave up before", async () => {
  const random = seededRandom(18);
  const queue = new WaitQueue<number>("acquire");
  const model: number[] = [];
  const promises: Promise<number>[] = [];
  const aborts: AbortController[] = [];
  for (let n = 0; n < 2000; n++) {
    if (random.chance(0.5)) {
      const abort = aborts[n] = new AbortController();
      const waiter = queue.add(n, { timeoutMs: 0, signal: abort.signal });
      promises[n] = waiter.promise;
      model.push(n);
    } else if (model.length > 0 && random.chance(0.4)) {
      const [gone] = model.splice(random.below(model.length), 1);
      aborts[gone!]!.abort(new Error("enough"));
      await assertRejects(() => promises[gone!]!, Error, "enough");
    } else {
      const first = model.shift();
      const waiter = queue.shift();
      assertEquals(waiter?.sinceMs, first);
      if (waiter === null) continue;
      waiter.resolve(first!);
      aborts[first!]!.abort(); // nobody listens any more
      assertEquals(await promises[first!], first);
    }
    assertEquals(queue.count, model.length);
  }
});

test("a wait that is too long tells of the last failure", async () => {
  const queue = new WaitQueue<number>("acquire");
  queue.cause = new Error("refused");
  const waiter = queue.add(0, { timeoutMs: 1, signal: undefined });
  const error = await assertRejects(() => waiter.promise, Error, "within 1 ms");
  assertEquals([error.cause, queue.count, queue.givenUpCount], [queue.cause, 0, 1]);
  queue.add(0, FOR_EVER);
  assertEquals(queue.count, 1);
});
