/**
 * Programs that run in a real terminal: there the runtime stops to ask for a permission that it
 * lacks.
 */
import { spawnSync } from "node:child_process";
import { host } from "../../ffi/runtime.ts";
import { Program } from "../../scripts/program.ts";
import { type ChildOptions, commandFor } from "./child.ts";
import { root } from "./library.ts";

const TERMINAL_MS_MAX = 60_000;

/** For `skip`: why there is no sandbox to be tried in a terminal, or false. */
export function lacksSandbox(): string | false {
  if (host.name !== "deno") return "Bun has no permissions";
  if (spawnSync("script", ["--version"]).status === 0) return false;
  return "not installed: script, of Debian's bsdutils, which gives a program a terminal";
}

/** The output of a program in a terminal. */
export interface Shown {
  readonly output: string;
  /** True when the runtime has stopped it, to ask for a permission; then it was killed. */
  readonly hasAsked: boolean;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Runs a file in a terminal of its own until it ends, or asks. */
export async function runInTerminal(file: string, options: ChildOptions = {}): Promise<Shown> {
  const [command, args] = commandFor(file, options);
  const line = [command, ...args.filter((arg) => arg !== "--no-prompt")].map(quoted).join(" ");
  const terminal = new Program({
    argv: ["script", "-qec", line, "/dev/null"],
    cwd: root,
    env: { NETPOLL_LIB: undefined, NO_COLOR: "1", ...options.env },
    timeoutMs: options.timeoutMs ?? TERMINAL_MS_MAX,
  });
  const hasAsked = await terminal.find(/Allow\? \[y\/n/, TERMINAL_MS_MAX).then(
    () => true,
    () => false,
  );
  await terminal.stop();
  return { output: terminal.output, hasAsked };
}
