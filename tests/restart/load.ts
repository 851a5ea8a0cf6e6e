/**
 * Clients of a server that is restarted: connections of one request each, and some that stay open.
 */
import { type Connection, dial, EofError } from "../../mod.ts";
import { delay } from "../support/until.ts";

/** All that went well, and each way to lose something. */
export interface Counts {
  connections: number;
  requests: number;
  /** Connections that stay open and were told that an answer was the last. */
  told: number;
  refused: number;
  reset: number;
  lost: number;
}

/** Load at a server that is restarted. */
export interface RestartLoad {
  /** The first error of each message, to be shown. */
  readonly errors: ReadonlySet<string>;
  /** The number of processes that have answered. */
  readonly serverCount: number;
  /** Ends it, and waits for the last answers. */
  stop(): Promise<Counts>;
}

const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BLANK_LINE = new TextEncoder().encode("\r\n\r\n");
const PAUSE_MS = 20;

/** Load at a port, until it is stopped. */
export class Load implements RestartLoad {
  readonly counts: Counts = { connections: 0, requests: 0, told: 0, refused: 0, reset: 0, lost: 0 };
  /** The processes that have answered. */
  readonly #servers = new Set<string>();
  readonly errors = new Set<string>();
  readonly #port: number;
  readonly #clients: Promise<void>[] = [];
  #isOver = false;

  /** Clients that come and go, as fast as they are served, and others that stay. */
  constructor(port: number, { shortCount, keptCount }: { shortCount: number; keptCount: number }) {
    this.#port = port;
    for (let n = 0; n < shortCount; n++) this.#clients.push(this.#comeAndGo());
    for (let n = 0; n < keptCount; n++) this.#clients.push(this.#stay());
  }

  get serverCount(): number {
    return this.#servers.size;
  }

  async stop(): Promise<Counts> {
    this.#isOver = true;
    await Promise.all(this.#clients);
    return this.counts;
  }

  async #connect(): Promise<Connection | null> {
    try {
      const connection = await dial("tcp", `127.0.0.1:${this.#port}`, { readTimeoutMs: 20_000 });
      this.counts.connections += 1;
      return connection;
    } catch (error) {
      this.counts.refused += 1;
      this.errors.add(`${error}`);
      return null;
    }
  }

  /** Asks once. Whether more may be asked. */
  async #ask(connection: Connection): Promise<boolean> {
    const { reader, writer } = connection;
    try {
      writer.writeString(REQUEST);
      await writer.flush();
      await reader.waitUntil(BLANK_LINE);
      const head = new TextDecoder().decode(reader.until(BLANK_LINE));
      const bytes = Number(/Content-Length: (\d+)/.exec(head)![1]);
      await reader.wait(bytes);
      this.#servers.add(reader.readString(bytes).trim());
      reader.release();
      this.counts.requests += 1;
      return !head.includes("Connection: close");
    } catch (error) {
      if (error instanceof EofError && error.cause !== undefined) this.counts.reset += 1;
      else this.counts.lost += 1;
      this.errors.add(`${error}`);
      return false;
    }
  }

  async #comeAndGo(): Promise<void> {
    while (!this.#isOver) {
      const connection = await this.#connect();
      if (connection === null) await delay(1);
      else {
        await this.#ask(connection);
        await connection.close();
      }
    }
  }

  async #stay(): Promise<void> {
    while (!this.#isOver) {
      const connection = await this.#connect();
      if (connection === null) {
        await delay(1);
        continue;
      }
      while (await this.#ask(connection)) {
        if (this.#isOver) break;
        await delay(PAUSE_MS);
      }
      if (!this.#isOver) this.counts.told += 1;
      await connection.close();
    }
  }
}
