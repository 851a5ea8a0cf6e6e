/**
 * What `make demo` shows for one runtime: examples/echo_server.ts on a free port, and
 * examples/echo_client.ts, which sends it real traffic, each in a process of its own.
 *
 * Its arguments are the command that runs a file: `bun scripts/demo.ts node_modules/.bin/bun`.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";

const DEADLINE_MS = 30_000;

const [runtime, ...options] = process.argv.slice(2);
if (runtime === undefined) {
  throw new TypeError("Cannot run the demo: name the command of a runtime");
}

/** Starts a file with its standard output for us to read. */
function start(file: string, address: string): ChildProcess {
  const child = spawn(runtime!, [...options, file, address], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  child.stdout!.setEncoding("utf8");
  return child;
}

/** What a server says where it listens; it goes on. */
async function addressOf(server: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let printed = "";
  server.stdout!.on("data", (text) => {
    printed += text;
    const address = /Listening on (\S+:\d+)/.exec(printed)?.[1];
    if (address !== undefined) resolve(address);
  });
  server.once("exit", (code) => reject(new Error(`The server ended with ${code}: ${printed}`)));
  return await promise;
}

/** Waits for the end of a process, which must be an orderly one. */
async function finish(name: string, child: ChildProcess): Promise<void> {
  const [code, signal] = child.exitCode === null && child.signalCode === null
    ? await once(child, "exit")
    : [child.exitCode, child.signalCode];
  if (code !== 0) throw new Error(`The ${name} ended with ${signal ?? code}`);
}

const version = execFileSync(runtime, ["--version"], { encoding: "utf8" }).split("\n", 1)[0]!;
console.log(`── ${/^\d/.test(version) ? `bun ${version}` : version}`);

const server = start("examples/echo_server.ts", "localhost:0");
try {
  const address = await addressOf(server);
  console.log(`   examples/echo_server.ts listens on ${address}`);
  const client = start("examples/echo_client.ts", address);
  client.stdout!.on(
    "data",
    (text: string) => process.stdout.write(text.replace(/^(?=.)/gm, "   ")),
  );
  await finish("client", client);
  server.kill("SIGINT");
  await finish("server", server);
  console.log("   Ctrl-C: the server drained and ended with 0\n");
} finally {
  server.kill("SIGKILL");
}
