/**
 * Examples that serve, run as a user runs them.
 */
import { assert } from "@std/assert";
import { start } from "./child.ts";

/** Some print an object, over several lines. */
const ADDRESS = /Listening on ([^;{\n]*(?:\{[^}]*\})?)[;\n]/;

/**
 * Starts a server at an address, calls with where it listens as it prints that ("127.0.0.1:8080", or
 * a path), and stops it with SIGINT. How it ended.
 */
export async function withExample(
  file: string,
  address: string,
  call: (at: string) => Promise<void>,
  options: { args?: readonly string[]; timeoutMs?: number } = {},
): Promise<{ code: number | null; signal: string | null; stderr: string }> {
  const { args = [], timeoutMs } = options;
  const server = start(file, { args: [address, ...args], timeoutMs });
  try {
    await call((await server.find(ADDRESS))[1]!);
    const { code, signal, stderr } = await server.stop("SIGINT");
    return { code, signal, stderr };
  } finally {
    await server.stop();
  }
}

/** The port of an address as a server prints it. */
export function portOf(at: string): number {
  const port = Number(/(?::|port: ?)([0-9]+)/.exec(at)?.[1]);
  assert(port > 0, `there is no port in "${at}"`);
  return port;
}
