/**
 * Runs a driver under Bun and under Deno at the same time: `both.ts FILE OPTIONS…`. Each line says
 * whose it is. With `--runtimes bun`, or `deno`, it runs under that one alone.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Program } from "../program.ts";

const root = fileURLToPath(new URL("../..", import.meta.url).href);
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  bun: [`${root}node_modules/.bin/bun`],
  deno: [`${root}node_modules/.bin/deno`, "run", "-A", "--no-check"],
};
/** The longest that a line may be late. */
const PATIENCE_MS = 2 ** 31 - 1;

/** Takes an option and its value out of a command line. */
function taken(args: string[], name: string, value: string): string {
  const at = args.indexOf(name);
  return at < 0 ? value : args.splice(at, 2)[1] ?? "";
}

/** Runs the driver under one runtime. Whether all went well. */
async function runUnder(name: string, args: readonly string[]): Promise<boolean> {
  const command = COMMANDS[name];
  if (command === undefined) throw new Error(`Cannot run under ${name}: it is bun or deno`);
  const program = new Program({ argv: [...command, ...args], cwd: root });
  const print = (line: string) => console.log(`${name}: ${line}`);
  for (;;) {
    try {
      print((await program.find(/(.*)\n/, PATIENCE_MS))[1]!);
    } catch {
      break; // its output is over
    }
  }
  const { code, signal, stderr } = await program.ended;
  for (const line of stderr.split("\n").filter((text) => text !== "")) print(line);
  if (code !== 0) print(`the driver ended with ${signal ?? code}`);
  return code === 0;
}

const args = process.argv.slice(2);
const runtimes = taken(args, "--runtimes", "bun,deno").split(",");
const results = await Promise.all(runtimes.map((name) => runUnder(name, args)));
process.exitCode = results.every(Boolean) ? 0 : 1;
