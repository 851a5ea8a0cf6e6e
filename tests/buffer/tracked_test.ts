import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { LinkChain } from "../../src/buffer/link_chain.ts";
import { takeBack, track } from "../../src/buffer/tracked.ts";
import { configure } from "../../src/core/config.ts";
import { assertBytes, balanced, sequence } from "./balanced.ts";

balanced("track() hands out the view itself, unless in debug mode", () => {
  const chain = new LinkChain();
  const view = sequence(10);
  assertStrictEquals(track(chain, view), view);
  takeBack(chain);
  assertEquals(view.length, 10);
});

balanced("track() hands out a copy in debug mode, of the same bytes in memory of its own", () => {
  configure({ debug: true });
  const chain = new LinkChain();
  const view = sequence(30).subarray(10, 20);
  const copy = track(chain, view);
  assertBytes(copy, sequence(10, 10));
  assert(copy.buffer !== view.buffer);
  takeBack(chain);
});

balanced("takeBack() empties everything that this chain has lent, and only that", () => {
  configure({ debug: true });
  const [chain, other] = [new LinkChain(), new LinkChain()];
  const lent = [track(chain, sequence(5)), track(chain, sequence(7))];
  const others = track(other, sequence(9));
  takeBack(chain);
  assertEquals(lent.map((view) => view.length), [0, 0]);
  assertEquals(others.length, 9);
  takeBack(chain); // nothing is left to take
  takeBack(other);
  assertEquals(others.length, 0);
});

balanced("takeBack() empties what was lent in debug mode, when that is over meanwhile", () => {
  configure({ debug: true });
  const chain = new LinkChain();
  const lent = track(chain, sequence(5));
  configure({ debug: false });
  takeBack(chain);
  assertEquals(lent.length, 0);
});
