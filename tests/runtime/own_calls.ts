/**
 * A program: makes calls of the runtime's own, and prints what its sandbox says to each. It stands
 * beside tests/support/our_calls.ts, which makes netpoll's.
 */
import process from "node:process";
import { printVerdicts } from "../support/verdict.ts";

/** "host:port" as the runtime wants it; without a host it has one of its own. */
function at(address: string): { hostname?: string; port: number } {
  const colon = address.lastIndexOf(":");
  const hostname = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const port = Number(address.slice(colon + 1));
  return hostname === "" ? { port } : { hostname, port };
}

function unix(path: string): { transport: "unix"; path: string } {
  return { transport: "unix", path: path.replace(/^@/, "\0") };
}

await printVerdicts({
  connect: async (address) => (await Deno.connect(at(address))).close(),
  listen: (address) => Deno.listen(at(address)).close(),
  connectUnix: async (path) => (await Deno.connect(unix(path))).close(),
  listenUnix: (path) => Deno.listen(unix(path)).close(),
  write: (path) => Deno.openSync(path, { write: true, create: true, truncate: true }).close(),
  open: (path) => Deno.openSync(path).close(),
}, process.argv[2]!);
