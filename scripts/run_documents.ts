/**
 * Runs every TypeScript example of every document and doc comment, each in a process of its own.
 *
 * Its arguments are the command that runs a file: `bun scripts/run_documents.ts
 * node_modules/.bin/bun`, and behind "--" the documents, which are all unless given. A block that
 * opens with "```ts ignore" is a fragment and is left out; one with "```ts ignore bun" or
 * "```ts ignore deno" is a program of that runtime alone. An example that serves for ever is asked
 * to echo, and passes when it does. An example must print the output that its comments promise, as
 * "console.log(x); // 5".
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { basename } from "node:path";
import process from "node:process";
import { setTimeout } from "node:timers";
import { Program } from "./program.ts";

const EXAMPLE_MS = 15_000;

interface Example {
  /** Its place, as "README.md:12". */
  at: string;
  code: string;
}

/** The examples of a document, or of the comments of a source file, that a runtime can run. */
function examplesOf(path: string, runtime: string): Example[] {
  const file = readFileSync(path, "utf8");
  const text = path.endsWith(".ts") ? file.replace(/^ *\* ?/gm, "") : file;
  const blocks = [...text.matchAll(/^```(?:ts|typescript)(?: ignore (\w+))?\n([^]*?)^```$/gm)];
  return blocks.filter(([, only]) => only === undefined || only === runtime).map((match) => ({
    at: `${path}:${text.slice(0, match.index).split("\n").length}`,
    code: match[2]!,
  }));
}

/** Asks a server for an echo until it answers. True when it did. */
async function echoes(port: number, signal: AbortSignal): Promise<boolean> {
  const message = Buffer.alloc(512, "document ");
  while (!signal.aborted) {
    const socket = connect(port, "127.0.0.1", () => socket.write(message));
    let length = 0;
    try {
      for await (const chunk of socket) {
        if ((length += chunk.length) === message.length) return true;
      }
    } catch {
      // It does not listen yet.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  return false;
}

/** Text without what the runtimes print in different ways: quotes, brackets, spaces. */
function bare(text: string): string {
  return text.replaceAll("\\n", "").replace(/[^\p{L}\p{N}]/gu, "");
}

/** The first line that an example promises to print and did not; a ":" ends its literal part. */
function unprinted(code: string, printed: string): string | undefined {
  const claims = [...code.matchAll(/\bconsole\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1]!);
  let rest = bare(printed);
  return claims.find((claim) => {
    const text = bare(claim.split(/: |…/)[0]!);
    const at = rest.indexOf(text);
    rest = rest.slice(at + text.length);
    return at < 0;
  });
}

/** Runs an example. Returns its failure, or null. */
async function failureOf(example: Example, command: readonly string[]): Promise<string | null> {
  const file = `.example_${process.pid}.ts`;
  // In the root, the package's own name means the entries of deno.json and package.json.
  writeFileSync(file, example.code);
  const over = new AbortController();
  try {
    const program = new Program({ argv: [...command, file], timeoutMs: EXAMPLE_MS });
    const ended = program.ended.then(({ code, signal, stdout, stderr }) => {
      if (code !== 0) return `ended with ${signal ?? code}\n${stderr}`;
      const claim = unprinted(example.code, stdout);
      return claim === undefined ? null : `printed no ${claim}\n${stdout}`;
    });
    const port = /createListener\("tcp", "localhost:([1-9]\d+)"/.exec(example.code)?.[1];
    if (port === undefined) return await ended;
    const echoed = echoes(Number(port), over.signal).then(() => null);
    const failure = await Promise.race([ended, echoed]);
    await program.stop();
    return failure;
  } finally {
    over.abort();
    rmSync(file);
  }
}

const given = process.argv.slice(2);
const end = given.indexOf("--");
const command = end < 0 ? given : given.slice(0, end);
if (command.length === 0) throw new TypeError("Cannot run examples: name the command of a runtime");
const places = end < 0 ? ["*.md", "mod.ts", "src"] : given.slice(end + 1);
const documents = execFileSync("git", ["ls-files", ...places], { encoding: "utf8" }).trim()
  .split("\n");
const runtime = basename(command[0]!);
let passed = 0, failed = 0;
for (const example of documents.flatMap((path) => examplesOf(path, runtime))) {
  const failure = await failureOf(example, command);
  if (failure === null) passed += 1;
  else failed += 1;
  console.log(`${example.at} ... ${failure === null ? "ok" : `FAILED: ${failure}`}`);
}
console.log(`\n${failed === 0 ? "ok" : "FAILED"} | ${passed} passed | ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
