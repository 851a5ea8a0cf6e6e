/**
 * A handler module for tests: does what a message says, and sends everything else back.
 */
import process from "node:process";
import { setTimeout } from "node:timers";
import type { Connection, PollerContext } from "../../mod.ts";
import { describeAddress } from "../../src/net/address.ts";
import { reachable } from "./reachable.ts";

let index = -1;
/** Of the test: [0] makes "block" go on, [1] counts Workers that block, [2] teardowns. */
let flags: Int32Array = new Int32Array(3);

export function setup(context: PollerContext): (() => void) | Promise<() => void> {
  index = context.index;
  if (context.data instanceof Int32Array) flags = context.data;
  if (context.data === "exit in setup") process.exit(7);
  if (context.data === "endless setup of 1" && index === 1) return new Promise(() => {});
  if (context.data === "bad teardown") {
    return () => {
      throw new Error("thrown in teardown");
    };
  }
  if (context.data === "endless teardown") {
    return () => new Promise<void>(() => {}) as unknown as void;
  }
  if (context.data === "exit in teardown") return () => process.exit(6);
  return () => void Atomics.add(flags, 2, 1);
}

/** Blocks the thread until the test says so, then ends it. */
function block(): void {
  Atomics.add(flags, 1, 1);
  Atomics.wait(flags, 0, 0);
  process.exit(5);
}

const acts: Record<string, () => void> = {
  throw: () => void setTimeout(() => fail(), 0),
  exit: () => process.exit(4),
  block,
};

function fail(): never {
  throw new Error(`thrown in Worker ${index}`);
}

const ANSWERS: Record<string, (connection: Connection) => string> = {
  who: () => String(index),
  shape: (connection) => reachable(connection).map(String).join(" "),
  client: ({ remoteAddress }) => describeAddress(remoteAddress),
  much: () => "much".repeat(1 << 18),
};

/** The first half of a message, which is under way until the second one is there. */
const SLOW = new TextEncoder().encode("slow");

export const options = { noDelay: true };

export function onRequest(connection: Connection): void | Promise<void> {
  const { reader, writer } = connection;
  if (reader.indexOf(SLOW) === 0) return answerRest(reader, writer);
  const text = reader.readString(reader.length, "latin1");
  reader.release();
  const act = acts[text];
  if (act !== undefined) return act();
  writer.writeString(ANSWERS[text]?.(connection) ?? text, "latin1");
  void writer.flush();
}

async function answerRest(
  reader: Connection["reader"],
  writer: Connection["writer"],
): Promise<void> {
  await reader.wait(8);
  reader.skip(4);
  writer.writeString(reader.readString(4));
  await writer.flush();
}
