/**
 * The options of a bench: each takes a value, and has a line of help.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { LOAD_CPU, SERVER_CPU } from "./cpus.ts";

/** An option: its help, and its value unless given. A number's value is a number. */
export interface Option {
  /** A line of text. */
  readonly help: string;
  /** The value unless given; none when left out. */
  readonly value?: string | number;
}

/** Options that many benches have. */
const COMMON = {
  rounds: { help: "how often to measure each", value: 9 },
  seconds: { help: "how long to measure, each time", value: 1 },
  warmup: { help: "seconds before each measurement", value: 0.1 },
  runtimes: { help: "which: bun,deno", value: "bun,deno" },
  serverCpu: { help: "the CPU of the server", value: SERVER_CPU },
  loadCpu: { help: "the CPU of the load", value: LOAD_CPU },
  results: { help: "the folder of the results, bench/results unless given" },
} as const satisfies Readonly<Record<string, Option>>;

/** An option of its own, a common one with a value for this bench, or a common one as it stands. */
type Given = Option | string | number | true;

/** The type of an option's value. */
type Value<G, N> = G extends true
  ? N extends keyof typeof COMMON ? Value<typeof COMMON[N], N> : never
  : G extends number | { value: number } ? number
  : G extends string | { value: string } ? string
  : string | undefined;

function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function optionOf(name: string, given: Given): Option {
  if (typeof given === "object") return given;
  const common = COMMON[name as keyof typeof COMMON];
  return given === true ? common : { ...common, value: given };
}

/**
 * Parses the command line; `serverCpu` is given as `--server-cpu`. Prints the help and ends where it
 * is asked for, or is needed. The help ends with `more`.
 */
export function parse<const O extends Readonly<Record<string, Given>>>(
  options: O,
  more = "",
): { [N in keyof O]: Value<O[N], N> } {
  const all = Object.entries(options).map(([name, given]) => ({
    name,
    flag: flagOf(name),
    ...optionOf(name, given),
  }));
  const config: Record<string, { type: "string" | "boolean" }> = { help: { type: "boolean" } };
  for (const { flag } of all) config[flag] = { type: "string" };
  const help = all.map(({ flag, help, value }) =>
    `  --${`${flag} VALUE`.padEnd(20)} ${help}${value === undefined ? "" : ` (${value})`}`
  ).concat("  --help").join("\n");
  try {
    const { values } = parseArgs({ options: config, args: process.argv.slice(2) });
    if (!values["help"]) {
      return Object.fromEntries(all.map(({ name, flag, value }) => {
        const given = values[flag] as string | undefined;
        return [
          name,
          typeof value === "number" ? number(flag, given ?? `${value}`) : given ?? value,
        ];
      })) as { [N in keyof O]: Value<O[N], N> };
    }
  } catch (error) {
    fail(`${(error as Error).message}\n${help}`);
  }
  console.log(`${help}\n\n${more}`.trimEnd());
  process.exit(0);
}

function fail(why: string): never {
  console.error(why);
  process.exit(2);
}

/** The value of an option as a number. */
export function number(flag: string, value: string): number {
  const result = Number(value);
  if (value !== "" && Number.isFinite(result) && result >= 0) return result;
  fail(`--${flag} is a number, not ${value}`);
}

/** Those that a list names, in the order of the table; all when there is no list. */
export function select<T extends string | { readonly name: string }>(
  all: readonly T[],
  list: string | undefined,
): readonly T[] {
  if (list === undefined) return all;
  const names = list.split(",");
  const known = all.map((one) => typeof one === "string" ? one : one.name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length === 0) return all.filter((_, i) => names.includes(known[i]!));
  throw new RangeError(`Unknown: ${unknown.join(", ")}; there are ${known.join(", ")}`);
}

/** The command that was typed: the target of make, and the options if any. */
export function commandLine(target: string): string {
  const args = process.argv.slice(2);
  return args.length === 0 ? target : `${target} OPTIONS="${args.join(" ")}"`;
}
