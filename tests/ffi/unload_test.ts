import { assertEquals, assertRejects } from "@std/assert";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { Program } from "../../scripts/program.ts";
import { host } from "../../ffi/runtime.ts";
import {
  type Connection,
  createListener,
  dial,
  EofError,
  EventLoop,
  type TcpAddress,
} from "../../mod.ts";
import { unloadables } from "../../ffi/unload.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { run } from "../support/child.ts";
import { root } from "../support/library.ts";
import { receive, send } from "../support/pair.ts";
import { soon } from "../support/until.ts";

const RELOADS = 3;
const isDeno = host.name === "deno";
/** The ways in which this runtime loads a program anew when a file changes. */
const WATCHES = isDeno ? [["run", "-A", "--no-check", "--watch"]] : [["--watch"], ["--hot"]];

/** A port that is free at the moment. */
function freePort(): number {
  using listener = createListener("tcp", "127.0.0.1:0");
  return (listener.address as TcpAddress).port;
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "netpoll-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A program of tests/support/ in a folder, where it may change. */
function sourceOf(name: string): string {
  const text = readFileSync(join(root, "tests/support", name), "utf8");
  return text.replaceAll("../../mod.ts", pathToFileURL(join(root, "mod.ts")).href);
}

/** Connects to a program, and returns the version that it serves, with the connection. */
async function ask(port: number): Promise<[string, Connection]> {
  const connection = await dial("tcp", `127.0.0.1:${port}`);
  await send(connection, "x");
  return [await soon(receive(connection, 3)), connection];
}

async function reloads(name: string, watch: string[], folder: string): Promise<void> {
  const [source, file, port] = [sourceOf(name), join(folder, "program.ts"), freePort()];
  writeFileSync(file, source);
  const write = (version: number) => {
    const text = source.replace('"v0"', `"v${version}"`);
    if (isDeno) return writeFileSync(file, text);
    // In place, by one call: Bun may load a file twice that is emptied and then filled.
    const fd = openSync(file, "r+");
    writeSync(fd, text);
    closeSync(fd);
  };
  const args = [...watch, file, `${port}`, join(folder, "socket")];
  const program = new Program({ argv: [process.execPath, ...args], cwd: root });
  try {
    const held: string[] = [];
    let client: Connection | null = null;
    for (let n = 0; n <= RELOADS; n++) {
      if (n > 0) write(n);
      const line = await soon(program.line(), `version ${n}`);
      assertEquals(line.split(" ")[0], `v${n}`);
      held.push(line.slice(3));
      const [answer, connection] = await ask(port);
      assertEquals(answer, `v${n}\n`);
      // Its server goes with the next version, without a word of the program.
      if (client !== null) await assertRejects(() => soon(client!.reader.wait(1)), EofError);
      await client?.close();
      client = connection;
    }
    await client?.close();
    assertEquals(held.slice(2), held.slice(1, -1), "descriptors that a reload leaves");
  } finally {
    await program.stop();
  }
}

for (const name of ["reloaded.ts", "reloaded_cluster.ts"]) {
  for (const watch of WATCHES) {
    const title = `${name}, ${watch.join(" ")}`;
    test(`a program that is loaded anew serves at once, and nothing is left: ${title}`, () =>
      inFolder((folder) => reloads(name, watch, folder)));
  }
}

test("a test that forgets its listener leaves the port to the next file", {
  skip: !isDeno, // elsewhere all files of tests are one program
}, () =>
  inFolder(async (folder) => {
    const port = freePort();
    for (const name of ["first_test.ts", "second_test.ts"]) {
      writeFileSync(join(folder, name), sourceOf("forgetful.ts").replace('"0"', `"${port}"`));
    }
    const argv = [process.execPath, "test", "-A", "--no-check", folder];
    const { code, stdout, stderr } = await new Program({ argv }).ended;
    assertEquals(code, 0, stdout + stderr);
  }));

test("the end of a process is no unload that cuts what was flushed", async () => {
  const server = createListener("tcp", "127.0.0.1:0");
  const chunks: number[] = [];
  const ended = Promise.withResolvers<void>();
  const loop = new EventLoop(({ reader }) => {
    chunks.push(reader.length);
    reader.skip(reader.length);
    reader.release();
  }, { onDisconnect: () => ended.resolve() });
  void loop.serve(server);
  const { port } = server.address as TcpAddress;
  const { code, stderr } = await run("tests/support/flush_and_exit.ts", { args: [`${port}`] });
  assertEquals(code, 0, stderr);
  await soon(ended.promise);
  assertEquals(chunks.reduce((sum, bytes) => sum + bytes, 0), 100_000);
  await loop.shutdown();
});

test("what is idle after an unload is given back without an error, which would end the program", async () => {
  const { code, stdout, stderr } = await run("tests/support/idle_after_unload.ts");
  assertEquals([code, stdout, stderr], [0, "idle slabs: 3, then 1\n", ""]);
});

test("unloadables are the poller of the thread, and the listeners that are open", () => {
  const before = unloadables.size;
  const listener = createListener("tcp", "127.0.0.1:0");
  assertEquals(unloadables.size, before + 1);
  listener.close();
  assertEquals([unloadables.size, unloadables.has(threadPoller())], [before, true]);
});
