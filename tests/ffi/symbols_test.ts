import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ABI, CALLS, SYMBOLS } from "../../ffi/symbols.ts";
import { libraryPath, sourcePath } from "../support/library.ts";

const source = readFileSync(sourcePath, "utf8");
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
