/**
 * The command line of an example that serves: where it listens, its own options, `--help`.
 */
import process from "node:process";
import { parseArgs, type ParseArgsConfig } from "node:util";
import { lineOf } from "./one_line.ts";
import {
  createDatagramSocket,
  createListener,
  type DatagramOptions,
  type DatagramSocket,
  type Listener,
  type ListenerOptions,
  NetpollError,
} from "../mod.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** The options of every server. */
const SERVER_OPTIONS = {
  host: { type: "string" },
  port: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

const SERVER_USAGE = `
  HOST:PORT     where to listen; the host is this machine alone unless given
  --host HOST   the same in two options
  --port PORT
  --help        prints this`;

/** The arguments of a server. */
export interface Arguments<T extends Options> {
  /** The address to listen on: "localhost:11211". */
  readonly at: string;
  /** The arguments behind the address, such as files; not more than were allowed. */
  readonly operands: readonly string[];
  /** Its own options. */
  readonly values: ReturnType<typeof parseArgs<{ options: T }>>["values"];
}

/** Ends the program with one line that says why. */
export function fail(error: unknown, status = 1): never {
  console.error(lineOf(error) ?? (error instanceof Error ? error.message : error));
  process.exit(status);
}

/**
 * Reads the arguments: `[HOST:PORT]`, or `--host` and `--port`, and options of its own. The program
 * ends here after `--help`, and where the arguments make no sense.
 */
export function readArguments<const T extends Options>(
  usage: string,
  port: number,
  options: T,
  operandsMax = 0,
): Arguments<T> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { ...options, ...SERVER_OPTIONS },
    });
    const given = values as { host?: string; port?: string; help?: boolean };
    if (given.help) {
      console.log(usage + SERVER_USAGE);
      process.exit(0);
    }
    const [at = atOf(given.host ?? "localhost", given.port ?? port), ...operands] = positionals;
    const [extra] = operands.slice(operandsMax);
    if (extra !== undefined) throw new Error(`Cannot use "${extra}": --help says how`);
    return { at, operands, values: values as Arguments<T>["values"] };
  } catch (error) {
    return fail(error, 2);
  }
}

/** The number that an option has. The program ends here where it is none, or out of range. */
export function numberOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  return fail(`Cannot use --${name} ${text}: it is a whole number from ${min} to ${max}`, 2);
}

/** Passes on a result. The call that throws ends the program: a kernel's refusal, or a bad argument. */
export function orFail<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    return fail(error, error instanceof NetpollError ? 1 : 2);
  }
}

/** Listens there. The program ends here where that cannot be, as when the port is in use. */
export function listen(at: string, options: ListenerOptions = {}): Listener {
  return orFail(() => createListener("tcp", at, options));
}

/** Takes datagrams there, with a handler; says so, and how to try it. It ends here likewise. */
export function listenDatagrams(
  at: string,
  options: DatagramOptions,
  tryIt: (host: string, port: number) => string,
): DatagramSocket {
  const socket = orFail(() => createDatagramSocket("udp", at, options));
  const { hostname, port } = socket.localAddress;
  console.log(
    `Listening on ${atOf(hostname, port)}; Ctrl-C stops it\nTry: ${tryIt(hostname, port)}`,
  );
  return socket;
}

/** Resolves at Ctrl-C, or at SIGTERM, from this call on. A second one ends the process at once. */
export function stopAsked(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  return promise;
}

/** An address in one text: those of IPv6 are in brackets. */
export function atOf(host: string, port: number | string): string {
  return /^[^[].*:/.test(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The host and the port that a listener has; it had no port before when it was asked for any. */
export function placeOf({ address }: Listener): { host: string; port: number; at: string } {
  if (address.transport !== "tcp") return fail("Cannot serve here: this is no address of TCP", 2);
  const { hostname: host, port } = address;
  return { host, port, at: atOf(host, port) };
}
