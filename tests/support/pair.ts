/**
 * Two ends of one stream, either of which a test may configure.
 */
import { AssertionError } from "@std/assert";
import { Buffer } from "node:buffer";
import type { Connection, FromFdOptions } from "../../mod.ts";
import { transport } from "./transport.ts";

/** Both ends of a stream on this machine, each with options of its own. */
export function pairWith<A = undefined, B = undefined>(
  ours?: FromFdOptions<A>,
  theirs?: FromFdOptions<B>,
): [Connection, Connection] {
  return transport.pair(ours, theirs);
}

/** Both ends of a TCP connection: the accepted one, with the options, and the one that dialled. */
export function tcpPair<C = undefined>(
  accepted?: FromFdOptions<C>,
): Promise<[Connection, Connection]> {
  return transport.tcpPair(accepted);
}

/** Writes a text and flushes it. */
export function send(connection: Connection, text: string): Promise<void> {
  connection.writer.writeString(text);
  return connection.writer.flush();
}

/** Waits for a text of so many bytes, and reads it. */
export async function receive(connection: Connection, count: number): Promise<string> {
  await connection.reader.wait(count);
  const text = connection.reader.readString(count);
  connection.reader.release();
  return text;
}

/** Closes both. */
export async function closeAll(...connections: Connection[]): Promise<void> {
  await Promise.all(connections.map((each) => each.close({ timeoutMs: 0 })));
}

/** So many bytes, each of which says where it stands. */
export function pattern(count: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i++) bytes[i] = (from + i) * 31 >> 3;
  return bytes;
}

/** Both are the same bytes: for arrays that are too long to be compared one by one. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, message = ""): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = expected.findIndex((byte, i) => byte !== actual[i]);
  throw new AssertionError(
    `${message}: ${actual.length} bytes for ${expected.length}, the first to differ at ${at}`,
  );
}
