/**
 * Servers and other programs of a bench.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Command, Program } from "../../scripts/program.ts";

export { type Command, Program, run } from "../../scripts/program.ts";

/** A server has so long to listen on the port that it was told, in milliseconds. */
const LISTEN_MS_MAX = 20_000;

/** A server that listens on a port of 127.0.0.1. */
export type Server = Program & { readonly port: number };

/** The path of a file of the project, from its top. */
export function projectPath(relative: string): string {
  return fileURLToPath(new URL(`../../${relative}`, import.meta.url).href);
}

/** Starts a server and waits until it has printed "listening PORT", after whatever else. */
export async function startServer(command: Command): Promise<Server> {
  const program = new Program(command);
  const [, port] = await program.find(/^listening (\d+)\n/m);
  return Object.assign(program, { port: Number(port) });
}

/** The figures that a server tells as a line of JSON when it gets SIGUSR2. */
export async function ask<T>(server: Server): Promise<T> {
  server.signal("SIGUSR2");
  return JSON.parse(await server.line());
}

/** A port of 127.0.0.1 that is free now, for servers that cannot choose one. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Starts a server that was told its port, and waits until it listens there. */
export async function startServerAt(command: Command, port: number): Promise<Server> {
  const program = new Program(command);
  const end = performance.now() + LISTEN_MS_MAX;
  while (!await listens(port)) {
    if (program.outcome !== null) await program.finish();
    if (performance.now() > end) throw new Error(`Nobody listens on ${port}: ${program.output}`);
    await setTimeout(10);
  }
  return Object.assign(program, { port });
}

/** True when somebody listens on a port of 127.0.0.1. */
export async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Starts a program that prints "ready" and then waits for the end of its standard input. */
export async function startHeld(command: Command): Promise<{ finish(): Promise<string> }> {
  const program = new Program({ ...command, hasInput: true });
  await program.find(/^ready\n/);
  return {
    finish() {
      program.endInput();
      return program.finish();
    },
  };
}
