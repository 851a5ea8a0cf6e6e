import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { createListener } from "../../mod.ts";
import { packAddress, rawFromNumeric } from "../../src/net/address.ts";
import { HeaderPolicy } from "../../src/net/header_policy.ts";

const proxy = packAddress(rawFromNumeric("10.0.0.1", 1));
const other = packAddress(rawFromNumeric("11.0.0.1", 1));

test("HeaderPolicy.boundsOf() has bounds for trusted peers alone", () => {
  const policy = new HeaderPolicy({ trusted: ["10.0.0.0/8"] });
  assertEquals(policy.boundsOf(proxy), { timeoutMs: 10_000, bytesMax: 65_551 });
  assertEquals([policy.boundsOf(other), policy.isClosed], [null, false]);
  const own = new HeaderPolicy({
    trusted: ["10.0.0.1"],
    untrusted: "refuse",
    timeoutMs: 0.5,
    bytesMax: 107,
  });
  assertEquals(own.boundsOf(proxy), { timeoutMs: 1, bytesMax: 107 });
  assertEquals(own.isClosed, true);
});

test("HeaderPolicy.options make the same policy in another thread", () => {
  const trusted = ["10.0.0.0/8"];
  const { options } = new HeaderPolicy({ trusted, untrusted: "refuse", timeoutMs: 7 });
  trusted[0] = "11.0.0.0/8"; // what was checked is what is used
  const again = new HeaderPolicy(structuredClone(options));
  assertEquals(again.boundsOf(proxy), { timeoutMs: 7, bytesMax: 65_551 });
  assertEquals([again.boundsOf(other), again.isClosed], [null, true]);
});

test("createListener() refuses a wrong proxyProtocol before anything is open", () => {
  const wrong: [unknown, typeof TypeError | typeof RangeError][] = [
    [true, TypeError],
    [null, TypeError],
    [[], TypeError],
    [{}, TypeError],
    [{ trusted: "10.0.0.1" }, TypeError],
    [{ trusted: ["proxy.example"] }, TypeError],
    [{ trust: ["10.0.0.1"] }, TypeError],
    [{ trusted: [], untrusted: "reject" }, TypeError],
    [{ trusted: [], timeoutMs: -1 }, RangeError],
    [{ trusted: [], timeoutMs: "1" }, RangeError],
    [{ trusted: [], bytesMax: 106 }, RangeError],
    [{ trusted: [], bytesMax: 65_552 }, RangeError],
  ];
  for (const [proxyProtocol, kind] of wrong) {
    const options = { proxyProtocol } as never;
    assertThrows(() => createListener("unix", "@netpoll-header-policy", options), kind);
  }
  createListener("unix", "@netpoll-header-policy").close();
});
