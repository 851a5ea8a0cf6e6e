/**
 * The options of a bench: every one takes a value, and has a line of help.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { LOAD_CPU, SERVER_CPU } from "./cpus.ts";

/** An option: its help, and what it is unless given. */
export interface Option {
  /** One line. */
  readonly help: string;
  /** The value unless given; none when left out. */
  readonly value?: string;
}

/** Options that many benches have. */
const COMMON: Readonly<Record<string, Option>> = {
  rounds: { help: "how often to measure each" },
  seconds: { help: "how long to measure, each time" },
  warmup: { help: "seconds before each measurement" },
  runtimes: { help: "which: bun,deno", value: "bun,deno" },
  "server-cpu": { help: "the CPU of the server", value: `${SERVER_CPU}` },
  "load-cpu": { help: "the CPU of the load", value: `${LOAD_CPU}` },
  results: { help: "the folder of the results, bench/results unless given" },
};

/** An option of its own, a common one with a value for this bench, or a common one as it stands. */
type Given = Option | string | true;

/**
 * Parses the command line; prints the help and ends where it is asked for, or is needed. `more`
 * stands at the end of the help.
 */
export function parse<Name extends string>(
  options: Readonly<Record<Name, Given>>,
  more: () => string = () => "",
): Record<Name, string | undefined> {
  const entries = (Object.entries(options) as [Name, Given][]).map(([name, given]) => {
    if (typeof given === "object") return [name, given] as const;
    return [name, given === true ? COMMON[name]! : { ...COMMON[name]!, value: given }] as const;
  });
  const config: Record<string, { type: "string" | "boolean" }> = { help: { type: "boolean" } };
  for (const [name] of entries) config[name] = { type: "string" };
  try {
    const { values } = parseArgs({ options: config, args: process.argv.slice(2) });
    if (!values.help) {
      const given = entries.map(([name, { value }]) => [name, values[name] ?? value]);
      return Object.fromEntries(given);
    }
  } catch (error) {
    console.error((error as Error).message);
    console.error(help(entries));
    process.exit(2);
  }
  console.log([help(entries), more()].join("\n\n").trimEnd());
  process.exit(0);
}

function help(options: readonly (readonly [string, Option])[]): string {
  const lines = options.map(([name, { help, value }]) =>
    `  --${`${name} VALUE`.padEnd(20)} ${help}${value === undefined ? "" : ` (${value})`}`
  );
  return `${lines.join("\n")}\n  --help`;
}

/** The value of an option as a number. */
export function number(name: string, value: string | undefined): number {
  const result = Number(value);
  if (value !== undefined && value !== "" && Number.isFinite(result) && result >= 0) return result;
  console.error(`--${name} is a number, not ${value}`);
  process.exit(2);
}

/** What was typed: the target, and the options if any. */
export function commandLine(target: string): string {
  const args = process.argv.slice(2);
  return args.length === 0 ? target : `${target} OPTIONS="${args.join(" ")}"`;
}
