import { assertEquals, assertMatch } from "@std/assert";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { host } from "../../ffi/runtime.ts";
import { type Ended, run, start } from "../support/child.ts";
import { libraryPath, root, withDirectory } from "../support/library.ts";
import { soon } from "../support/until.ts";

const PROGRAM = "tests/support/cluster_program";
const HANDLER = "tests/support/cluster_echo";
const env = { NETPOLL_LIB: libraryPath };

/** The program began once, and both Workers did. */
function checkRun({ code, stdout, stderr }: Ended): void {
  assertEquals(stderr, "");
  assertEquals(code, 0);
  const lines = stdout.trim().split("\n").sort();
  assertEquals(lines, [
    "a Worker is set up",
    "a Worker is set up",
    "echo hello",
    "ready",
    "served",
    "the program begins",
  ]);
}

function build(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  assertEquals(status, 0, stderr);
}

function esbuild(outdir: string, args: readonly string[]): void {
  const form = ["--format=esm", "--platform=neutral", "--target=es2023", "--log-level=error"];
  build(`${root}node_modules/.bin/esbuild`, [...args, ...form, `--outdir=${outdir}`]);
}

/** All files of a directory and those in it. */
function filesIn(directory: string): string[] {
  const options = { recursive: true, withFileTypes: true } as const;
  const entries = readdirSync(resolve(root, directory), options).filter((entry) => entry.isFile());
  return entries.map(({ parentPath, name }) => join(parentPath, name));
}

function bundle(outdir: string, args: readonly string[]): void {
  const externals = ["--bundle", "--external:bun:*", "--external:node:*"];
  esbuild(outdir, [`${PROGRAM}.ts`, `${HANDLER}.ts`, ...externals, ...args]);
}

test("Cluster finds its Worker's module in a source tree", async () => {
  checkRun(await run(`${root}${PROGRAM}.ts`, { env }));
});

test("Cluster finds its Worker's module in JavaScript, as npm installs it", async () => {
  await withDirectory(async (directory) => {
    const sources = [...filesIn("src"), ...filesIn("ffi")];
    esbuild(directory, ["mod.ts", ...sources, `${PROGRAM}.ts`, `${HANDLER}.ts`]);
    writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
    for (const file of filesIn(directory).filter((path) => path.endsWith(".js"))) {
      const text = readFileSync(file, "utf8");
      writeFileSync(file, text.replace(/(from |import )"(\..*?)\.ts"/g, '$1"$2.js"'));
    }
    checkRun(await run(join(directory, `${PROGRAM}.js`), { env }));
  });
});

test("Cluster finds its Worker's module in two bundles", async () => {
  await withDirectory(async (directory) => {
    bundle(directory, []);
    checkRun(await run(join(directory, "cluster_program.js"), { env }));
  });
});

test("Cluster finds its Worker's module in bundles that share a chunk", async () => {
  await withDirectory(async (directory) => {
    bundle(directory, ["--splitting"]);
    checkRun(await run(join(directory, "cluster_program.js"), { env }));
  });
});

test("Cluster says so, when the bundle of a handler module has no netpoll in it", async () => {
  await withDirectory(async (directory) => {
    bundle(directory, []);
    writeFileSync(join(directory, "cluster_echo.js"), "export const onRequest = () => {};");
    const { code, stderr } = await run(join(directory, "cluster_program.js"), { env });
    assertEquals(code, 1);
    assertMatch(stderr, /in a bundle the handler module has to import netpoll/);
  });
});

const NOT_BUN = host.name === "bun" ? false : "needs Bun";

test("Cluster finds its Worker's module in a compiled program", { skip: NOT_BUN }, async () => {
  await withDirectory((directory) => {
    const to = join(directory, "program");
    const files = [`${PROGRAM}.ts`, `${HANDLER}.ts`];
    build(process.execPath, ["build", "--compile", ...files, "--outfile", to]);
    const { status, stdout, stderr } = spawnSync(to, {
      env: { ...process.env, ...env },
      encoding: "utf8",
      timeout: 20_000,
    });
    checkRun({ code: status, signal: null, stdout, stderr });
  });
});

const NOT_DENO = host.name === "deno" ? false : "needs Deno";

for (const ffi of ["--allow-ffi", `--allow-ffi=${libraryPath}`]) {
  const name = ffi === "--allow-ffi" ? ffi : "--allow-ffi=PATH";
  test(`Cluster needs ${name}, --allow-net and --allow-read`, { skip: NOT_DENO }, async () => {
    const permissions = [ffi, "--allow-net", `--allow-read=${root}`, "--allow-env=NETPOLL_LIB"];
    checkRun(await run(`${root}${PROGRAM}.ts`, { env, permissions }));
  });
}

test("Cluster says what is missing, without --allow-read", { skip: NOT_DENO }, async () => {
  const permissions = ["--allow-ffi", "--allow-net", "--allow-env=NETPOLL_LIB"];
  const { code, stderr } = await run(`${root}${PROGRAM}.ts`, { env, permissions });
  assertEquals(code, 1);
  assertMatch(stderr, /NetpollError: Cannot start a Worker for .*Requires read access/);
});

for (const act of ["unref", "exit"]) {
  test(`a process ends, with Workers that serve: ${act}`, async () => {
    const { code, stdout } = await run(`${root}${PROGRAM}.ts`, { env, args: [act] });
    assertEquals(code, 0);
    assertMatch(stdout, /echo hello/);
  });
}

test("a process with a cluster stays until a signal, and drains", async () => {
  const child = start(`${root}${PROGRAM}.ts`, { env, args: ["stay"] });
  await child.find(/ready/);
  const { code, stdout } = await soon(child.stop("SIGINT"), "it ends");
  assertEquals(code, 0);
  assertMatch(stdout, /served/);
});
