/**
 * The transport of the connections that tests make: NETPOLL_TRANSPORT names it, and a file of
 * tests/support/transports makes them. A test says what it needs of it, and is skipped, with the
 * reason, where its connections have no such thing.
 */
import { existsSync } from "node:fs";
import process from "node:process";
import type { Connection, FromFdOptions } from "../../mod.ts";
import { root } from "./library.ts";

/** Something that connections over some transports have, and over others not. */
export type Capability =
  /** A descriptor, and with it what the kernel knows of it: options, addresses, an error. */
  | "descriptor"
  /** It is the bytes of the connection that pass there: detach(), splice, zero copy. */
  | "plain bytes"
  /** A kernel call for each receive and each send, which can be made to fail or to be short. */
  | "faults"
  /** A kernel that takes some of what nobody has read yet. */
  | "kernel buffer"
  /** An account of what the peer has taken, to the byte: without it `unsentBytes` is a bound. */
  | "exact account"
  /** A TCP address: half-close by segments, TCP_INFO, acknowledgements. */
  | "tcp"
  /** Servers that accept it, and `dial`. */
  | "listener";

/** A transport, as tests need it. */
export interface TestTransport {
  /** The capabilities that its connections lack, each with the reason. */
  readonly lacks: Readonly<Partial<Record<Capability, string>>>;
  /** Two ends of one connection on this machine, each with options of its own. */
  pair<A, B>(ours?: FromFdOptions<A>, theirs?: FromFdOptions<B>): [Connection, Connection];
  /** The accepted end, with options, and the one that dialled; over TCP where there is a choice. */
  tcpPair<C>(accepted?: FromFdOptions<C>): Promise<[Connection, Connection]>;
}

/** The name of the transport: "socket" unless the environment says otherwise. */
export const transportName: string = process.env["NETPOLL_TRANSPORT"] ?? "socket";

async function load(): Promise<TestTransport> {
  const path = `${root}tests/support/transports/${transportName}.ts`;
  if (!existsSync(path)) {
    throw new Error(`Cannot test over NETPOLL_TRANSPORT=${transportName}: there is no ${path}`);
  }
  const { transport } = await import(`file://${path}`) as { transport: TestTransport };
  return transport;
}

/** The transport that the environment has named. */
export const transport: TestTransport = await load();

/** The options of a test that needs these capabilities: it is skipped where one is lacking. */
export function needs(...capabilities: Capability[]): { skip: string | false } {
  for (const each of capabilities) {
    const reason = transport.lacks[each];
    if (reason !== undefined) return { skip: `over ${transportName}: ${reason}` };
  }
  return { skip: false };
}
