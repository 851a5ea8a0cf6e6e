/**
 * The runtime that this program runs on: Deno or Bun, in a version that has what netpoll needs.
 */
import { LoadError } from "../src/core/errors.ts";
import { bunHost } from "./bun.ts";
import { denoHost } from "./deno.ts";
import type { Host } from "./host.ts";

/**
 * The lowest versions that pass the tests (`make matrix`): before them, node:net of Deno takes no
 * descriptor, and Bun does not know `markAsUntransferable`.
 */
export const LOWEST: Readonly<Record<Host["name"], string>> = {
  bun: "1.4.0",
  deno: "2.8.0",
};

/** The reason why a version of a runtime will not do, or null. */
export function outdated(name: Host["name"], version: string): string | null {
  const lowest = LOWEST[name];
  // "1.10.0" is above "1.4.0"; a release candidate counts as its release.
  if (version.localeCompare(lowest, "en", { numeric: true }) >= 0) return null;
  return `it needs ${name === "bun" ? "Bun" : "Deno"} ${lowest} or newer, and this is ${version}`;
}

function choose(): Host {
  const found = denoHost ?? bunHost;
  const reason = found === null
    ? "it runs on Deno and on Bun; Node.js and others are not supported"
    : outdated(found.name, found.version);
  if (found === null || reason !== null) throw new LoadError("runtime", reason!);
  return found;
}

/** The runtime that this program runs on. */
export const host: Host = choose();
