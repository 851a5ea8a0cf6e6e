/**
 * Options: every function that takes some, with a value of a wrong kind in any of them.
 */
import { assert, assertEquals } from "@std/assert";
import {
  Cluster,
  configure,
  Connection,
  createListener,
  delimited,
  dial,
  EventLoop,
  fixedLength,
  frames,
  lengthPrefixed,
  lines,
  Multiplexer,
  pipe,
  prometheus,
  resp,
  responder,
  shutdownOnSignals,
  socketPair,
  tagged,
  varintPrefixed,
} from "../../mod.ts";
import { checkHandlerModule } from "../../src/server/handler_module.ts";
import { metrics } from "../../mod.ts";
import { descriptorCount } from "../support/leaks.ts";
import type { Random } from "../support/random.ts";
import type { Target } from "./target.ts";

/** Anything at all: what a program without types may pass. */
// deno-lint-ignore no-explicit-any -- mistakes have no types
type Any = any;

/** The kinds of values that an option takes. */
type Kind = "number" | "boolean" | "function" | "word" | "signal";

const codec = tagged(lengthPrefixed());
const ignore = () => undefined;
const NOWHERE = new URL("file:///nowhere.ts");

/** Values that are of no kind but their own. */
const VALUES: readonly (readonly [Kind | "none", unknown])[] = [
  ["none", NaN],
  ["none", 5n],
  ["none", {}],
  ["none", []],
  ["none", Symbol("x")],
  ["none", new Date()],
  ["none", "no such word"],
  ["none", -7],
  ["function", () => 0],
  ["boolean", true],
  ["boolean", false],
];

const DEADLINES = ["readTimeoutMs", "writeTimeoutMs", "idleTimeoutMs", "lifetimeMs"];
const BOUNDS = ["messageBytesMax"];
const CALLBACKS = ["onConnect", "onDisconnect", "onError"];
/** It looks like PEM, and is looked at after all options. */
const TEXT = "-----BEGIN NOTHING-----";
const SECRETS = {
  number: ["handshakeTimeoutMs", "keyLogFd"],
  word: ["certificate", "key", "authorities", "alpnProtocols", "versionMin", "versionMax"],
};

/** A function that takes options: how it is called, and what each of them takes. */
interface Factory {
  readonly call: (options: Any, a: Connection, b: Connection) => unknown;
  readonly options: Readonly<Partial<Record<Kind, readonly string[]>>>;
}

const FACTORIES: Readonly<Record<string, Factory>> = {
  EventLoop: {
    call: (options) => new EventLoop(null, options),
    options: {
      number: [
        ...DEADLINES,
        ...BOUNDS,
        "connectionsMax",
        "connectionsPerAddressMax",
        "handshakesMax",
      ],
      boolean: ["noDelay"],
      function: [...CALLBACKS, "onPrepare", "onHandshakeError"],
      word: ["zeroCopy"],
    },
  },
  fromFd: {
    call: (options, a) => Connection.fromFd(a.fd, options),
    options: { number: [...DEADLINES, ...BOUNDS], function: CALLBACKS, word: ["zeroCopy"] },
  },
  dial: {
    call: (options) => dial("tcp", "127.0.0.1:9", options),
    options: {
      number: [...DEADLINES, "timeoutMs", "sendBufferBytes", "priority"],
      boolean: ["noDelay", "freeBind"],
      function: CALLBACKS,
      word: ["zeroCopy"],
      signal: ["signal"],
    },
  },
  createListener: {
    call: (options) => createListener("tcp", "127.0.0.1:0", options),
    options: {
      number: ["backlog", "deferAcceptMs", "receiveBufferBytes", "typeOfService", "userTimeoutMs"],
      boolean: ["reusePort", "noDelay", "v6Only"],
    },
  },
  "createListener tls": {
    call: (options) =>
      createListener("tcp", "127.0.0.1:0", { tls: { certificate: TEXT, key: TEXT, ...options } }),
    options: {
      number: SECRETS.number,
      function: ["chooseIdentity"],
      word: [...SECRETS.word, "clientCertificate"],
    },
  },
  "dial tls": {
    call: (options) =>
      dial("tcp", "127.0.0.1:9", { tls: { certificate: TEXT, key: TEXT, ...options } }),
    options: { ...SECRETS, boolean: ["verify"] },
  },
  startTls: {
    call: (options, a) => a.startTls("client", { serverName: "a", ...options }),
    options: { ...SECRETS, boolean: ["verify"] },
  },
  lengthPrefixed: {
    call: lengthPrefixed,
    options: {
      number: ["frameBytesMax", "lengthBytes", "offsetBytes", "stripBytes"],
      word: ["byteOrder"],
    },
  },
  varintPrefixed: { call: varintPrefixed, options: { number: ["frameBytesMax"] } },
  delimited: {
    call: (options) => delimited(10, options),
    options: { number: ["frameBytesMax"], boolean: ["strip"] },
  },
  lines: {
    call: lines,
    options: { number: ["frameBytesMax"], boolean: ["strip"], word: ["ending"] },
  },
  resp: {
    call: resp as (options: Any) => unknown,
    options: { number: ["frameBytesMax", "version"], boolean: ["inline"], word: ["bulk"] },
  },
  tagged: { call: (options) => tagged(lengthPrefixed(), options), options: { word: ["body"] } },
  frames: {
    call: (options, a) => frames(a, lines(), options),
    options: { word: ["memory"], signal: ["signal"] },
  },
  fixedLength: { call: ({ n }) => fixedLength(n), options: { number: ["n"] } },
  wait: { call: (options, a) => a.reader.wait(1, options), options: { signal: ["signal"] } },
  waitUntil: {
    call: (options, a) => a.reader.waitUntil(1, options),
    options: { number: ["maxBytes"], signal: ["signal"] },
  },
  flush: { call: (options, a) => a.writer.flush(options), options: { signal: ["signal"] } },
  writeBinary: {
    call: (options, a) => a.writer.writeBinary(new Uint8Array(1), options),
    options: { boolean: ["copy"] },
  },
  sendFile: {
    call: (options, a) => a.sendFile("/nowhere", options),
    options: { number: ["offset", "length"], function: ["onProgress"], signal: ["signal"] },
  },
  pipe: { call: (options, a, b) => pipe(a, b, options), options: { signal: ["signal"] } },
  Multiplexer: {
    call: (options, a) => new Multiplexer(a, codec, options),
    options: { number: ["pendingMax", "timeoutMs"] },
  },
  responder: {
    call: (options) => responder(codec, ignore, options),
    options: { number: ["runningMax"], function: ["onError"] },
  },
  Cluster: {
    call: (options) => new Cluster(NOWHERE, options),
    options: {
      number: ["pollerCount"],
      function: ["onWorkerError"],
      word: ["acceptMode"],
    },
  },
  shutdownOnSignals: {
    call: (options) => shutdownOnSignals(new EventLoop(null), options),
    options: { number: ["timeoutMs"], boolean: ["exit"] },
  },
  configure: { call: configure, options: { number: ["spinMicros"], boolean: ["debug", "verify"] } },
};

/** The error that a call throws or rejects with at once; null for none. */
async function errorOf(call: () => unknown): Promise<Error | null> {
  try {
    const late = new Promise((resolve) => setTimeout(resolve, 1000, null));
    await Promise.race([call(), late]);
    return null;
  } catch (error) {
    assert(error instanceof Error, String(error));
    return error;
  }
}

async function optionCase(random: Random): Promise<void> {
  const [a, b] = socketPair();
  try {
    const before = descriptorCount();
    for (let n = 0; n < 20; n++) {
      const [name, { call, options }] = random.pick(Object.entries(FACTORIES));
      const [kind, names] = random.pick(Object.entries(options));
      const option = random.pick(names);
      const [other, value] = random.pick(VALUES);
      if (kind === other) continue;
      const error = await errorOf(() => call({ [option]: value }, a, b));
      const what = `${name}({ ${option}: ${String(value)} })`;
      const isTold = error instanceof TypeError || error instanceof RangeError;
      assert(isTold, `${what}: ${error}`);
      assert(error.message.length > 0, what);
    }
    assertEquals(descriptorCount() <= before, true, "a descriptor was left");
  } finally {
    a.reset();
    b.reset();
  }
}

/** Exports that make a handler module, and such that make none. */
function moduleCase(random: Random): void {
  const names = [
    "onPrepare",
    "onConnect",
    "onRequest",
    "onDisconnect",
    "onError",
    "setup",
    "options",
    "other",
  ];
  const exports: Record<string, unknown> = {};
  for (const name of names) {
    if (random.chance(0.4)) {
      exports[name] = random.pick([ignore, ignore, ignore, null, undefined, {}, 5, "x", []]);
    }
  }
  const wrong = names.slice(0, 6).some((name) => exports[name] != null && exports[name] !== ignore);
  const isServing = ["onRequest", "onConnect", "onPrepare"].some((name) => exports[name] != null);
  const { options } = exports;
  const isObject = options === undefined || (typeof options === "object" && options !== null);
  let error: unknown = null;
  try {
    checkHandlerModule(exports, "file:///handler.ts");
  } catch (caught) {
    error = caught;
  }
  assertEquals(
    error === null,
    !wrong && isServing && isObject,
    `${Object.keys(exports)}: ${error}`,
  );
  assert(error === null || error instanceof TypeError, String(error));
}

const LABEL = '[a-z]+="[^"\\\\\\n]*"';
const METRIC_LINE = new RegExp(
  `^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\\{${LABEL}(,${LABEL})*\\})? (-?[\\d.]+(e[+-]?\\d+)?|NaN|[+-]Inf))$`,
);

/** Random numbers in the place of each, and random names of errors. */
function scrambled(random: Random, value: unknown): unknown {
  if (typeof value === "number") return random.pick([0, 1, 2 ** 53, 0.25, 1e21, value]);
  if (Array.isArray(value)) return value.map((each) => scrambled(random, each));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, scrambled(random, each)]),
  );
}

function textCase(random: Random): void {
  const one = () => scrambled(random, metrics()) as Any;
  const pollers = Array.from({ length: random.below(3) }, (_, index) => ({
    index,
    metrics: random.chance(0.8) ? one() : null,
    pendingCount: random.below(100),
  }));
  const text = prometheus(random.chance(0.5) ? one() : { acceptor: one(), pollers });
  assert(text.endsWith("\n"));
  const typed = new Set<string>();
  for (const line of text.slice(0, -1).split("\n")) {
    assert(METRIC_LINE.test(line), line);
    const type = /^# TYPE (\S+)/.exec(line)?.[1];
    assert(type === undefined || !typed.has(type), `${type} twice`);
    if (type !== undefined) typed.add(type);
  }
}

export const OPTION_TARGETS: readonly Target[] = [
  {
    name: "options",
    what: "an option of a wrong kind is a TypeError or a RangeError at once",
    run: optionCase,
  },
  { name: "modules", what: "what is no handler module is a TypeError", run: moduleCase },
  { name: "metrics", what: "prometheus() writes lines that Prometheus reads", run: textCase },
];
