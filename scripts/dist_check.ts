/**
 * `make dist-check`: installs every artefact into an empty project, as its users do, and talks to the
 * example of README.md there; in both runtimes, and where no runtime runs, by a program in C.
 *
 * Its argument is the directory of artefacts. `--emulate` fetches the runtimes for arm64, too, and
 * runs them under qemu. Checks that need a tool which this machine lacks are skipped by name.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Program } from "./program.ts";
import { checkSubjects, opened } from "./provenance.ts";

const DEADLINE_MS = 60_000;
const MESSAGE_BYTES = 512;
const MESSAGE_COUNT = 2000;

const root = fileURLToPath(new URL("..", import.meta.url).href);
const bin = join(root, "node_modules/.bin");
const isEmulating = process.argv.includes("--emulate");
const directory = resolve(process.argv.slice(2).find((word) => !word.startsWith("--")) ?? "dist");
const { version } = JSON.parse(readFileSync(join(directory, "package/deno.json"), "utf8"));
const name = "@netpoll/netpoll";

const tarball = join(directory, `netpoll-${version}.tgz`);
const bundle = join(directory, `netpoll-${version}.js`);
const [bun, deno, esbuild] = ["bun", "deno", "esbuild"].map((tool) => join(bin, tool)) as [
  string,
  string,
  string,
];
const DENO_RUN = [deno, "run", "--no-prompt", "--allow-ffi", "--allow-net"];

const scratch = mkdtempSync(join(tmpdir(), "netpoll-dist-"));
const env: NodeJS.ProcessEnv = {
  PATH: process.env["PATH"],
  HOME: join(scratch, "home"),
  DENO_DIR: join(scratch, "deno"),
  DENO_NO_UPDATE_CHECK: "1",
  NO_COLOR: "1",
};
// The environment of npm pack, for --emulate: it reaches the registry as this machine does.
const npmEnv = { ...process.env, NETPOLL_LIB: undefined } as NodeJS.ProcessEnv;

/** The reason why a check cannot be made here. */
class Skipped extends Error {}

function need(command: string): void {
  const found = spawnSync("sh", ["-c", `command -v "$0"`, command], { encoding: "utf8" });
  if (found.status !== 0) throw new Skipped(`${command} is not installed`);
}

/** A new empty project. */
function project(files: Readonly<Record<string, string>> = {}): string {
  const path = mkdtempSync(join(scratch, "project-"));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
  return path;
}

/** Runs a command to its end, which must be an orderly one: what it printed. */
function run(command: readonly string[], cwd: string, environment = env): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command[0]!, command.slice(1), {
    cwd,
    env: environment,
    encoding: "utf8",
    timeout: 4 * DEADLINE_MS,
  });
  if (status !== 0) {
    throw new Error(`${command.join(" ")}: ${error ?? signal ?? status}\n${stdout}${stderr}`);
  }
  return stdout;
}

/** The example of README.md, on a port that it prints. */
function example(specifier = name): string {
  const block = /^```ts\n([^]*?)^```$/m.exec(readFileSync(join(root, "README.md"), "utf8"))![1]!;
  const free = block.replaceAll(`"${name}"`, `"${specifier}"`)
    .replace(/"localhost:\d+"/, '"127.0.0.1:0"')
    .replace(/^const listener = .*$/m, "$&\nconsole.log(`port ${listener.address.port}`);");
  if (!free.includes("127.0.0.1:0") || !free.includes("console.log")) {
    throw new Error("README.md begins with another example than this script knows");
  }
  return free;
}

/** The example without its port, which is of a TCP address alone; the rest is checked as it stands. */
function untyped(text: string): string {
  return text.replace(/^console.log.*$/m, "");
}

/** `program` out of `server.ts`, by deno compile, which fetches a part of itself. */
function compileByDeno(path: string): void {
  const options = ["--no-check", "--allow-ffi", "--allow-net", "--allow-read", "--output=program"];
  try {
    run([deno, "compile", ...options, "server.ts"], path, { ...npmEnv, DENO_DIR: env["DENO_DIR"] });
  } catch (error) {
    if (!/error sending request|client error|dns error|failed to lookup/i.test(String(error))) {
      throw error;
    }
    throw new Skipped("deno compile cannot fetch its runtime here");
  }
}

/** Sends messages in pieces that are none, and compares every byte that comes back. */
async function talk(port: number): Promise<void> {
  const sent = Buffer.alloc(MESSAGE_BYTES * MESSAGE_COUNT);
  for (let i = 0; i < sent.length; i += 4) sent.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(sent.subarray(0, 700));
  socket.write(sent.subarray(700));
  const received: Buffer[] = [];
  let length = 0;
  for await (const chunk of socket) {
    received.push(chunk);
    if ((length += chunk.length) >= sent.length) break;
  }
  if (!Buffer.concat(received).equals(sent)) throw new Error("another byte came back");
}

/** Starts a server and talks to it on the port that it prints. */
async function serves(argv: readonly string[], cwd: string): Promise<void> {
  const nothing = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
  const server = new Program({ argv, cwd, env: { ...nothing, ...env }, timeoutMs: DEADLINE_MS });
  try {
    const [, port] = await server.find(/(?:^port |^Listening on \S+:)(\d+)\b/m, DEADLINE_MS);
    await talk(Number(port));
  } finally {
    await server.stop();
  }
}

/** A project into which npm has installed the tarball. */
function npmProject(): string {
  const path = project({ "package.json": '{ "type": "module" }', "server.ts": example() });
  run(["npm", "install", "--offline", "--no-audit", "--no-fund", tarball], path);
  return path;
}

/** The program of the tests that has a cluster of two Workers, with netpoll from elsewhere. */
function addCluster(path: string, specifier: string): void {
  for (const file of ["cluster_program.ts", "cluster_echo.ts"]) {
    const text = readFileSync(join(root, "tests/support", file), "utf8");
    writeFileSync(join(path, file), text.replace('"../../mod.ts"', `"${specifier}"`));
  }
}

function checkCluster(command: readonly string[], path: string): void {
  const printed = run(command, path);
  if (!/echo hello/.test(printed)) throw new Error(`no Worker answered: ${printed}`);
}

/** The cluster in one bundle for the program and one for its Workers, which find each other. */
function bundledCluster(): string {
  const path = npmProject();
  addCluster(path, name);
  const options = ["--bundle", "--format=esm", "--platform=neutral", "--target=es2023"];
  const files = ["cluster_program.ts", "cluster_echo.ts"];
  run([esbuild, ...files, ...options, "--external:node:*", "--outdir=out"], path);
  rmSync(join(path, "node_modules"), { recursive: true });
  return path;
}

/** Serves the files of the package over HTTP, as a registry of modules does. */
async function overHttp(call: (url: string) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => {
    const file = join(directory, "package", new URL(request.url!, "http://x").pathname);
    if (!existsSync(file)) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": "application/typescript" }).end(readFileSync(file));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await call(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mod.ts`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** An echo by scripts/host.c, in another C library or for another processor. */
function hostEchoes(compiler: string, arch: string, runner: readonly string[] = []): void {
  need(compiler);
  if (runner.length > 0) need(runner[0]!);
  const path = project();
  run([compiler, "-std=gnu11", "-O2", "-o", "host", join(root, "scripts/host.c")], path);
  const library = join(directory, `libnetpoll-linux-${arch}.so`);
  const printed = run([...runner, "./host", library], path);
  if (!/^echoed 512 bytes/.test(printed)) throw new Error(printed);
}

const QEMU = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"];

/** The bundle in a runtime for arm64, from npm, under qemu. */
async function emulates(packageName: string, program: string, ...verb: string[]): Promise<void> {
  if (!isEmulating) {
    throw new Skipped('it takes long; OPTIONS=--emulate ("make dist-check") has it');
  }
  need("qemu-aarch64");
  const path = project({ "server.ts": example("./netpoll.js") });
  cpSync(bundle, join(path, "netpoll.js"));
  run(["npm", "pack", "--silent", packageName], path, npmEnv);
  const packed = readdirSync(path).find((file) => file.endsWith(".tgz"))!;
  run(["tar", "xzf", packed], path);
  run(["chmod", "+x", `package/${program}`], path);
  await serves([...QEMU, `package/${program}`, ...verb, "server.ts"], path);
}

function versionOf(tool: string): string {
  return /\d+\.\d+\.\d+/.exec(run([tool, "--version"], root))![0];
}

/** Declarations that were missing once. */
const DISPOSABLES = `
import type { Connection, LinkBuffer, Listener } from "${name}";
import type { Multiplexer, ShardQueue } from "${name}/mux";
const disposable: Disposable[] = [null! as LinkBuffer, null! as Listener];
const asyncDisposable: AsyncDisposable[] = [
  null! as Connection, null! as Multiplexer<Uint8Array, Uint8Array>, null! as ShardQueue,
];`;

/** Imports every entry; a value of one has to be that of all. */
const ENTRIES = `
import { readFileSync } from "node:fs";
import * as all from "${name}/all";
const manifest = readFileSync(new URL("./node_modules/${name}/package.json", import.meta.url), "utf8");
let count = 0;
for (const key of Object.keys(JSON.parse(manifest).exports)) {
  for (const [one, value] of Object.entries(await import("${name}" + key.slice(1)))) {
    if (all[one] !== value) throw new Error(one + " of " + key + " is another than that of ./all");
    count += 1;
  }
}
const { Connection, LinkBuffer } = await import("${name}");
const { memoryPair } = await import("${name}/testing");
for (const each of memoryPair()) {
  if (!(each instanceof Connection)) throw new Error("a pair of another class");
  each.reset();
}
if (!(new all.LinkBuffer() instanceof LinkBuffer)) throw new Error("a buffer of another class");
console.log("entries " + count);`;

function checkEntries(...command: readonly string[]): void {
  const path = npmProject();
  writeFileSync(join(path, "entries.ts"), ENTRIES);
  const printed = run([...command, "entries.ts"], path);
  if (!/^entries [1-9]\d\d$/m.test(printed)) throw new Error(printed);
}

const CHECKS: readonly [string, () => void | Promise<void>][] = [
  ["the checksums are those of the files", () => {
    run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], directory);
  }],
  ["the provenance names every file by its digest, and its signature is right", () => {
    const kept = JSON.parse(
      readFileSync(join(directory, `netpoll-${version}.provenance.json`), "utf8"),
    );
    const keyPath = process.env["NETPOLL_PUBLIC_KEY"];
    const isSigned = "payload" in kept;
    if (isSigned && keyPath === undefined) {
      throw new Skipped(
        "the provenance is signed; NETPOLL_PUBLIC_KEY names the key to check it with",
      );
    }
    checkSubjects(isSigned ? opened(kept, readFileSync(keyPath!, "utf8")) : kept, directory);
  }],
  ["the same sources give the same bytes, elsewhere", () => {
    const elsewhere = join(project(), "deep/inside/copy");
    mkdirSync(elsewhere, { recursive: true });
    const files = run(["git", "ls-files", "-z"], root, npmEnv).split("\0").filter(Boolean);
    for (const file of files) cpSync(join(root, file), join(elsewhere, file));
    run(["ln", "-s", join(root, "node_modules"), "node_modules"], elsewhere);
    run(["scripts/dist.sh", "again"], elsewhere, npmEnv);
    const sums = (path: string) => readFileSync(join(path, "SHA256SUMS"), "utf8");
    if (sums(directory) !== sums(join(elsewhere, "again"))) {
      throw new Error(`${sums(directory)}and then\n${sums(join(elsewhere, "again"))}`);
    }
  }],
  ["npm install, Bun", () => serves([bun, "server.ts"], npmProject())],
  ["npm install, Deno", () => serves([...DENO_RUN, "server.ts"], npmProject())],
  ["npm install, every entry, Bun", () => checkEntries(bun)],
  ["npm install, every entry, Deno", () => checkEntries(...DENO_RUN, "--allow-read")],
  ["npm install, the types", () => {
    const path = npmProject();
    writeFileSync(join(path, "typed.ts"), `${DISPOSABLES}\n${untyped(example())}`);
    run([deno, "check", "typed.ts"], path);
  }],
  ["bun add, Bun", () => {
    const path = project({ "package.json": '{ "type": "module" }', "server.ts": example() });
    run([bun, "add", tarball], path);
    return serves([bun, "server.ts"], path);
  }],
  ["JSR, Deno", () => {
    // JSR would serve these files by this specifier.
    const config = JSON.stringify({
      imports: { [name]: `jsr:${name}@^${version}` },
      links: [join(directory, "package")],
    });
    const path = project({ "deno.json": config, "server.ts": example() });
    return serves([...DENO_RUN, "server.ts"], path);
  }],
  ["imported over HTTP, Deno: the library from memory, nothing written", () =>
    overHttp((url) => {
      const path = project({ "server.ts": example(url) });
      return serves([...DENO_RUN, "--allow-import", "server.ts"], path);
    })],
  ["by an import map, Deno", () => {
    const config = JSON.stringify({ imports: { [name]: join(directory, "package/mod.ts") } });
    const path = project({ "deno.json": config, "server.ts": example() });
    return serves([...DENO_RUN, "server.ts"], path);
  }],
  ["compiled by Deno", () => {
    const path = npmProject();
    compileByDeno(path);
    rmSync(join(path, "node_modules"), { recursive: true });
    return serves([join(path, "program")], project());
  }],
  ["one file, the types", () => {
    const path = project({
      "typed.ts": `${DISPOSABLES}\n${untyped(example())}`.replace(
        /"@netpoll\/netpoll[^"]*"/g,
        `"./netpoll-${version}.js"`,
      ),
    });
    for (const file of [bundle, bundle.replace(/js$/, "d.ts")]) {
      cpSync(file, join(path, basename(file)));
    }
    run([deno, "check", "typed.ts"], path);
    writeFileSync(join(path, "package.json"), '{ "type": "module" }');
    const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023"];
    const libraries = ["--lib", "esnext,dom", "--skipLibCheck"];
    run([join(bin, "tsc"), ...options, ...libraries, "typed.ts"], path);
  }],
  ["an error of the npm package and of the one file points to its line of TypeScript", () => {
    for (
      const [path, source] of [
        [join(npmProject(), "node_modules", name, "src/core/errors.js"), "errors.ts"],
        [bundle, "src/core/errors.ts"],
      ] as const
    ) {
      const { sources, sourcesContent, mappings } = JSON.parse(readFileSync(`${path}.map`, "utf8"));
      const at = sources.indexOf(source);
      if (at < 0 || !sourcesContent[at].includes("class NetpollError") || mappings.length < 100) {
        throw new Error(`${path}.map does not map ${source}`);
      }
      const named = /\/\/# sourceMappingURL=(\S+)\s*$/.exec(readFileSync(path, "utf8"))?.[1];
      if (named !== `${basename(path)}.map`) throw new Error(`${path} names the map ${named}`);
    }
  }],
  ["one file, Bun", () => {
    const path = project({ "server.ts": example("./netpoll.js") });
    cpSync(bundle, join(path, "netpoll.js"));
    return serves([bun, "server.ts"], path);
  }],
  ["one file, Deno", () => {
    const path = project({ "server.ts": example("./netpoll.js") });
    cpSync(bundle, join(path, "netpoll.js"));
    return serves([...DENO_RUN, "server.ts"], path);
  }],
  [
    "a compiled program",
    () => serves([join(directory, `echo_server-linux-${process.arch}`), "127.0.0.1:0"], project()),
  ],
  ["npm install, a cluster, Bun", () => {
    const path = npmProject();
    addCluster(path, name);
    checkCluster([bun, "cluster_program.ts"], path);
  }],
  ["npm install, a cluster, Deno", () => {
    const path = npmProject();
    addCluster(path, name);
    checkCluster([...DENO_RUN, `--allow-read=${path}`, "cluster_program.ts"], path);
  }],
  ["bundled, a cluster, Bun: its threads share one library from memory", () => {
    checkCluster([bun, "out/cluster_program.js"], bundledCluster());
  }],
  ["bundled, a cluster, Deno: its threads share one library from memory", () => {
    const path = bundledCluster();
    checkCluster([...DENO_RUN, `--allow-read=${path}`, "out/cluster_program.js"], path);
  }],
  ["compiled, a cluster", () => {
    const path = npmProject();
    addCluster(path, name);
    const files = ["cluster_program.ts", "cluster_echo.ts"];
    run([bun, "build", "--compile", ...files, "--outfile=program"], path);
    rmSync(join(path, "node_modules"), { recursive: true });
    checkCluster([join(path, "program")], project());
  }],
  ["Node.js is told that it is not supported", () => {
    need("node");
    const { status, stderr } = spawnSync("node", [bundle], { env, encoding: "utf8" });
    if (status !== 1 || !/LoadError: .*Node\.js and others are not supported/.test(stderr)) {
      throw new Error(`it ended with ${status}: ${stderr}`);
    }
  }],
  ["x64, glibc, a program in C", () => hostEchoes("x86_64-linux-gnu-gcc", "x64")],
  ["x64, musl, a program in C", () => hostEchoes("musl-gcc", "x64")],
  [
    "arm64, glibc, a program in C under qemu",
    () => hostEchoes("aarch64-linux-gnu-gcc", "arm64", QEMU),
  ],
  ["arm64, Bun under qemu", () => emulates(`@oven/bun-linux-aarch64@${versionOf(bun)}`, "bin/bun")],
  ["arm64, Deno under qemu", () =>
    emulates(
      `@deno/linux-arm64-glibc@${versionOf(deno)}`,
      "deno",
      ...DENO_RUN.slice(1),
    )],
];

mkdirSync(env["HOME"]!);
const counts = { passed: 0, failed: 0, skipped: 0 };
try {
  for (const [what, check] of CHECKS) {
    const from = performance.now();
    try {
      await check();
      counts.passed += 1;
      console.log(`${what} ... ok (${((performance.now() - from) / 1000).toFixed(1)} s)`);
    } catch (error) {
      if (error instanceof Skipped) {
        counts.skipped += 1;
        console.log(`${what} ... SKIPPED: ${error.message}`);
      } else {
        counts.failed += 1;
        console.log(`${what} ... FAILED: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
} finally {
  rmSync(scratch, { recursive: true });
}
const { passed, failed, skipped } = counts;
console.log(
  `\n${failed === 0 ? "ok" : "FAILED"} | ${passed} passed | ${failed} failed | ${skipped} ignored`,
);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
