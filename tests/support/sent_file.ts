/**
 * Files that are sent, and what comes of them.
 */
import { writeFileSync } from "node:fs";
import type { Connection } from "../../mod.ts";
import { leaks } from "./leaks.ts";
import { withDirectory } from "./library.ts";
import { pattern } from "./pair.ts";
import { soon } from "./until.ts";

/** A file of so many bytes of the pattern, for as long as the call runs; nothing may be left over. */
export function withFile(
  byteCount: number,
  call: (path: string, bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  return leaks(() =>
    withDirectory(async (directory) => {
      const path = `${directory}/file`;
      const bytes = pattern(byteCount);
      writeFileSync(path, bytes);
      await call(path, bytes);
    })
  );
}

/** Reads so many bytes. */
export async function take(
  { reader }: Connection,
  count: number,
  pause?: () => Promise<void>,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    await soon(reader.wait(1), `more than ${at} of ${count} bytes`);
    at += reader.readInto(bytes.subarray(at));
    reader.release();
    await pause?.();
  }
  return bytes;
}
