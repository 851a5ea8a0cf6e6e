import { assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { LinkChain } from "../../src/buffer/link_chain.ts";
import { borrowedNode } from "../../src/buffer/link_node.ts";
import { Search, searchOf } from "../../src/buffer/search.ts";
import { balanced, bytesOfText } from "./balanced.ts";

function add(chain: LinkChain, text: string): void {
  chain.link(borrowedNode(bytesOfText(text)));
  chain.publish();
}

/** A chain of nodes with these texts. */
function chainOf(...texts: string[]): LinkChain {
  const chain = new LinkChain();
  for (const text of texts) add(chain, text);
  return chain;
}

balanced("find() finds a delimiter in a later node, or across several", () => {
  const wanted: [string[], number][] = [
    [["abcXYZ"], 3],
    [["abc", "dXYZ"], 4],
    [["abX", "Y", "Z"], 2],
    [["aXYX", "YZ"], 3],
    [["XY", "XYZ"], 2],
    [["a", "b", "c", "X", "Y", "Z"], 3],
    [["abcXY"], -1],
  ];
  for (const [texts, at] of wanted) {
    const chain = chainOf(...texts);
    assertEquals(new Search(null, chain).find(chain, bytesOfText("XYZ")), at, texts.join("|"));
  }
});

balanced("find() goes on where it stopped, when one begins before there too", () => {
  const chain = chainOf("ab");
  const search = new Search(null, chain);
  for (const text of ["X", "Y", "X", "Y"]) {
    assertEquals(search.find(chain, bytesOfText("XYZ")), -1);
    add(chain, text);
  }
  add(chain, "Z.");
  assertEquals(search.find(chain, bytesOfText("XYZ")), 4);
  assertEquals(search.find(chain, bytesOfText("XYZ")), 4);
});

balanced("searchOf() is the same search until bytes are read, and for one codec", () => {
  const chain = chainOf("abc");
  const [knower, other] = [{}, {}];
  const search = searchOf(knower, chain);
  assertStrictEquals(searchOf(knower, chain), search);
  assertEquals(searchOf(other, chain) === search, false);
  const again = searchOf(knower, chain);
  chain.consume(1);
  assertEquals(searchOf(knower, chain) === again, false);
});

// A search that began anew with each piece would look at 2^39 bytes or walk as many nodes: hours.
for (const piece of ["one node each", "one node"]) {
  test(`find() looks at each byte once: a million pieces in ${piece}`, () => {
    const chain = new LinkChain();
    const delimiter = bytesOfText("XYZ");
    const byte = bytesOfText("X");
    for (let i = 0; i < 2 ** 20; i++) {
      if (piece === "one node") chain.copyIn(byte);
      else chain.link(borrowedNode(byte));
      chain.publish();
      if (searchOf(delimiter, chain).find(chain, delimiter) >= 0) throw new Error("found");
    }
    chain.copyIn(bytesOfText("YZ"));
    chain.publish();
    assertEquals(searchOf(delimiter, chain).find(chain, delimiter), 2 ** 20 - 1);
    assertEquals(chain.length, 2 ** 20 + 2);
    chain.release();
  });
}
