import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { Poller } from "../../src/poll/poller.ts";
import { Interest } from "../../src/poll/watcher.ts";

test("Poller.sample() goes round the descriptors that it watches, so many at a time", () => {
  const poller = new Poller();
  const fds = Array.from({ length: 5 }, () => native.eventfd());
  const tokens = fds.map((fd) => poller.add({ fd, onEvent() {}, onFailure() {} }, Interest.READ));
  const seen = [poller.sample(2), poller.sample(2), poller.sample(2)].flat();
  assertEquals(seen.toSorted(), [...fds, seen[0]!].toSorted());
  assertEquals(poller.sample(100).toSorted(), fds.toSorted());
  assertEquals(poller.sample(0), []);
  for (const [i, token] of tokens.entries()) poller.remove(token, fds[i]!);
  assertEquals(poller.sample(100), []);
  for (const fd of fds) native.close(fd);
  poller.close();
});
