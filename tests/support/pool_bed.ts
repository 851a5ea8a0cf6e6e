/**
 * Servers and sources for tests of clients.
 */
import { type Connection, createListener, EventLoop, memoryPair } from "../../mod.ts";
import type { AddressLike, EventLoopOptions, RequestHandler } from "../../mod.ts";

/** Answers with what came. */
export function echo({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}

/** A server that runs. */
export interface Served {
  /** Its address. */
  readonly address: AddressLike;
  /** The connections that it has. */
  readonly connections: Set<Connection>;
  /** The number of connections that it had. */
  readonly count: number;
  /** Ends it, and all connections at once. */
  stop(): Promise<void>;
}

/** Begins to serve at an address, a free port unless given. */
export function serveAt(
  handler: RequestHandler<undefined> = echo,
  at: AddressLike = "127.0.0.1:0",
  options: EventLoopOptions<undefined> = {},
): Served {
  const listener = createListener(at);
  const { address } = listener;
  const connections = new Set<Connection>();
  let count = 0;
  const loop = new EventLoop(handler, {
    ...options,
    onConnect(connection) {
      count += 1;
      connections.add(connection);
      connection.addCloseCallback(() => connections.delete(connection));
      return undefined;
    },
  });
  const served = loop.serve(listener);
  return {
    address,
    connections,
    get count() {
      return count;
    },
    async stop() {
      await loop.shutdown({ timeoutMs: 0 });
      await served;
    },
  };
}

/** Asks, and returns what comes back. */
export async function ask({ reader, writer }: Connection, text: string): Promise<string> {
  writer.writeString(text);
  await writer.flush();
  await reader.wait(text.length);
  return reader.readString(text.length);
}

/** A source of connections in memory, which a test makes when it wants. */
export class MemorySource {
  /** Those that were made, the other end of each. */
  readonly peers: Connection[] = [];
  /** Dials that are under way. */
  readonly dials: PromiseWithResolvers<Connection>[] = [];
  /** The most connections that were open at once. */
  openMax = 0;
  #open = 0;
  /** Whether each is made at once. */
  isReady: boolean;

  /** A source. */
  constructor(isReady = true) {
    this.isReady = isReady;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#open;
  }

  /** What a pool calls. */
  readonly connect = (): Promise<Connection> => {
    const dial = Promise.withResolvers<Connection>();
    this.dials.push(dial);
    if (this.isReady) this.make();
    return dial.promise;
  };

  /** The dial that began first connects. */
  make(): void {
    const [ours, theirs] = memoryPair();
    this.#open += 1;
    this.openMax = Math.max(this.openMax, this.#open);
    ours.addCloseCallback(() => this.#open -= 1);
    this.peers.push(theirs);
    this.dials.shift()!.resolve(ours);
  }

  /** The dial that began first fails. */
  fail(error: unknown): void {
    this.dials.shift()!.reject(error);
  }
}
