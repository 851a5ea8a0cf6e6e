/**
 * Command lines of the drivers: every one knows these options, and may have others beside them.
 */
import process from "node:process";
import { parseArgs } from "node:util";

/** An option, which takes a value unless it is a flag. */
export interface DriverOption {
  /** One line. */
  readonly help: string;
  /** The value unless given; none when left out. */
  readonly value?: string;
  /** It takes no value: it is "" where it is given. */
  readonly isFlag?: boolean;
}

/** The values of a command line: the common ones, and those of the driver by their names. */
export interface DriverValues<Name extends string> {
  /** The seconds that the driver runs; Infinity for the whole of it. */
  readonly seconds: number;
  /** Random numbers begin here, so that a failure can be repeated. */
  readonly seed: number;
  /** Whether the result is kept in docs/trust. */
  readonly record: boolean;
  /** Options of the driver's own. */
  readonly own: Readonly<Record<Name, string | undefined>>;
}

const COMMON: Readonly<Record<string, string>> = {
  "seconds N": "stop after so long; the whole unless given",
  "seed N": "random numbers begin here; any unless given",
  "record": "keep the result in docs/trust, for the table of docs/TRUST.md",
  "help": "print this",
};

function helpFor(what: string, options: Readonly<Record<string, DriverOption>>): string {
  const own = Object.entries(options).map(([name, { help, value, isFlag }]) => [
    isFlag ? name : `${name} VALUE`,
    value === undefined ? help : `${help} (${value})`,
  ]);
  const lines = [...own, ...Object.entries(COMMON)].map(([name, help]) =>
    `  --${name!.padEnd(16)} ${help}`
  );
  return [what, ...lines].join("\n");
}

/** Ends the process with a line for whoever typed the command. */
function refuse(message: string): never {
  console.error(message);
  process.exit(2);
}

/** A whole number that was typed. */
export function wholeNumber(name: string, value: string): number {
  const number = Number(value);
  if (value.trim() !== "" && Number.isSafeInteger(number) && number >= 0) return number;
  return refuse(`--${name} is a whole number, not ${value}`);
}

/** Reads the command line of a driver; prints the help and ends where it is asked for. */
export function driverOptions<Name extends string = never>(
  what: string,
  options: Readonly<Record<Name, DriverOption>> = {} as Readonly<Record<Name, DriverOption>>,
): DriverValues<Name> {
  const known = Object.keys(options) as Name[];
  const config: Record<string, { type: "string" | "boolean" }> = {
    seconds: { type: "string" },
    seed: { type: "string" },
    record: { type: "boolean" },
    help: { type: "boolean" },
  };
  for (const name of known) {
    config[name] = { type: options[name].isFlag ? "boolean" : "string" };
  }
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({ options: config, args: process.argv.slice(2) }));
  } catch (error) {
    return refuse(`${(error as Error).message}\n${helpFor(what, options)}`);
  }
  if (values["help"]) {
    console.log(helpFor(what, options));
    process.exit(0);
  }
  const text = (name: string) => values[name] === true ? "" : values[name] as string | undefined;
  const [seconds, seed] = [text("seconds"), text("seed")];
  return {
    seconds: seconds === undefined ? Infinity : wholeNumber("seconds", seconds),
    seed: seed === undefined ? Math.floor(Math.random() * 2 ** 32) : wholeNumber("seed", seed),
    record: values["record"] === true,
    own: Object.fromEntries(
      known.map((name) => [name, text(name) ?? options[name].value]),
    ) as Record<Name, string | undefined>,
  };
}
