/**
 * Finds libnetpoll.so, opens it, and makes sure that it speaks our version.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { NetpollError } from "../src/core/errors.ts";
import { type Host, host } from "./host.ts";
import type { Native } from "./native.ts";
import { ABI, SYMBOLS } from "./symbols.ts";

/** Why netpoll cannot run on a platform at all, or null. */
export function unsupported(platform: string, arch: string): string | null {
  if (platform !== "linux") {
    return `netpoll needs Linux (epoll), and this is ${platform}; run it in a Linux container or virtual machine`;
  }
  if (arch !== "x64" && arch !== "arm64") {
    return `netpoll needs a 64-bit processor (x64 or arm64), and this is ${arch}`;
  }
  return null;
}

/** Where the library may lie, in the order tried. `NETPOLL_LIB` alone, if it is set. */
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

/**
 * Opens the library, trying every candidate.
 *
 * @throws {NetpollError} None could be opened; the message lists each with its reason.
 */
export function load(on: Host, base: string): Native {
  const platform = unsupported(process.platform, process.arch);
  if (platform !== null) throw new NetpollError(`Cannot load libnetpoll.so: ${platform}`);
  const paths = candidates(base, process.arch, on.env("NETPOLL_LIB"));
  const failures: string[] = [];
  for (const path of paths) {
    const opened = attempt(on, path);
    if (typeof opened !== "string") return opened;
    failures.push(`${path}: ${opened}`);
  }
  // Permission is missing for all paths alike: one sentence says it better than a list.
  const refused = on.refusal(paths[0] ?? "libnetpoll.so");
  if (refused !== null) throw new NetpollError(`Cannot load libnetpoll.so: ${refused}`);
  throw new NetpollError(
    `Cannot load libnetpoll.so; build it with "make", or name it in NETPOLL_LIB:\n  ` +
      (failures.join("\n  ") || "no place to look for it"),
  );
}

/** The library, opened when netpoll is imported. */
export const native: Native = load(host, import.meta.url);
