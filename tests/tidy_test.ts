/**
 * The rules of the house that a machine can check: what imports what, and how large things get.
 */
import { assertEquals } from "@std/assert";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/**
 * deno fmt holds code to 100, as comments are; this is for C, and for strings such as names of
 * tests.
 */
const COLUMNS_MAX = 120;
const FUNCTION_LINES_MAX = 70;
const FILE_LINES_MAX = 500;
/**
 * One file by design, so that `cc` with no option but -shared builds it: every call that is wrapped
 * goes in.
 */
const C_FILE_LINES_MAX = 3200;

/** The folders that each folder may import, besides itself and `src/core`, which all may. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  "src/core": [],
  "ffi": [],
  "src/buffer": ["ffi"],
  "src/poll": ["ffi"],
  "src/tls": ["ffi"],
  "src/net": ["ffi", "src/tls"],
  "src/transport": ["ffi", "src/buffer", "src/poll", "src/tls", "src/net"],
  "src/connection": ["ffi", "src/buffer", "src/poll", "src/tls", "src/net", "src/transport"],
  "src/datagram": ["ffi", "src/buffer", "src/poll", "src/net"],
  "src/client": [
    "ffi",
    "src/buffer",
    "src/codec",
    "src/mux",
    "src/poll",
    "src/tls",
    "src/net",
    "src/transport",
    "src/connection",
  ],
  "src/restart": ["ffi", "src/net", "src/connection", "src/client", "src/server"],
  "src/metrics": ["ffi", "src/buffer", "src/poll", "src/net", "src/client"],
  "src/server": [
    "ffi",
    "src/buffer",
    "src/poll",
    "src/tls",
    "src/net",
    "src/datagram",
    "src/transport",
    "src/connection",
    "src/metrics",
  ],
  "src/sight": ["ffi", "src/net", "src/transport", "src/connection", "src/client"],
  "src/mux": ["ffi", "src/buffer", "src/poll", "src/net", "src/connection", "src/codec"],
  "src/codec": ["ffi", "src/buffer", "src/poll", "src/net", "src/transport", "src/connection"],
  "src/adapter": ["ffi", "src/buffer", "src/poll", "src/net", "src/transport", "src/connection"],
};

/** The public modules: names of all layers, and nothing else. tests/entries_test.ts is for them. */
const ENTRIES = "src/entries/";

/**
 * Where a runtime may be called by its name: where it is adapted, and where its own calls stand
 * beside ours, to be measured, to be read, or to be compared by a test.
 */
const RUNTIME_FOLDERS = ["ffi/", "bench/peers/", "examples/compare/", "tests/runtime/"];

/** Source files without a test of their own, each with the reason. */
const UNTESTED: Readonly<Record<string, string>> = {
  "src/adapter/contract.ts": "types only",
  "src/datagram/contract.ts": "types only",
  "src/buffer/contract.ts": "types, and what link_buffer.ts sets",
  "src/core/limits.ts": "constants only",
  "src/net/proxy_contract.ts": "types and constants only",
  "src/net/listener_contract.ts": "types only",
  "src/client/pool/metrics.ts": "types, and zeros",
  "src/connection/service.ts": "types only",
  "src/codec/codec.ts": "types only",
  "src/poll/watcher.ts": "types and constants only",
  "src/server/protocol.ts": "types and constants only",
  "src/server/source.ts": "types only",
  "ffi/host.ts": "types only",
  "ffi/bun.ts": "one half of host.ts, whose tests run on it under Bun",
  "ffi/deno.ts": "the other half, under Deno",
  "ffi/prebuilt.ts": "empty here; make dist-check runs the one that is published",
};

/** Files that are too long and still to be divided. */
const TOO_LONG: readonly string[] = [];

const root = fileURLToPath(new URL("..", import.meta.url).href);

/** Every file of the repository, with those that are not committed yet. */
function listFiles(): string[] {
  const git = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  if (git.status !== 0) throw new Error(`Cannot list the files of ${root}: ${git.stderr}`);
  return git.stdout.split("\n").filter((path) => path !== "" && existsSync(root + path));
}

const files = listFiles();
const texts = new Map(files.map((path) => [path, readFileSync(root + path, "utf8")]));
const typescript = files.filter((path) => path.endsWith(".ts"));
const sources = typescript.filter((path) => path.startsWith("src/") || path.startsWith("ffi/"));

function testOf(path: string): string {
  return `tests/${path.replace(/^src\//, "").replace(/\.ts$/, "_test.ts")}`;
}

function isEntry(path: string): boolean {
  return path.startsWith(ENTRIES);
}

function linesOf(path: string): string[] {
  return texts.get(path)!.replace(/\n$/, "").split("\n");
}

/** The folder of LAYERS that a path lies in. */
function layerOf(path: string): string {
  return path.startsWith("src/") ? path.split("/", 2).join("/") : path.split("/", 1)[0]!;
}

/**
 * The paths, from the root, of the files that a file imports or re-exports, at run time or for
 * types.
 */
function importsOf(path: string, text: string): string[] {
  const from = new URL(path, "file:///");
  const specifiers = text.matchAll(/\b(?:from|import)\s*\(?\s*"(\.[^"]*)"/g);
  return [...specifiers].map((match) => new URL(match[1]!, from).pathname.slice(1));
}

/** True when code may import what it imports: the lines that say what is wrong. */
function upwardImports(path: string, text: string): string[] {
  if (isEntry(path)) return [];
  const layer = layerOf(path);
  const allowed = [layer, "src/core", ...LAYERS[layer] ?? []];
  return importsOf(path, text)
    .filter((imported) => !allowed.includes(layerOf(imported)))
    .map((imported) => `${path} imports ${imported}`);
}

/**
 * Files that import each other, at run time or for types: for each of them the way from it back to
 * itself. A file that nothing leads back to is in no circle.
 */
function circles(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  for (const start of imports.keys()) {
    const ways = new Map([[start, start]]);
    for (const [at, way] of ways) {
      const next = imports.get(at) ?? [];
      if (next.includes(start)) found.push(`${way} → ${start}`);
      for (const path of next) if (!ways.has(path)) ways.set(path, `${way} → ${path}`);
    }
  }
  return found;
}

/** A line without its strings and comments, so that braces and names in them do not count. */
function codeOf(line: string): string {
  if (/^\s*(\/?\*|\/\/)/.test(line)) return "";
  return line.replace(/"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\$])*`/g, '""').replace(/\s\/\/.*$/, "");
}

/** Functions above the limit: deno fmt ends each with a brace in the column where it began. */
function longFunctions(path: string, lines: readonly string[]): string[] {
  const long: string[] = [];
  const opened: { indent: number; line: number }[] = [];
  for (const [i, line] of lines.entries()) {
    const code = codeOf(line);
    const indent = line.search(/\S/);
    while (
      opened.length > 0 && /^[})\]]/.test(code.trimStart()) && indent <= opened.at(-1)!.indent
    ) {
      const { line: from, indent: at } = opened.pop()!;
      if (at === indent && /^\) *[:{]|^\).*\{$/.test(code.trimStart())) {
        opened.push({ line: from, indent }); // the end of the parameters, not of the body
        break;
      }
      if (i - from + 1 > FUNCTION_LINES_MAX) {
        long.push(`${path}:${from + 1}: ${i - from + 1} lines`);
      }
    }
    if (isFunctionStart(code)) opened.push({ indent, line: i });
  }
  return long;
}

/** True when a function begins here whose body, or parameters, go on in the next line. */
function isFunctionStart(code: string): boolean {
  if (!/[{(]$/.test(code)) return false;
  if (/\bfunction\b|=>\s*\{$/.test(code)) return true;
  const isCall = /^\s*(if|for|while|switch|return|throw|await|super|do|else|catch|try)\b/.test(
    code,
  );
  return !isCall &&
    /^\s*(static |async |override |private |get |set )*[#\w[\].]+(<.*>)?\(/.test(code) &&
    code.endsWith("{");
}

/** All lines of some files that match, as "path:line: text". */
function grep(paths: readonly string[], pattern: RegExp, clean = (line: string) => line): string[] {
  return paths.flatMap((path) =>
    linesOf(path).flatMap((line, i) =>
      pattern.test(clean(line)) ? [`${path}:${i + 1}: ${line.trim()}`] : []
    )
  );
}

test("imports() point downward, and buffer, poll and net are strangers to each other", () => {
  const layered = sources.filter((path) => !isEntry(path));
  assertEquals(layered.filter((path) => LAYERS[layerOf(path)] === undefined), []);
  assertEquals(sources.filter((path) => importsOf(path, texts.get(path)!).some(isEntry)), []);
  assertEquals(sources.flatMap((path) => upwardImports(path, texts.get(path)!)), []);
});

test("upwardImports() names an upward import, so that the rule above can fail", () => {
  const text = 'import { a } from "../poll/poller.ts";\nconst b = await import("../core/b.ts");';
  assertEquals(upwardImports("src/net/socket.ts", text), [
    "src/net/socket.ts imports src/poll/poller.ts",
  ]);
  const types = 'export type { C } from "../src/server/c.ts";';
  assertEquals(upwardImports("ffi/load.ts", types), ["ffi/load.ts imports src/server/c.ts"]);
});

test("no two files import each other, types included", () => {
  const imports = sources
    .map((path): [string, string[]] => [path, importsOf(path, texts.get(path)!)]);
  assertEquals(circles(new Map(imports)), []);
});

test("circles() names each file of a circle, so that the rule above can fail", () => {
  const imports = new Map([["a", ["b"]], ["b", ["c", "d"]], ["c", ["a"]], ["d", []], ["e", ["e"]]]);
  assertEquals(circles(imports), [
    "a → b → c → a",
    "b → c → a → b",
    "c → a → b → c",
    "e → e",
  ]);
});

test("runtimes are named in ffi/, bench/peers/, examples/compare/ and tests/runtime/ only", () => {
  const elsewhere = typescript.filter((path) =>
    !RUNTIME_FOLDERS.some((folder) => path.startsWith(folder)) && path !== "tests/tidy_test.ts"
  );
  assertEquals(grep(elsewhere, /\b(Deno|Bun)\./, codeOf), []);
  const isComment = (line: string) => /^\s*(\/?\*|\/\/)/.test(line);
  const withStrings = (line: string) => isComment(line) ? "" : line;
  assertEquals(grep(elsewhere, /["']bun:|\bglobalThis\b.*\b(Deno|Bun)\b/, withStrings), []);
});

test("no address is bound or dialled but by src/net/permitted.ts, which asks the sandbox first", () => {
  const others = sources.filter((path) => path !== "src/net/permitted.ts");
  assertEquals(grep(others, /\bnative\.(bind|connect)\b/, codeOf), []);
  assertEquals(grep(sources, /\bnative\.(bind|connect)\b/, codeOf).length, 2);
});

test("every source file has a test at the same path", () => {
  const untested = sources.filter((path) => !isEntry(path) && !files.includes(testOf(path)));
  assertEquals(untested.filter((path) => UNTESTED[path] === undefined), []);
});

test("exceptions name files that are there and have no test: the lists hold nothing that went", () => {
  const excepted = [...Object.keys(UNTESTED), ...TOO_LONG];
  assertEquals(excepted.filter((path) => !files.includes(path)), []);
  assertEquals(Object.keys(UNTESTED).filter((path) => files.includes(testOf(path))), []);
});

test("functions have at most 70 lines", () => {
  assertEquals(typescript.flatMap((path) => longFunctions(path, linesOf(path))), []);
});

test("longFunctions() finds a long one, so that the rule above can fail", () => {
  const body = Array.from({ length: 69 }, () => "    work();");
  const method = ["class A {", "  async #run(a: B): Promise<void> {", ...body, "  }", "}"];
  assertEquals(longFunctions("a.ts", method), ["a.ts:2: 71 lines"]);
  const wrapped = ["function f(", "  a: B,", "): C {", ...body, "}"];
  assertEquals(longFunctions("a.ts", wrapped), ["a.ts:1: 73 lines"]);
  const short = ["function f(", "  a: B,", "): C {", "}", ...body, "function g() {", "}"];
  assertEquals(longFunctions("a.ts", short), []);
});

test("files have at most 500 lines, libnetpoll.c 3200", () => {
  const maxOf = (path: string) => path.endsWith(".c") ? C_FILE_LINES_MAX : FILE_LINES_MAX;
  const long = files.filter((path) => /\.([cht]|ts|sh)$|Makefile$/.test(path))
    .filter((path) => linesOf(path).length > maxOf(path));
  for (const path of long) console.log(`  too long: ${path} has ${linesOf(path).length} lines`);
  assertEquals(long.filter((path) => !TOO_LONG.includes(path)), []);
});

test(`lines have at most ${COLUMNS_MAX} columns`, () => {
  const code = files.filter((path) => /\.(c|h|ts)$/.test(path));
  const wide = code.flatMap((path) =>
    linesOf(path).flatMap((line, i) =>
      [...line].length > COLUMNS_MAX ? [`${path}:${i + 1}: ${[...line].length} columns`] : []
    )
  );
  assertEquals(wide, []);
});

test("names say what a file holds: none is called utils, helpers or common", () => {
  assertEquals(
    files.filter((path) => /(^|\/)(utils?|helpers?|common|misc)\.[a-z]+$/.test(path)),
    [],
  );
});

test("the version stands in deno.json alone, and CHANGELOG.md begins with it or with what follows", () => {
  const { version } = JSON.parse(texts.get("deno.json")!);
  assertEquals(JSON.parse(texts.get("package.json")!).version, undefined);
  const lock = JSON.parse(texts.get("package-lock.json")!);
  assertEquals([lock.version, lock.packages[""].version], [undefined, undefined]);
  const [first] = linesOf("CHANGELOG.md").filter((line) => line.startsWith("## "));
  const ours = [
    /^## Unreleased$/,
    new RegExp(`^## ${RegExp.escape(version)} - \\d{4}-\\d\\d-\\d\\d$`),
  ];
  assertEquals(ours.some((heading) => heading.test(first!)), true, first);
});

/** Tables without a head: what a page shows as a paragraph of bars. */
function headlessTables(path: string, text: string): string[] {
  const lines = text.split("\n");
  const begins = lines.map((line, i) => line.startsWith("|") && !lines[i - 1]?.startsWith("|"));
  return lines.flatMap((_, i) =>
    begins[i] && !/^\| ?:?-/.test(lines[i + 1] ?? "") ? [`${path}:${i + 1}`] : []
  );
}

test("every table of a document has a head, and so has the rest of one that was cut in two", () => {
  const documents = files.filter((path) => path.endsWith(".md"));
  assertEquals(documents.flatMap((path) => headlessTables(path, texts.get(path)!)), []);
  const cut = "| a |\n| - |\n| b |\n\n| c |\n";
  assertEquals(headlessTables("x.md", cut), ["x.md:5"]);
});

test("nothing is left to do in a comment", () => {
  const rest = files.filter((path) => path !== "tests/tidy_test.ts");
  assertEquals(grep(rest, /\b(TODO|FIXME|XXX|HACK)\b/), []);
});

test("no file names a directory of somebody's machine or the host of a package registry", () => {
  const rest = files.filter((path) => path !== "tests/tidy_test.ts");
  const place =
    /(^|[\s"'`(=:])\/(work|home|root|Users)\/|https?:\/\/[^\s"'/]*(registry|artifactory|nexus|npmjs)|registry\+https?:/;
  assertEquals(grep(rest, place), []);
  // A path that happens to be this very checkout's.
  assertEquals(root.length > 5 ? grep(rest, new RegExp(RegExp.escape(root))) : [], []);
});
