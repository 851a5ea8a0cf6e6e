/**
 * The exit that a runtime has under its own name.
 */
import process from "node:process";

const own = (globalThis as { Deno?: { exit(code: number): never } }).Deno;

/** Ends the process by `Deno.exit`; by `process.exit` where there is no other. */
export function ownExit(code: number): never {
  return own === undefined ? process.exit(code) : own.exit(code);
}
