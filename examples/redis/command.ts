/**
 * Commands: what they are called with, which keys they touch, what they answer.
 */
import { RespError, type RespInput, RespSimple } from "../../mod.ts";
import type { Client } from "./client.ts";

/** The words of a request: as many as the command's arity promises, or more. */
export type Args = [name: string, a: string, b: string, c: string, ...more: string[]];

/** Calls a command. What it throws as `RespError` is the answer; `SILENT`, if it wrote its own. */
export type Run = (client: Client, args: Args) => RespInput | typeof SILENT;

/** The places of keys among the words: the first, the last (from the end if negative), the step. */
export type Keys = readonly [first: number, last: number, step: number];

/** A command. */
export interface Command {
  /** The number of words, the name included; at least as many if negative. */
  readonly arity: number;
  readonly keys: Keys;
  readonly run: Run;
  /** The flags that COMMAND tells. */
  readonly flags: readonly ("readonly" | "write" | "pubsub")[];
}

/** Commands by name, in lower case. */
export type Commands = Readonly<Record<string, Command>>;

/** The command wrote its answers itself. */
export const SILENT: unique symbol = Symbol("silent");

/** +OK */
export const OK: RespSimple = new RespSimple("OK");

/** The places of keys: nowhere, first, first and second, everywhere, in every second place. */
export const NONE: Keys = [0, 0, 0];
export const FIRST: Keys = [1, 1, 1];
export const TWO: Keys = [1, 2, 1];
export const ALL: Keys = [1, -1, 1];
export const PAIRS: Keys = [1, -1, 2];

/** A command that changes nothing. */
export function reads(arity: number, keys: Keys, run: Run): Command {
  return { arity, keys, run, flags: ["readonly"] };
}

/** A command that may change its keys. */
export function writes(arity: number, keys: Keys, run: Run): Command {
  return { arity, keys, run, flags: ["write"] };
}

/** Commands by a second word, as CONFIG and CLIENT have them: these count from there. */
export function grouped(name: string, commands: Commands): Command {
  const run: Run = (client, args) => {
    const word = args[1].toLowerCase();
    const command = Object.hasOwn(commands, word) ? commands[word]! : undefined;
    if (command === undefined) {
      throw new RespError(`ERR unknown subcommand '${args[1]}'. Try ${name.toUpperCase()} HELP.`);
    }
    const rest = args.slice(1) as Args;
    checkArity(command, `${name}|${word}`, rest);
    return command.run(client, rest);
  };
  return { arity: -2, keys: NONE, run, flags: [] };
}

/** @throws {RespError} There are fewer words than the command takes, or more. */
export function checkArity({ arity }: Command, name: string, { length }: readonly string[]): void {
  if (arity >= 0 ? length !== arity : length < -arity) wrongArity(name);
}

/** @throws {RespError} There are fewer words than the command takes, or more. */
export function wrongArity(name: string): never {
  throw new RespError(`ERR wrong number of arguments for '${name.toLowerCase()}' command`);
}

// ---- numbers --------------------------------------------------------------------------------------

const NO_INTEGER = "ERR value is not an integer or out of range";
const INTEGER = /^(0|-?[1-9]\d*)$/;
const INFINITE = /^[+-]?inf(inity)?$/i;
const NO_FINITE = "ERR increment would produce NaN or Infinity";
const FLOAT = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** An integer that a number holds exactly. @throws {RespError} It is none, for which `wrong` stands. */
export function integerOf(text: string, wrong = NO_INTEGER): number {
  const value = Number(text);
  if (INTEGER.test(text) && Number.isSafeInteger(value)) return value;
  throw new RespError(wrong);
}

/** The number that is asked for. @throws {RespError} It is none, or negative. */
export function popCountOf(text: string): number {
  const wrong = "ERR value is out of range, must be positive";
  const count = integerOf(text, wrong);
  if (count >= 0) return count;
  throw new RespError(wrong);
}

/** An integer of 64 bits. @throws {RespError} It is none. */
export function int64Of(text: string, wrong = NO_INTEGER): bigint {
  if (INTEGER.test(text) && text.length <= 20) {
    const value = BigInt(text);
    if (BigInt.asIntN(64, value) === value) return value;
  }
  throw new RespError(wrong);
}

/** The new value of a counter. @throws {RespError} That is more than 64 bits hold. */
export function sumOf(value: bigint, by: bigint): bigint {
  const sum = value + by;
  if (BigInt.asIntN(64, sum) === sum) return sum;
  throw new RespError("ERR increment or decrement would overflow");
}

/** The text of a number that was increased by another. @throws {RespError} One of them is none. */
export function floatSum(
  value: string,
  by: string,
  wrong = "ERR value is not a valid float",
  infinite = NO_FINITE,
): string {
  if (!FLOAT.test(value)) throw new RespError(wrong);
  if (INFINITE.test(by)) throw new RespError(infinite);
  if (!FLOAT.test(by)) throw new RespError("ERR value is not a valid float");
  const sum = Number(value) + Number(by);
  if (!Number.isFinite(sum)) throw new RespError(NO_FINITE);
  return sum.toLocaleString("en", { useGrouping: false, maximumFractionDigits: 17 });
}

/** The begin and the end of a range, of so many. Redis counts a negative one from the end. */
export function rangeOf(first: string, last: string, length: number): [from: number, to: number] {
  const from = integerOf(first);
  const to = integerOf(last);
  return [
    Math.max(0, from < 0 ? from + length : from),
    Math.min(length, (to < 0 ? to + length : to) + 1),
  ];
}

/** @throws {RespError} A word was not understood. */
export function syntaxError(): never {
  throw new RespError("ERR syntax error");
}
