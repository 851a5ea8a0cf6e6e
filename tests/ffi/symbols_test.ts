import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ABI, CALLS, SYMBOLS } from "../../ffi/symbols.ts";
import { libraryPath, sourcePath } from "../support/library.ts";

const source = readFileSync(sourcePath, "utf8");
const tablePath = fileURLToPath(new URL("../../ffi/symbols.ts", import.meta.url).href);
const names = Object.values(SYMBOLS).map(([name]) => name).sort();

/** The names in C of types that we call otherwise. */
const C_TYPES: Readonly<Record<string, RegExp>> = {
  i32: /^int32_t$/,
  u32: /^uint32_t$/,
  f64: /^double$/,
  buffer: /^(const )?(\w+|struct \w+) \*$/,
  pointer: /^void \*$/,
};

/**
 * The exported functions in the text: name → [result, ...parameters].
 */
function prototypes(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const match of text.matchAll(/^EXPORT (\w+ \*?)(np_\w+)\(([^)]*)\)/gm)) {
    const parameters = match[3] === "void" ? [] : match[3]!.split(",");
    const types = parameters.map((one) => one.trim().replace(/\w+$/, "").trim());
    found.set(match[2]!, [match[1]!.trim(), ...types]);
  }
  return found;
}

test("SYMBOLS names every exported function of libnetpoll.c, and no more", () => {
  assertEquals(names, [...prototypes(source).keys()].sort());
});

test("SYMBOLS has the types that libnetpoll.c has, in their order", () => {
  const declared = prototypes(source);
  for (const [name, parameters, result] of Object.values(SYMBOLS)) {
    const types = declared.get(name)!;
    assertEquals(types.length - 1, parameters.length, `${name} has another number of parameters`);
    for (const [i, type] of [result, ...parameters].entries()) {
      assertMatch(types[i]!, C_TYPES[type]!, `${name}, ${i === 0 ? "result" : `parameter ${i}`}`);
    }
  }
});

/** The parameters' names in a text that declares functions: name of the function → names. */
function parameterNames(text: string, pattern: RegExp, ofOne: RegExp): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const match of text.matchAll(pattern)) {
    const { name, list } = match.groups!;
    const parameters = list!.split(",").map((one) => ofOne.exec(one.trim())?.[1] ?? "");
    found.set(name!, parameters.filter((each) => each !== "" && each !== "void"));
  }
  return found;
}

test("SYMBOLS has the names that libnetpoll.c gives to parameters", () => {
  const inC = /^EXPORT \w+ \*?(?<name>np_\w+)\((?<list>[^)]*)\)/gm;
  const inTable = /: call<\s*\((?<list>[^)]*)\) => \w+\s*>\(\s*"(?<name>np_\w+)"/g;
  const declared = parameterNames(source, inC, /(\w+)$/);
  const table = parameterNames(readFileSync(tablePath, "utf8"), inTable, /^(\w+):/);
  assertEquals([...table.keys()].sort(), names);
  for (const [name, parameters] of table) {
    const plain = declared.get(name)!.map((each) => each.replaceAll("_", "").toLowerCase());
    assertEquals(parameters.map((each) => each.toLowerCase()), plain, name);
  }
});

test("SYMBOLS names what the library that is loaded exports, and no more", (t) => {
  const nm = spawnSync("nm", ["-D", "--defined-only", libraryPath], { encoding: "utf8" });
  if (nm.error !== undefined) return t.skip("nm is not installed (Debian: binutils)");
  assertEquals(nm.status, 0, nm.stderr);
  const exported = nm.stdout.trim().split("\n").map((line) => line.split(" ").at(-1)!);
  assertEquals(exported.filter((name) => !name.startsWith("np_fault")).sort(), names);
});

test("ABI is the number that libnetpoll.c answers", () => {
  assertEquals(Number(/^enum \{ ABI = (\d+) \};$/m.exec(source)?.[1]), ABI);
});

test("SYMBOLS crosses the boundary with types that both runtimes call without boxing", () => {
  const types = Object.values(SYMBOLS).flatMap(([, parameters, result]) => [...parameters, result]);
  assert(types.every((type) => type in C_TYPES));
});

test("CALLS are the kinds of calls of libnetpoll.c, in their order", () => {
  const [, body] = /^enum call \{([^}]*)\}/m.exec(source)!;
  const kinds = [...body!.matchAll(/CALL_(\w+)/g)].map((match) => match[1]!.replaceAll("_", ""));
  assertEquals(CALLS.map((call) => call.toUpperCase()), kinds);
});
