import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import type { Host } from "../../ffi/host.ts";
import { host } from "../../ffi/runtime.ts";
import { attempt, candidates, load, unsupported } from "../../ffi/load.ts";
import { ABI } from "../../ffi/symbols.ts";
import { LoadError } from "../../src/core/errors.ts";
import { run } from "../support/child.ts";
import { compile, libraryPath, root, withDirectory } from "../support/library.ts";

const NOT_DENO = host.name === "deno" ? false : "Bun has no permissions";
const here = pathToFileURL(`${root}ffi/load.ts`).href;

/** This runtime, with some variables set to what a test needs. */
function hostWith(env: Record<string, string | undefined>, more: Partial<Host> = {}): Host {
  return { ...host, env: (name) => env[name], ...more };
}

test("unsupported() says what to do, on another system or processor", () => {
  assertEquals(unsupported("linux", "x64"), null);
  assertEquals(unsupported("linux", "arm64"), null);
  assertMatch(
    unsupported("darwin", "arm64")!,
    /needs Linux .* darwin; run it in a Linux container/,
  );
  assertMatch(unsupported("win32", "x64")!, /needs Linux .* win32; run it in a Linux container/);
  assertMatch(unsupported("linux", "ia32")!, /64-bit processor \(x64 or arm64\), and this is ia32/);
});

test("candidates() tries the local build first, then the one that was shipped", () => {
  const base = "file:///a/b/ffi/load.ts";
  assertEquals(candidates(base, "arm64", undefined), [
    "/a/b/libnetpoll.so",
    "/a/b/lib/libnetpoll-linux-arm64.so",
  ]);
  assertEquals(candidates("file:///a%20b/ffi/load.js", "x64", ""), [
    "/a b/libnetpoll.so",
    "/a b/lib/libnetpoll-linux-x64.so",
  ]);
});

test("candidates() tries NETPOLL_LIB alone, when it is set", () => {
  assertEquals(candidates("file:///a/ffi/load.ts", "x64", "/x.so"), ["/x.so"]);
});

test("candidates() looks nowhere, when this file was bundled or came over the network", () => {
  assertEquals(candidates("file:///a/dist/netpoll.js", "x64", undefined), []);
  assertEquals(candidates("https://host.example/ffi/load.ts", "x64", undefined), []);
});

test("load() opens the library that NETPOLL_LIB names", () => {
  const native = load(hostWith({ NETPOLL_LIB: libraryPath }), "file:///nowhere/ffi/load.ts");
  assertEquals(native.abi(), ABI);
});

test("load() lists every path with its reason, when no library is there", () => {
  const error = assertThrows(
    () => load(hostWith({}), "file:///nowhere/ffi/load.ts"),
    LoadError,
    'Cannot load netpoll: no libnetpoll.so could be opened; build it with "make", or name one in NETPOLL_LIB:',
  );
  assertEquals(error.reason, "library");
  const lines = error.message.split("\n").slice(1);
  assertEquals(lines.length, 2);
  assertMatch(lines[0]!, /^ {2}\/nowhere\/libnetpoll\.so: ./);
  assertMatch(lines[1]!, /^ {2}\/nowhere\/lib\/libnetpoll-linux-\w+\.so: ./);
});

test("load() tries nothing else, when the library that NETPOLL_LIB names is not there", () => {
  const error = assertThrows(
    () => load(hostWith({ NETPOLL_LIB: "/nowhere/x.so" }), here),
    LoadError,
  );
  assertEquals(error.message.split("\n").length, 2);
  assertStringIncludes(error.message, "/nowhere/x.so: ");
});

test("load() has no place to look, when it was bundled", () => {
  const bundled = "file:///a/dist/netpoll.js";
  assertThrows(() => load(hostWith({}), bundled), LoadError, "no place to look for it");
});

test("load() takes the copy in memory, when no file is there", () => {
  const packed = gzipSync(readFileSync(libraryPath)).toString("base64");
  const embedded = { soname: "libnetpoll-of-nobody.so", packed };
  const native = load(hostWith({}), "file:///a/dist/netpoll.js", embedded);
  assertEquals(native.abi(), ABI);
  const fds = new Int32Array(2);
  assertEquals(native.socketpair(fds), 0);
  for (const fd of fds) assertEquals(native.close(fd), 0);
});

test("load() lists the copy in memory with its reason, when that fails too", () => {
  const packed = gzipSync("no library").toString("base64");
  const embedded = { soname: "libnetpoll-of-nobody-else.so", packed };
  const base = "file:///a/dist/netpoll.js";
  const error = assertThrows(() => load(hostWith({}), base, embedded), LoadError);
  assertMatch(error.message, /\n {2}the copy in memory: .*\/proc\/self\/fd\/\d+/);
});

test("load() leaves the copy in memory alone, when NETPOLL_LIB names another", () => {
  const embedded = { soname: "libnetpoll-of-nobody.so", packed: "" };
  const named = hostWith({ NETPOLL_LIB: "/nowhere/x.so" });
  const error = assertThrows(() => load(named, here, embedded), LoadError);
  assertEquals(error.message.includes("memory"), false);
});

test("load() says in one sentence that a permission is missing", () => {
  const refusal = () => 'the permission is missing; run it again with "--allow-ffi"';
  const error = assertThrows(() => load(hostWith({}, { refusal }), here), LoadError);
  assertEquals([error.reason, error.message], [
    "permission",
    `Cannot load netpoll: ${refusal()}`,
  ]);
});

test("load() lists all reasons, when a permission is missing for one path and another fails", () => {
  const refusal = (path: string) => path.endsWith("/libnetpoll.so") ? "no permission" : null;
  const on = hostWith({}, { refusal });
  const error = assertThrows(() => load(on, "file:///nowhere/ffi/load.ts"), LoadError);
  assertEquals(error.reason, "library");
  assertStringIncludes(error.message, "/nowhere/libnetpoll.so: no permission\n");
});

test("attempt() says that a library is stale, when its ABI is another", async (t) => {
  await withDirectory((directory) => {
    const path = compile(directory, "int np_abi(void) { return 99; }\n");
    if (path === null) return t.skip("cc is not installed: no stale library to try");
    assertEquals(
      attempt(host, path),
      `it has ABI 99 and this version needs ${ABI}; build it again with "make"`,
    );
  });
});

test("attempt() gives the reason of the system, when a file is no library of ours", async (t) => {
  assertEquals(typeof attempt(host, import.meta.filename!), "string");
  await withDirectory((directory) => {
    const path = compile(directory, "int other(void) { return 0; }\n");
    if (path === null) return t.skip("cc is not installed: no foreign library to try");
    const reason = attempt(host, path);
    assertEquals(typeof reason, "string");
    assertStringIncludes(reason as string, "np_");
    assert(!(reason as string).includes("\n"));
  });
});

const fixture = `${root}tests/support/echo_once.ts`;

test("import() of mod.ts loads the library and echoes, in a program of its own", async () => {
  const ended = await run(fixture);
  assertEquals(ended, { code: 0, signal: null, stdout: "echoed hello\n", stderr: "" });
});

test(
  "import() of mod.ts fails with one sentence, without --allow-ffi",
  { skip: NOT_DENO },
  async () => {
    const ended = await run(fixture, { permissions: ["--allow-net"] });
    assertEquals(ended.code, 1);
    assertMatch(
      ended.stderr,
      /LoadError: Cannot load netpoll: Deno may not load native code; run it again with "--allow-ffi"\n/,
    );
  },
);

test(
  "import() of mod.ts needs no more than --allow-ffi and --allow-net",
  { skip: NOT_DENO },
  async () => {
    const ended = await run(fixture, { permissions: ["--allow-ffi", "--allow-net=127.0.0.1"] });
    assertEquals(ended, { code: 0, signal: null, stdout: "echoed hello\n", stderr: "" });
  },
);

test(
  "import() of mod.ts works with --allow-ffi for the library's path alone",
  { skip: NOT_DENO },
  async () => {
    const permissions = [`--allow-ffi=${root}libnetpoll.so`, "--allow-net=127.0.0.1"];
    const ended = await run(fixture, { permissions });
    assertEquals(ended, { code: 0, signal: null, stdout: "echoed hello\n", stderr: "" });
  },
);

for (const [what, value] of [["platform", "darwin"], ["platform", "win32"], ["arch", "arm"]]) {
  test(`import() of mod.ts throws a LoadError, on ${value}`, async () => {
    const ended = await run(`${root}tests/support/elsewhere.ts`, { args: [what!, value!] });
    assertEquals([ended.code, ended.stderr], [0, ""]);
    assertMatch(ended.stdout, new RegExp(`^LoadError platform Cannot load netpoll: .*${value}`));
  });
}

test("import() of mod.ts throws a LoadError, in Node.js", async (t) => {
  if (spawnSync("node", ["--version"]).error !== undefined) return t.skip("node is not installed");
  await withDirectory((directory) => {
    const bundle = `${directory}/netpoll.mjs`;
    const options = ["--bundle", "--format=esm", "--platform=node", `--outfile=${bundle}`];
    const built = spawnSync(`${root}node_modules/.bin/esbuild`, [`${root}mod.ts`, ...options]);
    assertEquals(built.status, 0);
    const { status, stderr } = spawnSync("node", [bundle], { encoding: "utf8" });
    assertEquals(status, 1);
    assertMatch(
      stderr,
      /LoadError: Cannot load netpoll: it runs on Deno and on Bun; Node\.js and others are not/,
    );
  });
});

test("import() of mod.ts lists what was tried, when NETPOLL_LIB names nothing", async () => {
  const ended = await run(fixture, { env: { NETPOLL_LIB: "/nowhere/x.so" } });
  assertEquals(ended.code, 1);
  assertStringIncludes(ended.stderr, "LoadError: Cannot load netpoll: no libnetpoll.so");
  assertStringIncludes(ended.stderr, "/nowhere/x.so: ");
});
