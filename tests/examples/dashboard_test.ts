import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { type Frame, frameOf } from "../../examples/dashboard/frame.ts";
import { type ClusterMetrics, configure, metrics } from "../../mod.ts";
import { withPage } from "../support/browser.ts";
import { type Ended, run, start } from "../support/child.ts";
import { portOf } from "../support/example.ts";
import { lacks } from "../support/tool.ts";
import { delay } from "../support/until.ts";

const FILE = "examples/dashboard.ts";
const NO_CHROMIUM = lacks("chromium");

interface Dashboard {
  readonly echoPort: number;
  readonly page: string;
  /** Interrupts it, and waits for its end. */
  stop(): Promise<Ended>;
}

/** Runs the example while it looks, and interrupts it. Checks that it ends in order. */
async function withDashboard(look: (at: Dashboard) => Promise<void>): Promise<void> {
  const args = ["localhost:0", "localhost:0", "--interval", "100"];
  const server = start(FILE, { args, timeoutMs: 80_000 });
  try {
    const echoPort = portOf((await server.find(/Listening on (.*)\n/))[1]!);
    const page = (await server.find(/Look at (http:\S+);/))[1]!;
    const stop = () => server.stop("SIGINT");
    await look({ echoPort, page, stop });
    const { code, signal, stderr } = await stop();
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  } finally {
    await server.stop();
  }
}

async function request(url: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(url, resolve).on("error", reject);
  return await promise;
}

/** The events of the stream as they come. */
async function* framesOf(page: string): AsyncGenerator<Frame> {
  const response = await request(`${page}/events`);
  assertEquals(response.headers["content-type"], "text/event-stream");
  let text = "";
  for await (const chunk of response) {
    const events = (text + chunk).split("\n\n");
    text = events.pop()!;
    for (const event of events) if (event.startsWith("data: ")) yield JSON.parse(event.slice(6));
  }
}

async function next(frames: AsyncGenerator<Frame>): Promise<Frame> {
  const { value, done } = await frames.next();
  assert(!done, "the stream has ended");
  return value;
}

/** True when the frame has figures of every Worker. */
function haveAllAnswered({ pollers }: Frame): boolean {
  return pollers.every(({ callsPerSecond }) => callsPerSecond !== null);
}

/** Sends a message and reads it back. */
async function echo(socket: Socket, message: Buffer): Promise<void> {
  socket.write(message);
  let bytes = 0;
  while (bytes < message.length) bytes += (await once(socket, "data"))[0].length;
}

test("examples/dashboard.ts tells what was sent, and ends while somebody looks", () =>
  withDashboard(async ({ echoPort, page }) => {
    const frames = framesOf(page);
    let last = await next(frames);
    // A Worker that is starting does not answer yet.
    while (!haveAllAnswered(last)) last = await next(frames);
    assertEquals([last.callsPerSecond, last.times.handler, last.connections.open], [0, null, 0]);
    const clients: Socket[] = [];
    const message = Buffer.alloc(100, "x");
    while (clients.length < 3) {
      const client = connect(echoPort, "localhost");
      await once(client, "connect");
      clients.push(client);
      for (let i = 0; i < 50; i++) await echo(client, message);
    }
    const sums = { calls: 0, received: 0, sent: 0, accepted: 0 };
    let isWhole = true;
    while (sums.calls < 150 || sums.sent < 15_000 || last.connections.open < 3) {
      const frame = await next(frames);
      isWhole = haveAllAnswered(frame);
      if (!isWhole) break; // on a busy machine a Worker answers too late, and is missing in the sums
      const seconds = (frame.atMs - last.atMs) / 1000;
      sums.calls += Math.round(frame.callsPerSecond * seconds);
      sums.received += Math.round(frame.receivedBytesPerSecond * seconds);
      sums.sent += Math.round(frame.sentBytesPerSecond * seconds);
      sums.accepted += Math.round(frame.connections.acceptedPerSecond * seconds);
      assertEquals(frame.times.handler === null, frame.callsPerSecond === 0);
      last = frame;
    }
    if (isWhole) {
      assertEquals(sums, { calls: 150, received: 15_000, sent: 15_000, accepted: 3 });
    }
    while (!haveAllAnswered(last) || last.connections.open < 3 || last.tcp === null) {
      last = await next(frames);
    }
    assertEquals(last.pollers.reduce((sum, { connections }) => sum + connections, 0), 3);
    assertEquals(last.tcp?.sampled, 3);
    assert(last.tcp!.rttP50 > 0 && last.memory.residentBytes > 1e6);
    for (const client of clients) client.destroy();
    while (last.connections.open > 0) last = await next(frames);
  }));

test("examples/dashboard.ts serves its page, and what top.ts asks for, and nothing else", () =>
  withDashboard(async ({ page }) => {
    for (const [path, type] of [["/", "text/html"], ["/echarts.js", "text/javascript"]]) {
      const response = await request(page + path);
      assertEquals(response.statusCode, 200);
      assert(response.headers["content-type"]?.startsWith(type!));
      await text(response);
    }
    const at = new URL(page).host;
    const top = await run("examples/top.ts", { args: [at, "--once", "--interval", "20"] });
    assertEquals([top.code, top.stderr], [0, ""]);
    // A Worker may be starting yet, and has no answer then.
    const pollers =
      /^connections +0 open.*\npollers +0: 0(?: \(no answer\))? +1: 0(?: \(no answer\))?$/m;
    assertMatch(top.stdout, pollers);
    for (const path of ["/frame.ts", "/../dashboard.ts", "/constructor", "/%2e%2e/mod.ts"]) {
      const response = await request(page + path);
      assertEquals(response.statusCode, 404, path);
      await text(response);
    }
  }));

test("examples/dashboard.ts --help says how, and a wrong number ends it with the same", async () => {
  const help = await run(FILE, { args: ["--help"] });
  assertEquals([help.code, help.stderr], [0, ""]);
  assertMatch(help.stdout, /^Usage: dashboard\.ts /);
  for (const args of [["--interval", "1"], ["--pollers", "x"], ["--port", "1"], ["a:0", "b:x"]]) {
    const { code, stderr } = await run(FILE, { args });
    assertEquals([code, stderr.includes("Usage: dashboard.ts ")], [2, true], args.join(" "));
  }
});

test(
  "examples/dashboard.ts shows figures in a browser, and says when the server has gone",
  { skip: NO_CHROMIUM },
  () =>
    withDashboard(({ echoPort, page, stop }) =>
      withPage(page, async ({ evaluate, complaints }) => {
        const state = "document.getElementById('state')?.textContent";
        const open = "document.querySelector('dd')?.firstChild.textContent";
        const client = connect(echoPort, "localhost");
        await once(client, "connect");
        while (await evaluate(open) !== "1") await echo(client, Buffer.from("hello"));
        assertEquals(await evaluate(state), "Live");
        assertEquals(await evaluate("document.querySelectorAll('canvas').length"), 4);
        assertEquals(complaints, []);
        client.destroy();
        await stop();
        while (!/does not answer/.test(await evaluate(state))) await delay(20);
      })
    ),
);

/** A cluster of so many pollers, each of which counts as this thread; null is one without an answer. */
function clusterOf(...answers: boolean[]): ClusterMetrics {
  const own = metrics();
  const pollers = answers.map((isThere, index) => ({
    index,
    connectionCount: 1,
    pendingCount: 0,
    metrics: isThere ? metrics() : null,
  }));
  return { total: own, acceptor: own, pollers };
}

test("frameOf() takes nobody's silence for nothing, and no new Worker for less than nothing", () => {
  configure({ measure: true });
  try {
    const [before, now] = [clusterOf(true, false), clusterOf(true, true)];
    const quiet = frameOf(now, before, 1000);
    assertEquals(quiet.pollers.map((one) => one.callsPerSecond), [0, null]);
    assertEquals(quiet.times, { handler: null, wait: null, turn: null });
    before.pollers[0]!.metrics!.calls.receive.bytes += 1000; // then the Worker was replaced
    assertEquals(frameOf(now, before, 1000).receivedBytesPerSecond, 0);
    now.total.timeouts.read = 3;
    const timeouts = frameOf(now, before, 1000).troubles.find(({ name }) => name === "Timeouts");
    assertEquals([timeouts?.total, timeouts?.kinds], [3, "read 3"]);
  } finally {
    configure({ measure: false });
  }
});
