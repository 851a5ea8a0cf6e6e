/**
 * Where the library and its source lie, and other libraries to try the loader with.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The root of the repository, with its final slash. */
export const root = fileURLToPath(new URL("../..", import.meta.url).href);

/** libnetpoll.c. */
export const sourcePath = `${root}libnetpoll.c`;

/** The library that the tests have loaded. */
export const libraryPath = process.env["NETPOLL_LIB"] ?? `${root}libnetpoll.so`;

/** A new directory, for as long as the call runs. */
export async function withDirectory<T>(call: (path: string) => T | Promise<T>): Promise<T> {
  const path = mkdtempSync(join(tmpdir(), "netpoll-"));
  try {
    return await call(path);
  } finally {
    rmSync(path, { recursive: true });
  }
}

/** Compiles a library into a directory: its path, or null where there is no compiler. */
export function compile(directory: string, source: string, ...options: string[]): string | null {
  const from = join(directory, "library.c");
  const to = join(directory, "library.so");
  writeFileSync(from, source);
  const cc = spawnSync("cc", ["-shared", "-fPIC", ...options, "-o", to, from], {
    encoding: "utf8",
  });
  if (cc.error !== undefined) return null;
  if (cc.status !== 0) throw new Error(`Cannot compile ${from}: ${cc.stderr}`);
  return to;
}
