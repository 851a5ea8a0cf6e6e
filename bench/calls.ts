/**
 * JavaScript calls that a 64-byte echo takes, counted by V8.
 *
 * Deno runs the same server twice, for few messages and for many, and writes how often each function
 * was called. The difference between both runs is what the messages took: the start and the end of
 * the process, and of the connection, are in both. One connection, one message at a time, so that a
 * turn of the poller is a part of each.
 */
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Program, projectPath } from "./harness/child.ts";
import { parse } from "./harness/options.ts";

const MESSAGE_BYTES = 64;
/** Messages of the first run, and how many more of the second. */
const FEW = 2_000;
const MORE = 10_000;
/** A function that was called for fewer messages than this part does not run for each. */
const PART_MIN = 0.02;

/** The coverage of one file, as V8 writes it. */
interface Coverage {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly { readonly startOffset: number; readonly count: number }[];
  }[];
}

type Counts = Map<string, number>;

/** The number of calls of each function of the library; its key says where it is. */
function read(folder: string): Counts {
  const counts: Counts = new Map();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
    const { url, functions } = JSON.parse(readFileSync(join(folder, file), "utf8")) as Coverage;
    const [, path] = /\/((?:src|ffi)\/.*\.ts)$/.exec(url) ?? [];
    if (path === undefined) continue;
    for (const { functionName, ranges } of functions) {
      const { startOffset, count } = ranges[0]!;
      const key = `${path} ${functionName || "(arrow)"} @${startOffset}`;
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  }
  return counts;
}

/** Sends one message after the other, each when the one before has come back. */
async function ask(path: string, messages: number): Promise<void> {
  const socket = connect(path);
  const message = new Uint8Array(MESSAGE_BYTES);
  let got = 0;
  socket.on("data", (bytes: Uint8Array) => {
    got += bytes.length;
    if (got === messages * MESSAGE_BYTES) socket.end();
    else if (got % MESSAGE_BYTES === 0) socket.write(message);
  });
  socket.write(message);
  await once(socket, "close");
}

async function count(style: string, messages: number): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), "netpoll-calls-"));
  try {
    const path = join(folder, "socket");
    const argv = [projectPath("node_modules/.bin/deno"), "run", "-A", "--no-check"];
    const coverage = `--coverage=${join(folder, "coverage")}`;
    const file = projectPath("bench/servers/counted.ts");
    const server = new Program({ argv: [...argv, coverage, file, path, `${messages}`, style] });
    await server.find(/./);
    await ask(path, messages);
    await server.finish();
    return read(join(folder, "coverage"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Calls a message, by function, those that are called most first. */
async function callsOf(style: string): Promise<[string, number][]> {
  const few = await count(style, FEW);
  const many = await count(style, FEW + MORE);
  return [...many]
    .map(([key, calls]): [string, number] => [key, (calls - (few.get(key) ?? 0)) / MORE])
    .filter(([, calls]) => calls >= PART_MIN)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

const options = parse({ list: { help: "1: each function with its calls, too", value: 0 } });
const isList = options.list === 1;
console.log("| handler | calls/message | functions | files |\n| --- | ---: | ---: | ---: |");
for (const style of ["sync", "async"]) {
  const calls = await callsOf(style);
  const sum = calls.reduce((total, [, each]) => total + each, 0);
  const files = new Set(calls.map(([key]) => key.split(" ", 1)[0]));
  console.log(`| ${style} | ${sum.toFixed(1)} | ${calls.length} | ${files.size} |`);
  if (!isList) continue;
  for (const [key, each] of calls) console.log(`  ${each.toFixed(2).padStart(6)}  ${key}`);
}
