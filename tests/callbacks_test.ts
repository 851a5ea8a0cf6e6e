/**
 * Every callback that a user gives, failing in every way that a function can: its error comes to one
 * place, nothing ends the process, and whoever waited for the callback goes on.
 */
import { assert, assertEquals } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  configure,
  type Connection,
  ConnectionPool,
  createListener,
  datagramPair,
  dial,
  EventLoop,
  type EventLoopOptions,
  everyLoss,
  everySplit,
  type FromFdOptions,
  lengthPrefixed,
  type Listener,
  memoryPair,
  reconnecting,
  responder,
  ShardQueue,
  socketPair,
  tagged,
} from "../mod.ts";
import { config } from "../src/core/config.ts";
import { balancer } from "../src/server/load_balance.ts";
import { leaks } from "./support/leaks.ts";
import { namesIn } from "./support/names.ts";
import { NO_TLS, serverIdentity } from "./support/pki.ts";
import { soon, ticks, until } from "./support/until.ts";

// deno-lint-ignore no-explicit-any -- a callback returns whatever it likes
type Any = any;
type Failing = () => Any;
/** Has a callback fail, and says what was heard of it where its errors go. */
type Row = (failing: Failing) => Promise<unknown[]>;

const REASON = new Error("the callback failed");

/** The ways for a function to fail: at once, by a promise, and by what only looks like one. */
const WAYS: Record<string, Failing> = {
  throws: () => {
    throw REASON;
  },
  rejects: () => Promise.reject(REASON),
  "rejects later": async () => {
    await null;
    throw REASON;
  },
  "returns what throws in then": () => ({
    then() {
      throw REASON;
    },
  }),
  "returns what has no then to look at": () => ({
    get then() {
      throw REASON;
    },
  }),
  "returns what calls back at once, twice": () => ({
    then(_: unknown, reject: (reason: unknown) => void) {
      reject(REASON);
      reject(REASON);
    },
  }),
};

const codec = tagged(lengthPrefixed());

/** Calls something that fails. The error that it fails with. */
async function failure(call: () => unknown): Promise<unknown[]> {
  try {
    await soon(Promise.resolve(call()));
    return [];
  } catch (error) {
    return [error];
  }
}

/** The lines of the log while something runs. */
async function logged(use: (lines: unknown[]) => unknown): Promise<unknown[]> {
  const lines: unknown[] = [];
  const before = config.log;
  configure({ log: (line) => void lines.push(line) });
  try {
    await use(lines);
    await until(() => lines.length > 0, "a line in the log");
    await ticks(3);
  } finally {
    config.log = before;
  }
  return lines;
}

/** Both ends of a connection, of which the first has callbacks, from beginning to end. */
async function paired(
  options: FromFdOptions<Any>,
  use: (first: Connection, second: Connection) => void = () => {},
): Promise<unknown[]> {
  const heard: unknown[] = [];
  const onError = (error: unknown) => void heard.push(error);
  const [a, b] = memoryPair({ first: { onError, ...options } });
  use(a, b);
  codec.encode(b.writer, { id: 1, body: "x" });
  await b.writer.flush().catch(() => {});
  await ticks(3);
  await soon(b.close());
  await soon(a.closed.catch(() => {}));
  await ticks(3);
  return heard;
}

/** A server with callbacks, and a client that sends a line and waits for the end. */
async function visited(options: EventLoopOptions<Any>, listener: Listener): Promise<unknown[]> {
  const heard: unknown[] = [];
  const onError = (error: unknown) => void heard.push(error);
  const loop = new EventLoop<Any>(null, { onError, ...options });
  const served = loop.serve(listener);
  const client = await dial(listener.address);
  client.writer.writeString("this is no header\r\n");
  await client.writer.flush();
  await soon(client.reader.wait(1).catch(() => {}));
  await client.close({ timeoutMs: 0 });
  await soon(loop.shutdown({ timeoutMs: 0 }));
  await served;
  return heard;
}

function take({ reader }: Connection): void {
  reader.skip(reader.length);
  reader.release();
}

async function withPair(use: (a: Connection, b: Connection) => unknown): Promise<unknown[]> {
  const [a, b] = socketPair();
  const heard = await failure(() => use(a, b));
  a.reset();
  b.reset();
  return heard;
}

/** The error that a datagram socket is told. */
async function datagram(callbacks: Record<string, Failing>): Promise<unknown[]> {
  const heard: unknown[] = [];
  let calls = 0;
  const counted = Object.entries(callbacks).map(([name, call]) => [name, () => {
    calls += 1;
    return call();
  }]);
  const onError = (error: unknown) => void heard.push(error);
  const [a, b] = datagramPair({}, { onError, ...Object.fromEntries(counted) });
  a.write(new Uint8Array(1));
  await a.flush();
  await until(() => calls >= counted.length, "the datagram");
  await ticks(3);
  await Promise.all([a.close(), b.close()]);
  return heard;
}

async function pooled(pool: ConnectionPool, use: (pool: ConnectionPool) => unknown) {
  const heard = await failure(() => use(pool));
  await pool.close();
  return heard;
}

/** A source whose other ends go with it. */
const source = () => {
  const [a, b] = memoryPair();
  void a.closed.finally(() => b.close());
  return Promise.resolve(a);
};

/** By their types, and names in them: each has its error heard somewhere. */
const ROWS: Record<string, Row> = {
  "Callbacks.onPrepare": (onPrepare) =>
    visited({ onPrepare }, createListener("unix:@callbacks-prepare")),
  "Callbacks.onConnect": (onConnect) => paired({ onConnect, onRequest: take }),
  "Callbacks.onDisconnect": (onDisconnect) => paired({ onDisconnect, onRequest: take }),
  "Callbacks.onError": (onError) =>
    logged(() => paired({ onError, onRequest: () => Promise.reject(new Error("another")) })),
  RequestHandler: async (failing) =>
    [
      ...await paired({ onRequest: failing }),
      ...await paired({}, (a) => a.setOnRequest(failing)),
    ].slice(1),
  CloseCallback: (failing) => paired({ onRequest: take }, (a) => a.addCloseCallback(failing)),
  "EventLoopOptions.onHandshakeError": (onHandshakeError) =>
    logged(() => {
      const proxyProtocol = { trusted: ["127.0.0.1"] };
      return visited({ onHandshakeError }, createListener("127.0.0.1:0", { proxyProtocol }));
    }),
  Choose: (failing) =>
    failure(() =>
      balancer(failing).pick([{ index: 0, connectionCount: 0 }], { source: null, address: null })
    ),
  "ReceiveFileOptions.onBytes": (onBytes) =>
    withPair(async (a, b) => {
      a.writer.writeByte(1);
      await a.writer.flush();
      await b.receiveFile("/dev/null", 1, { onBytes });
    }),
  "SendFileOptions.onProgress": (onProgress) =>
    logged(async (lines) => {
      const sent = (a: Connection) => a.sendFile("/proc/self/exe", { length: 64, onProgress });
      lines.push(...await withPair(sent)); // it may be sent by now: then the log has the error
    }),
  Respond: (failing) => paired({ onRequest: responder(codec, failing) }),
  "ResponderOptions.onError": (onError) =>
    paired({
      onRequest: responder(codec, () => Promise.reject(new Error("another")), { onError }),
    }),
  "DatagramCallbacks.onDatagram": (onDatagram) => datagram({ onDatagram }),
  "DatagramCallbacks.onDatagrams": (onDatagrams) => datagram({ onDatagrams }),
  "DatagramCallbacks.onError": (onError) =>
    logged(async (lines) => {
      await datagram({ onError, onDatagram: () => Promise.reject(new Error("another")) });
      lines.push(REASON); // the log has one line in ten seconds of it
    }),
  WriterGetter: (failing) => withPair((a) => new ShardQueue(a).add(failing)),
  PoolSource: (failing) => pooled(new ConnectionPool(failing), (pool) => pool.acquire()),
  Probe: (probe) =>
    pooled(new ConnectionPool(source, { probe, max: 1, timeoutMs: 200 }), async (pool) => {
      (await pool.acquire()).release();
      const { connection } = await pool.acquire(); // another one: the first was refused
      throw connection.isActive ? REASON : new Error("a connection that its probe refused");
    }),
  "ReconnectingOptions.onStateChange": (onStateChange) =>
    logged(async () => {
      const client = reconnecting(source, codec, { onStateChange });
      await ticks(3);
      await client.close();
    }),
  "Configuration.log": async (log) => {
    const before = config.log;
    configure({ log });
    await paired({ onRequest: () => Promise.reject(new Error("another")) }); // there is no onError
    config.log = before;
    return [REASON]; // nobody can be told
  },
  CaseRun: async (failing) => {
    const lost = await failure(() => everyLoss(failing));
    return [...await failure(() => everySplit(failing)), ...lost].slice(1);
  },
};
if (NO_TLS === false) {
  ROWS["TlsServerOptions.chooseIdentity"] = async (chooseIdentity) => {
    const heard: unknown[] = [];
    const listener = createListener("127.0.0.1:0", {
      tls: { ...serverIdentity(), chooseIdentity },
    });
    const loop = new EventLoop(null, { onHandshakeError: (error) => void heard.push(error) });
    const served = loop.serve(listener);
    await failure(() => dial(listener.address, { tls: { verify: false, serverName: "a.test" } }));
    await until(() => heard.length > 0, "the handshake has failed");
    await soon(loop.shutdown({ timeoutMs: 0 }));
    await served;
    return heard;
  };
}
/** Those that a Worker, another process or systemd calls: they need more than one thread. */
const ELSEWHERE = [
  "ClusterOptions.onWorkerError",
  "DatagramHandlers.onDatagramSocket",
  "HandlerModule.setup",
  "SystemdOptions.onOther",
  "SystemdOptions.optionsOf",
  "TakeOptions.optionsOf",
  "Teardown",
];
/** Functions that we give, and users call. */
const OURS = ["DatagramReply"];

/** Whether it is that error, has it as a cause or in its text, or says that nobody waits for it. */
function isIt(heard: unknown): boolean {
  if (heard === REASON || heard === "Cannot wait") return true;
  if (typeof heard === "string") return heard.includes(REASON.message);
  const { message, cause } = heard as Error;
  return message.includes(REASON.message) || message.startsWith("Cannot wait ") ||
    isIt(cause ?? "");
}

for (const [name, row] of Object.entries(ROWS)) {
  for (const [way, failing] of Object.entries(WAYS)) {
    test(`${name} that ${way} is heard of, and hurts nobody`, () =>
      leaks(async () => {
        const heard = await row(failing);
        await ticks(3); // a runtime ends the process by now
        assert(heard.length > 0, "nobody has heard of it");
        assertEquals(heard.filter((each) => !isIt(each)), []);
      }));
  }
}

const read = (path: string) =>
  readFileSync(new URL(`../${path}`, import.meta.url).pathname, "utf8");

/** The functions that the public types ask for: members of theirs, and types that are one. */
function callbacksOf(text: string, names: ReadonlySet<string>): string[] {
  const members = [...text.matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)\n\}/gm)]
    .flatMap(([, type, body]) =>
      [...body!.matchAll(/^ {2}(?:readonly )?(\w+)\??: \(/gm)].map(([, name]) => [type!, name!])
    );
  const types = [...text.matchAll(/^export type (\w+)(?:<[^=]*>)? =\s+(?:[^;]*\| \()?\(/gm)];
  return [
    ...members.filter(([type]) => names.has(type!)).map((each) => each.join(".")),
    ...types.map(([, type]) => type!).filter((type) => names.has(type)),
  ];
}

test("every callback of the public API is here", () => {
  const entries = readdirSync(new URL("../src/entries", import.meta.url).pathname);
  const names = new Set(entries.flatMap((entry) => namesIn(read(`src/entries/${entry}`))));
  const files = readdirSync(new URL("../src", import.meta.url).pathname, { recursive: true });
  const paths = (files as string[]).filter((path) => path.endsWith(".ts"));
  const found = paths.flatMap((path) => callbacksOf(read(`src/${path}`), names));
  const here = [...Object.keys(ROWS), ...ELSEWHERE, ...OURS, "TlsServerOptions.chooseIdentity"];
  assertEquals([...new Set(found)].sort(), [...new Set(here)].sort());
});
