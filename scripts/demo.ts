/**
 * Shows `make demo` for one runtime: it runs examples/echo_server.ts on a free port, and
 * examples/echo_client.ts, which sends it real traffic, each in a process of its own.
 *
 * Its arguments are the command that runs a file: `bun scripts/demo.ts node_modules/.bin/bun`.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { Program } from "./program.ts";

const DEADLINE_MS = 30_000;

const [runtime, ...options] = process.argv.slice(2);
if (runtime === undefined) {
  throw new TypeError("Cannot run the demo: name the command of a runtime");
}

/** Starts a file. */
function start(file: string, address: string): Program {
  return new Program({ argv: [runtime!, ...options, file, address], timeoutMs: DEADLINE_MS });
}

const version = execFileSync(runtime, ["--version"], { encoding: "utf8" }).split("\n", 1)[0]!;
console.log(`── ${/^\d/.test(version) ? `bun ${version}` : version}`);

const server = start("examples/echo_server.ts", "localhost:0");
try {
  const [, address] = await server.find(/Listening on (\S+:\d+)/);
  console.log(`   examples/echo_server.ts listens on ${address}`);
  const client = start("examples/echo_client.ts", address!);
  console.log((await client.finish()).trimEnd().replace(/^(?=.)/gm, "   "));
  server.signal("SIGINT");
  await server.finish();
  console.log("   Ctrl-C: the server drained and ended with 0\n");
} finally {
  await server.stop();
}
