import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { type Embedded, withPath } from "../../ffi/embedded.ts";
import type { Host } from "../../ffi/host.ts";
import { host } from "../../ffi/runtime.ts";
import type { Signature } from "../../ffi/symbols.ts";
import { compile, withDirectory } from "../support/library.ts";

interface Counter {
  count(): number;
}

const COUNTER: Readonly<Record<keyof Counter, Signature>> = { count: ["count", [], "i32"] };
const SOURCE = "static int counted; int count(void) { return ++counted; }\n";

let libraries = 0;

/** The number of descriptors of a file in memory; others may come and go meanwhile. */
function descriptorsOf({ soname }: Embedded): number {
  const names = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // it was closed meanwhile
    }
  });
  return names.filter((name) => name === `/memfd:${soname} (deleted)`).length;
}

/** A library that counts its calls, under a name of its own, to call with; skipped without cc. */
async function withCounter(
  t: TestContext,
  call: (library: Embedded, open: (path: string) => Counter, paths: string[]) => void,
): Promise<void> {
  const soname = `libcounter-${process.pid}-${libraries++}.so`;
  await withDirectory((directory) => {
    const path = compile(directory, SOURCE, `-Wl,-soname,${soname}`);
    if (path === null) return t.skip("cc is not installed: no library to embed");
    const paths: string[] = [];
    const open = (path: string) => (paths.push(path), host.open<Counter>(path, COUNTER));
    call({ soname, packed: gzipSync(readFileSync(path)).toString("base64") }, open, paths);
  });
}

test("withPath() opens a library that is no file, and keeps one descriptor", async (t) => {
  await withCounter(t, (library, open, paths) => {
    const counter = withPath(host, library, open);
    assertEquals([counter.count(), counter.count()], [1, 2]);
    assertEquals(descriptorsOf(library), 1);
    assertMatch(paths[0]!, /^\/proc\/self\/fd\/\d+$/);
  });
});

test("withPath() opens the same copy again, by its name", async (t) => {
  await withCounter(t, (library, open, paths) => {
    const first = withPath(host, library, open);
    const second = withPath(host, library, open);
    assertEquals([first.count(), second.count()], [1, 2]);
    assertEquals(paths[1], library.soname);
  });
});

const NOT_BUN = host.name === "bun" ? false : "Deno is built for glibc alone, which knows the name";

test("withPath() opens the same copy again, by its file", { skip: NOT_BUN }, async (t) => {
  await withCounter(t, ({ packed }, open, paths) => {
    // A name that it does not bear, so that nobody finds it by that, as under musl.
    const library = { soname: `libnameless-${process.pid}.so`, packed };
    const first = withPath(host, library, open);
    const second = withPath(host, library, open);
    assertEquals([first.count(), second.count()], [1, 2]);
    assertEquals(paths[1], paths[0]);
  });
});

test("withPath() opens another library, where another was opened before", async (t) => {
  await withCounter(t, (library, open) => {
    assertEquals(withPath(host, library, open).count(), 1);
  });
  await withCounter(t, (library, open) => {
    assertEquals(withPath(host, library, open).count(), 1);
  });
});

test("withPath() leaves no descriptor, when what it unpacks is no library", () => {
  const library = { soname: "libnothing.so", packed: gzipSync("nothing").toString("base64") };
  assertThrows(() => withPath(host, library, (path) => host.open<Counter>(path, COUNTER)));
  assertEquals(descriptorsOf(library), 0);
});

test("withPath() says what permission is missing, and opens nothing", () => {
  const refusal = () => "the permission is missing";
  let opened = 0;
  const open: Host["open"] = (path, symbols) => (opened++, host.open(path, symbols));
  const refusing: Host = { ...host, refusal, open };
  const library = { soname: "libnothing.so", packed: "" };
  assertThrows(() => withPath(refusing, library, () => {}), Error, "the permission is missing");
  assertEquals(opened, 0);
});
