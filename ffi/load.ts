/**
 * Finds libnetpoll.so, opens it, and makes sure that it speaks our version.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { LoadError } from "../src/core/errors.ts";
import { type Embedded, withPath } from "./embedded.ts";
import type { Host } from "./host.ts";
import { host } from "./runtime.ts";
import type { Native } from "./symbols.ts";
import { PREBUILT, SONAME } from "./prebuilt.ts";
import { ABI, SYMBOLS } from "./symbols.ts";

/** The reason why netpoll cannot run on a platform at all, or null. */
export function unsupported(platform: string, arch: string): string | null {
  if (platform !== "linux") {
    return `it needs Linux (epoll), and this is ${platform}; run it in a Linux container or virtual machine`;
  }
  if (arch !== "x64" && arch !== "arm64") {
    return `it needs a 64-bit processor (x64 or arm64), and this is ${arch}`;
  }
  return null;
}

/** The places where the library may lie, in the order tried. `NETPOLL_LIB` alone, if it is set. */
export function candidates(base: string, arch: string, named: string | undefined): string[] {
  if (named) return [named];
  // Elsewhere than in our own source tree (in a bundle, say) the same relative path would be
  // somebody else's.
  if (!/^file:.*\/ffi\/load\.[jt]s$/.test(base)) return [];
  const beside = (relative: string) => fileURLToPath(new URL(relative, base).href);
  return [beside("../libnetpoll.so"), beside(`../lib/libnetpoll-linux-${arch}.so`)];
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}

/** The version of a library that would not open in full, or null if it has none. */
function staleAbi(on: Host, path: string): number | null {
  try {
    return on.open<Pick<Native, "abi">>(path, { abi: SYMBOLS.abi }).abi();
  } catch {
    return null;
  }
}

/** Opens one candidate: the functions, or in words why not. */
export function attempt(on: Host, path: string): Native | string {
  const refused = on.refusal(path);
  if (refused !== null) return refused;
  let native: Native;
  try {
    native = on.open<Native>(path, SYMBOLS);
  } catch (error) {
    const stale = staleAbi(on, path);
    return stale === null ? firstLine(error) : describeStale(stale);
  }
  const abi = native.abi();
  return abi === ABI ? native : describeStale(abi);
}

function describeStale(abi: number): string {
  return `it has ABI ${abi} and this version needs ${ABI}; build it again with "make"`;
}

/** Opens the copy that a package carries in itself: the functions, or in words why not. */
function attemptEmbedded(on: Host, library: Embedded): Native | string {
  try {
    return withPath(on, library, (path) => {
      const opened = attempt(on, path);
      if (typeof opened === "string") throw new Error(opened);
      return opened;
    });
  } catch (error) {
    return firstLine(error);
  }
}

/** The library that this package carries in itself, for a processor; null in the repository. */
function embeddedFor(arch: string): Embedded | null {
  const packed = PREBUILT[arch];
  return packed === undefined ? null : { soname: SONAME, packed };
}

/**
 * Opens the library, trying every candidate, and then the copy in memory.
 *
 * @throws {LoadError} None could be opened; the message lists each with its reason.
 */
export function load(
  on: Host,
  base: string,
  embedded: Embedded | null = embeddedFor(process.arch),
): Native {
  const platform = unsupported(process.platform, process.arch);
  if (platform !== null) throw new LoadError("platform", platform);
  const named = on.env("NETPOLL_LIB");
  const paths = candidates(base, process.arch, named);
  const failures: string[] = [];
  for (const path of paths) {
    const opened = attempt(on, path);
    if (typeof opened !== "string") return opened;
    failures.push(`${path}: ${opened}`);
  }
  if (!named && embedded !== null) {
    const opened = attemptEmbedded(on, embedded);
    if (typeof opened !== "string") return opened;
    failures.push(`the copy in memory: ${opened}`);
  }
  // Permission is missing for all paths alike: one sentence says it better than a list.
  const refused = on.refusal(paths[0] ?? "libnetpoll.so");
  if (refused !== null && failures.every((failure) => failure.endsWith(refused))) {
    throw new LoadError("permission", refused);
  }
  throw new LoadError(
    "library",
    `no libnetpoll.so could be opened; build it with "make", or name one in NETPOLL_LIB:\n  ` +
      (failures.join("\n  ") || "no place to look for it"),
  );
}

/** The library, opened when netpoll is imported. */
export const native: Native = load(host, import.meta.url);
