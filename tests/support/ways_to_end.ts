/**
 * The ways in which the time of a server's connections comes to its end.
 */
import type {
  Connection,
  EventLoopOptions,
  RequestHandler,
  ShutdownOptions,
  ShutdownResult,
} from "../../mod.ts";
import { serveHandler, type TestServer } from "./echo_server.ts";
import { type FakeClock, withFakeClock } from "./fake_clock.ts";
import { leaks } from "./leaks.ts";
import { soon, until } from "./until.ts";

const LIFETIME_MS = 10_000;

/** Ends it. */
export interface Way {
  readonly name: string;
  /** The words of the errors. */
  readonly why: RegExp;
  /** None for a lifetime. */
  readonly shutdown: ShutdownOptions | null;
}

/** All of them. */
export const WAYS: readonly Way[] = [
  { name: "lifetimeMs has passed", why: /older than 10000 ms/, shutdown: null },
  { name: "shutdown() begins", why: /shuts down/, shutdown: {} },
  { name: "shutdown({ timeoutMs }) begins", why: /shuts down/, shutdown: { timeoutMs: 60_000 } },
];

/** A server whose connections are to end. */
export class EndingServer {
  readonly server: TestServer<undefined>;
  readonly fake: FakeClock;
  /** Those that it accepted. */
  readonly connections: Connection[] = [];
  readonly #way: Way;
  #shutdown: Promise<ShutdownResult> | null = null;

  constructor(
    way: Way,
    fake: FakeClock,
    handler: RequestHandler<undefined> | null,
    options: EventLoopOptions,
  ) {
    this.#way = way;
    this.fake = fake;
    const lifetimeMs = way.shutdown === null ? LIFETIME_MS : 0;
    this.server = serveHandler(handler, {
      lifetimeMs,
      ...options,
      onPrepare: (connection) => void this.connections.push(connection) as undefined,
    });
  }

  /** The time of its connections is over. */
  async end(): Promise<void> {
    if (this.#way.shutdown === null) await this.fake.advance(1.02 * LIFETIME_MS);
    else this.#shutdown = this.server.loop.shutdown(this.#way.shutdown);
  }

  /** Nothing is left. How many connections were cut, as far as somebody says so. */
  async over(): Promise<number> {
    await until(() => this.server.loop.connectionCount === 0, "every connection goes");
    return this.#shutdown === null ? 0 : (await soon(this.#shutdown)).cut;
  }
}

/** Runs a test with a server, on a clock of its own, for one way to end. */
export function ending(
  way: Way,
  handler: RequestHandler<undefined> | null,
  body: (server: EndingServer) => Promise<void>,
  options: EventLoopOptions = {},
): Promise<void> {
  return leaks(() =>
    withFakeClock(async (fake) => {
      const ends = new EndingServer(way, fake, handler, options);
      await using _ = ends.server;
      await body(ends);
    })
  );
}
