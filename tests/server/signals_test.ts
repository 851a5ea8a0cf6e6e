import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { EventLoop, shutdownOnSignals, type SignalOptions } from "../../mod.ts";
import { start } from "../support/child.ts";
import { root } from "../support/library.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, until } from "../support/until.ts";

/** A server in a process of its own. */
class Server {
  readonly #program;

  constructor(options: SignalOptions & { forget?: boolean; alone?: boolean } = {}) {
    const args = [JSON.stringify(options)];
    this.#program = start(`${root}tests/support/signalled_server.ts`, { args });
  }

  get output(): string {
    return this.#program.output;
  }

  async connect(): Promise<RawPeer> {
    await until(() => /port \d+\n/.test(this.output), `the port, not ${this.output}`);
    const port = Number(/port (\d+)/.exec(this.output)![1]);
    return new RawPeer({ transport: "tcp", hostname: "127.0.0.1", port });
  }

  kill(signal: NodeJS.Signals): void {
    this.#program.signal(signal);
  }

  /** Waits for the end: the status, or the signal that ended it. */
  async end(): Promise<number | string | null> {
    const { code, signal } = await soon(this.#program.ended, "the process ends");
    return code ?? signal;
  }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`shutdownOnSignals() drains and exits with 0, at ${signal}`, async () => {
    const server = new Server();
    using idle = await server.connect();
    using busy = await server.connect();
    busy.send("slow");
    await until(() => server.output.includes("busy"), "the handler");
    server.kill(signal);
    await idle.receiveAll(); // the idle one goes at once
    assert(!busy.isEnded);
    busy.send("more");
    assertEquals(await busy.receiveAll(), "answer to slow");
    assertEquals(await server.end(), 0);
  });
}

test("shutdownOnSignals() exits at once, at the second signal", async () => {
  for (const [second, status] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    const server = new Server();
    using idle = await server.connect();
    using busy = await server.connect();
    busy.send("slow");
    await until(() => server.output.includes("busy"), "the handler");
    server.kill("SIGTERM");
    await idle.receiveAll();
    server.kill(second);
    assertEquals(await server.end(), status);
    assert(busy.isReset);
  }
});

test("shutdownOnSignals() cuts what is busy after its time, says so, and exits with 0", async () => {
  const server = new Server({ timeoutMs: 50 });
  using busy = await server.connect();
  busy.send("slow");
  await until(() => server.output.includes("busy"), "the handler");
  server.kill("SIGTERM");
  assertEquals(await server.end(), 0);
  assert(busy.isReset);
  assertStringIncludes(server.output, "at SIGTERM 1 connection was cut by a reset");
});

test("shutdownOnSignals() leaves the process to the program, with exit: false", async () => {
  const server = new Server({ exit: false });
  using _peer = await server.connect();
  server.kill("SIGINT");
  assertEquals(await server.end(), 0);
  assertStringIncludes(server.output, "served\n");
});

test("shutdownOnSignals() heeds the signals it is told and no others", async () => {
  const server = new Server({ signals: ["SIGHUP"] });
  using peer = await server.connect();
  peer.send("ping");
  assertEquals(await peer.receive(14), "answer to ping");
  server.kill("SIGHUP");
  assertEquals(await server.end(), 0);

  const other = new Server({ signals: ["SIGHUP"] });
  using _other = await other.connect();
  other.kill("SIGTERM");
  assertEquals(await other.end(), "SIGTERM");
});

test("shutdownOnSignals() can be taken back", async () => {
  const server = new Server({ forget: true });
  using _peer = await server.connect();
  server.kill("SIGTERM");
  assertEquals(await server.end(), "SIGTERM");
});

test("shutdownOnSignals() does not keep the process, when the loop was shut down otherwise", async () => {
  const server = new Server({ alone: true });
  assertEquals(await server.end(), 0);
  assertStringIncludes(server.output, "served\n");
});

test("shutdownOnSignals() adds one listener for each signal, and takes back its own only", () => {
  const counts = () => ["SIGINT", "SIGTERM"].map((signal) => process.listenerCount(signal));
  const before = counts();
  const [first, second] = [new EventLoop(null), new EventLoop(null)];
  const forgetFirst = shutdownOnSignals(first);
  const forgetSecond = shutdownOnSignals(second);
  assertEquals(counts(), before.map((count) => count + 2));
  forgetFirst();
  assertEquals(counts(), before.map((count) => count + 1));
  forgetSecond();
  forgetSecond();
  assertEquals(counts(), before);
});

test("shutdownOnSignals() refuses a time and signals that mean nothing, and listens to none", () => {
  const loop = new EventLoop(null);
  const wrong: Record<string, unknown>[] = [
    ...["5", NaN, -1, null, {}, 5n].map((timeoutMs) => ({ timeoutMs })),
    ...["SIGTERM", 5, null, {}, ["SIGFOO"], ["SIGTERM", 15], [null]].map((signals) => ({
      signals,
    })),
  ];
  const before = process.listenerCount("SIGTERM");
  for (const options of wrong) {
    const error = assertThrows(() => shutdownOnSignals(loop, options as SignalOptions)) as Error;
    assert(error instanceof TypeError || error instanceof RangeError, String(error));
    assert(/^Cannot (shut down within|wait for signal)/.test(error.message), error.message);
  }
  assertEquals(process.listenerCount("SIGTERM"), before);
});
