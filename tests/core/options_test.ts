import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  checkFunction,
  checkOptions,
  checkSignal,
  nearest,
  readOptions,
  show,
} from "../../src/core/options.ts";

const KNOWN = { timeoutMs: 1, idleTimeoutMs: 1, onRequest: 1, signal: 1 };

test("checkOptions() takes what it knows, undefined values, and nothing at all", () => {
  for (const options of [undefined, {}, { timeoutMs: 5, signal: undefined }, Object.create(null)]) {
    checkOptions("dial", options, KNOWN);
  }
});

test("checkOptions() names an unknown option, and the nearest one there is", () => {
  const cases = [
    ["idleTimeoutMS", "did you mean idleTimeoutMs?"],
    ["timeout", "did you mean timeoutMs?"],
    ["onrequest", "did you mean onRequest?"],
    ["sginal", "did you mean signal?"],
    ["colour", "it has timeoutMs, idleTimeoutMs, onRequest, signal"],
    ["constructor", "it has timeoutMs"],
  ];
  for (const [name, cure] of cases) {
    const message = `Unknown option "${name}" of dial: ${cure}`;
    assertThrows(() => checkOptions("dial", { [name!]: undefined }, KNOWN), TypeError, message);
  }
  class Mine {
    colour = 1;
  }
  assertThrows(() => checkOptions("dial", new Mine(), KNOWN), TypeError, '"colour"');
  assertThrows(() => checkOptions("dial", Object.create({ colour: 1 }), KNOWN), TypeError);
});

test("checkOptions() of what is no object is a TypeError that shows it", () => {
  const cases = [[null, "null"], [5, "5"], ["x", '"x"'], [[1], "an array"], [
    () => 1,
    "a function",
  ]];
  for (const [options, shown] of cases) {
    assertThrows(() => checkOptions("dial", options, KNOWN), TypeError, `Cannot use ${shown} as`);
  }
});

test("checkOptions() of a promise, a Map and whatever else has no options is a TypeError", () => {
  class Mine {
    timeoutMs = 1;
  }
  checkOptions("dial", new Mine(), KNOWN);
  const cases: [unknown, string][] = [
    [Promise.resolve({ timeoutMs: 5 }), "Promise"],
    [new Map([["timeoutMs", 5]]), "Map"],
    [new Date(), "Date"],
    [/x/, "RegExp"],
  ];
  for (const [options, name] of cases) {
    const message =
      `Cannot use an object (${name}) as the options of dial: what it holds is not in its properties`;
    assertThrows(() => checkOptions("dial", options, KNOWN), TypeError, message);
    assertThrows(() => readOptions("dial", options as object, KNOWN), TypeError, message);
  }
});

test("nearest() finds nothing where nothing is near", () => {
  assertEquals(nearest("x", ["timeoutMs", "signal"]), undefined);
  assertEquals(nearest("backLog", ["backlog", "reusePort"]), "backlog");
});

test("show() fits into a message, whatever the value is", () => {
  const shown = [1n, Symbol("s"), undefined, NaN, new Map(), Object.create(null)].map(show);
  assertEquals(shown, ["1n", "Symbol(s)", "undefined", "NaN", "an object (Map)", "an object"]);
});

test("checkSignal() and checkFunction() refuse what only looks right", () => {
  checkSignal("dial", undefined);
  checkSignal("dial", AbortSignal.abort());
  checkFunction("the handler", () => {});
  for (const other of [null, {}, new AbortController(), "signal"]) {
    assertThrows(() => checkSignal("dial", other as never), TypeError, "it is no AbortSignal");
  }
  assertThrows(
    () => checkFunction("the handler", {}),
    TypeError,
    "Cannot use an object as the han",
  );
});

test("readOptions() reads each option once, inherited ones and those of a class, and no unknown ones", () => {
  let reads = 0;
  class Options {
    get first(): number {
      return ++reads;
    }
  }
  const options = Object.assign(new Options(), { second: 2, third: undefined });
  const known = { first: 1, second: 1, third: 1 };
  const read = readOptions("test", options, known);
  assertEquals([read.first, read.first, read.second, reads], [1, 1, 2, 1]);
  assertEquals(Object.keys(read), ["first", "second"]);
  assertThrows(() => readOptions("test", { fist: 1 }, known), TypeError, "did you mean first?");
});
