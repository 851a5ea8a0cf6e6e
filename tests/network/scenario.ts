/**
 * What two programs do over a bad network: one serves, the other calls.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Connection,
  createListener,
  dial,
  type DialOptions,
  EventLoop,
  type EventLoopOptions,
  type ListenerOptions,
  type RequestHandler,
} from "../../mod.ts";
import { SERVER_HOST } from "./bed.ts";
import { Source } from "./source.ts";
import type { Outcome } from "./trial.ts";

/** What there is to do. */
export interface Work {
  /** How many bytes go each way. */
  readonly bytes: number;
  /** What they, and all that is by chance, are made from. */
  readonly seed: number;
  /** Says what becomes of packets from now on, in the words of `relay.c`. Resolves when it is so. */
  link(there: string, back: string): Promise<void>;
}

/** What was counted, by name. */
export type Figures = Readonly<Record<string, number | string>>;

/** A server that runs. */
export interface Serving {
  /** The client is done, or dead: ends, and fails if anything was not as it should be. */
  stop(): Promise<Figures | void>;
}

/** A client and its server. */
export interface Scenario {
  /** What it is, in a few words. */
  readonly title: string;
  /** It makes a network of its own: no condition is set besides. */
  readonly isOwnNetwork?: boolean;
  /** It dials all the time, which fails at once where there is no route. */
  readonly needsRoute?: boolean;
  /** The programs of others that it needs. */
  readonly tools?: readonly string[];
  /** The least that makes sense, in bytes, whatever is asked for. */
  readonly bytesMin?: number;
  /** The most. */
  readonly bytesMax?: number;
  /** It sends no TCP. */
  readonly isOfDatagrams?: boolean;
  /** The interfaces put neighbouring datagrams together as they arrive (GRO), as network cards do. */
  readonly isMerging?: boolean;
  /** Fails unless what both ends have counted agrees with what the network did. */
  check?(outcome: Outcome): void;
  /** Listens at PORT. */
  serve(work: Work): Serving | Promise<Serving>;
  /** Returns when all is done, with every connection closed. */
  call(work: Work): Promise<Figures | void>;
}

/** Where a server listens. Each bed has addresses of its own, hence ports of its own. */
export const PORT = 7000;
const ADDRESS = `${SERVER_HOST}:${PORT}`;

/**
 * For ever. Where a third of the packets is lost a minute may pass before a byte is acknowledged; then
 * the kernel alone would go on, and it gives up what nobody has open after 100 s (tcp_orphan_retries).
 */
const CLOSE_TIMEOUT_MS = 0;

/** Words of `relay.c`: no packet passes, */
export const CUT = "cut=1";
/** and all do. */
export const HEALED = "";

/** Runs something with a file of so many bytes of a seed. */
export async function withFile<T>(
  { bytes, seed }: Pick<Work, "bytes" | "seed">,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "netpoll-network-"));
  try {
    const path = join(directory, "stream");
    writeFileSync(path, new Source(seed).take(bytes));
    return await use(path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** A loop that serves at PORT, and shuts down in order when it is stopped. */
export function serveWith<C = undefined>(
  onRequest: RequestHandler<C> | null,
  options: EventLoopOptions<C> = {},
  listenOptions: ListenerOptions = {},
): Serving & { readonly loop: EventLoop<C> } {
  const errors: unknown[] = [];
  const loop = new EventLoop<C>(onRequest, {
    closeTimeoutMs: CLOSE_TIMEOUT_MS,
    onError: (error) => errors.push(error),
    ...options,
  });
  const served = loop.serve(createListener("tcp", `0.0.0.0:${PORT}`, listenOptions));
  return {
    loop,
    async stop() {
      await loop.shutdown();
      await served;
      if (errors.length > 0) throw new AggregateError(errors, `a handler failed: ${errors[0]}`);
    },
  };
}

/** An address where nobody is. */
export const NOBODY = "192.0.2.9:7000";

/** Dials the server of the bed. */
export function call(options: DialOptions = {}): Promise<Connection> {
  return dial("tcp", ADDRESS, { closeTimeoutMs: CLOSE_TIMEOUT_MS, ...options });
}

/** Sends everything back as it comes, until the peer ends its side. */
export async function echo({ reader, writer }: Connection): Promise<void> {
  writer.writeBinary(reader.next(reader.length));
  await writer.flush();
  reader.release();
}
