import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { type DatagramDeadline, DatagramDeadlines } from "../../src/datagram/deadlines.ts";
import { datagramSettings } from "../../src/datagram/options.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { bound } from "../support/datagrams.ts";
import { ticks, until } from "../support/until.ts";

test("each deadline is told once it has passed, and not after its end", async () => {
  await using _ = bound(); // a poller that waits
  const told: [DatagramDeadline, number][] = [];
  const owner = { onDeadline: (...what: [DatagramDeadline, number]) => void told.push(what) };
  const settings = datagramSettings({ readTimeoutMs: 2, writeTimeoutMs: 3, idleTimeoutMs: 4 });
  const deadlines = new DatagramDeadlines(threadPoller(), owner, settings);
  deadlines.beginRead();
  deadlines.beginWrite();
  await until(() => told.length === 3, "all pass");
  assertEquals(new Set(told.map(String)), new Set(["read,2", "write,3", "idle,4"]));
  deadlines.beginRead();
  deadlines.endRead();
  deadlines.beginWrite();
  deadlines.endWrite();
  deadlines.close();
  await ticks(5);
  assertEquals(told.length, 3);
});

test("without a setting there is no deadline", async () => {
  const before = threadPoller().timerCount;
  const deadlines = new DatagramDeadlines(
    threadPoller(),
    { onDeadline() {} },
    datagramSettings({}),
  );
  deadlines.beginRead();
  deadlines.beginWrite();
  deadlines.active();
  assertEquals(threadPoller().timerCount, before);
  deadlines.close();
  await ticks(1);
});
