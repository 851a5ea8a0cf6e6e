/**
 * Files that are received, and what came of them.
 */
import { readFileSync } from "node:fs";
import type { Connection } from "../../mod.ts";
import { leaks } from "./leaks.ts";
import { withDirectory } from "./library.ts";
import { assertBytes } from "./pair.ts";

/** A path where no file is, for as long as the call runs; nothing may be left over. */
export function withPath(call: (path: string, directory: string) => Promise<void>): Promise<void> {
  return leaks(() => withDirectory((directory) => call(`${directory}/file`, directory)));
}

/** Writes a text, bytes and a text, and flushes them. Rejects never: the other end may be closed. */
export async function pour(
  { writer }: Connection,
  head: string,
  bytes: Uint8Array,
  tail: string,
): Promise<void> {
  writer.writeString(head);
  writer.writeBinary(bytes);
  writer.writeString(tail);
  await writer.flush().catch(() => {});
}

/** The file has these bytes, and no other. */
export function assertFile(path: string, expected: Uint8Array): void {
  assertBytes(readFileSync(path), expected, path);
}
