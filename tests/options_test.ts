/**
 * Options that a function does not know are refused by every function that takes some, with the name
 * and the nearest one that there is. What is no object is refused, too.
 */
import { assert, assertEquals } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { PassThrough } from "node:stream";
import {
  Cluster,
  configure,
  Connection,
  ConnectionPool,
  createDatagramSocket,
  createListener,
  datagramPair,
  type DatagramSocket,
  decodeProxyHeader,
  delimited,
  dial,
  dialDatagram,
  encodeProxyHeader,
  EventLoop,
  everyLoss,
  everySplit,
  frames,
  lengthPrefixed,
  lines,
  LinkBuffer,
  type Listener,
  listenersFromSystemd,
  memoryPair,
  metrics,
  Multiplexer,
  offerListeners,
  packPeer,
  pipe,
  prometheus,
  type Reader,
  readerFrom,
  receiveDescriptors,
  type Reconnecting,
  reconnecting,
  resp,
  responder,
  serve,
  shutdownOnSignals,
  socketPair,
  tagged,
  takeListeners,
  varintPrefixed,
  type Writer,
  writerTo,
} from "../mod.ts";
import { leaks } from "./support/leaks.ts";
import { NO_TLS, serverIdentity } from "./support/pki.ts";
import { soon } from "./support/until.ts";

/** Anything at all: what a program without types may pass. */
// deno-lint-ignore no-explicit-any -- mistakes have no types
type Any = any;

const HANDLER = new URL("file:///nowhere.ts");
const AT = "127.0.0.1:9";
const codec = tagged(lengthPrefixed());
const ignore = () => undefined;

/** The object that methods are called of. */
interface Made {
  readonly a: Connection;
  readonly mux: Multiplexer<Uint8Array, Any>;
  readonly pool: ConnectionPool;
  readonly client: Reconnecting<Uint8Array, Any>;
  readonly socket: DatagramSocket;
  readonly connected: DatagramSocket;
  readonly listener: Listener;
  readonly reader: Reader & AsyncDisposable;
  readonly writer: Writer & AsyncDisposable;
  readonly tls: object | null;
}

/** A function that takes options; a name that is nearly one of them, and the one that is meant. */
type Row = [call: (options: Any, made: Made) => unknown, typo: string, meant: string];

const bytes = new Uint8Array(1);

/** Calls a function with one end of a connection. */
async function end(use: (end: Connection) => unknown): Promise<void> {
  const [one, other] = socketPair();
  try {
    await use(one);
  } finally {
    one.reset();
    other.reset();
  }
}

/** By the name of the type of the options, and the function, as messages call it. */
const ROWS: Record<string, Row> = {
  "EventLoopOptions: EventLoop": [
    (o) => new EventLoop(null, o),
    "idleTimeoutMS",
    "idleTimeoutMs",
  ],
  "LoopLimits: limits": [(limits) => new EventLoop(null, { limits }), "acceptPerSecond", "acc"],
  "ConnectionLimits: limits": [
    (limits) => dial("tcp", AT, { limits }),
    "bytesPerSec",
    "bytesPerSecond",
  ],
  "ConnectionLimits: limits.connection": [
    (connection) => new EventLoop(null, { limits: { connection } }),
    "bytesPerSec",
    "bytesPerSecond",
  ],
  "LoopMetricsOptions: EventLoop.metrics": [
    (o) => new EventLoop(null).metrics(o),
    "listedmax",
    "listedMax",
  ],
  "ShutdownOptions: shutdown": [(o) => new EventLoop(null).shutdown(o), "timeout", "timeoutMs"],
  "ShutdownOptions: Cluster": [(o) => new Cluster(HANDLER).shutdown(o), "timeout", "timeoutMs"],
  "ShutdownOptions: resize": [(o) => new Cluster(HANDLER).resize(2, o), "timeout", "timeoutMs"],
  "ClusterOptions: Cluster": [(o) => new Cluster(HANDLER, o), "pollercount", "pollerCount"],
  "MeasureOptions: Cluster.metrics": [
    (o) => new Cluster(HANDLER).metrics(o),
    "timeout",
    "timeoutMs",
  ],
  "ServeOptions: serve": [(o) => serve(null as Any, HANDLER, o), "loadBalanc", "loadBalance"],
  "ClusterDatagramOptions: bindDatagram": [
    (o) => new Cluster(HANDLER).bindDatagram("udp", "127.0.0.1:0", o),
    "steeroffset",
    "steerOffset",
  ],
  "SignalOptions: shutdownOnSignals": [
    (o) => shutdownOnSignals(new EventLoop(null), o),
    "timeoutms",
    "timeoutMs",
  ],
  "DialOptions: dial": [(o) => dial("tcp", AT, o), "timeoutms", "timeoutMs"],
  "KeepAliveOptions: keepAlive": [
    (keepAlive) => dial("tcp", AT, { keepAlive }),
    "idlems",
    "idleMs",
  ],
  "ProxyHeaderOptions: proxyProtocol": [
    (proxyProtocol) => dial("tcp", AT, { proxyProtocol }),
    "versoin",
    "version",
  ],
  "ListenerOptions: createListener": [
    (o) => createListener("tcp", "127.0.0.1:0", o),
    "backLog",
    "backlog",
  ],
  "DatagramFromFdOptions: createDatagramSocket": [
    (o) => createDatagramSocket({ fd: 0, ...o }),
    "readtimeoutMs",
    "readTimeoutMs",
  ],
  "ListenerFromFdOptions: createListener": [
    (o) => createListener({ fd: 0, ...o }),
    "backLog",
    "backlog",
  ],
  "ProxyProtocolOptions: proxyProtocol": [
    (proxyProtocol) =>
      createListener("tcp", "127.0.0.1:0", { proxyProtocol: { trusted: [], ...proxyProtocol } }),
    "untrust",
    "untrusted",
  ],
  "FromFdOptions: Connection.fromFd": [
    (o) => Connection.fromFd(0, o),
    "readTimeout",
    "readTimeoutMs",
  ],
  "FromFdOptions: Connection.fromDuplex": [
    (o) => Connection.fromDuplex(new PassThrough(), o),
    "readTimeout",
    "readTimeoutMs",
  ],
  "CloseOptions: close": [(o) => end((one) => one.close(o)), "timeOutMs", "timeoutMs"],
  "wait: wait": [(o, { a }) => a.reader.wait(1, o), "sginal", "signal"],
  "waitUntil: waitUntil": [(o, { a }) => a.reader.waitUntil(10, o), "maxbytes", "maxBytes"],
  "flush: flush": [(o, { a }) => a.writer.flush(o), "Signal", "signal"],
  "wait: wait of readerFrom": [(o, { reader }) => reader.wait(1, o), "sginal", "signal"],
  "waitUntil: waitUntil of readerFrom": [
    (o, { reader }) => reader.waitUntil(1, o),
    "maxbytes",
    "maxBytes",
  ],
  "flush: flush of writerTo": [(o, { writer }) => writer.flush(o), "Signal", "signal"],
  "writeBinary: writeBinary": [(o, { a }) => a.writer.writeBinary(bytes, o), "Copy", "copy"],
  "writeBinary: writeBinary of LinkBuffer": [
    (o) => new LinkBuffer().writeBinary(bytes, o),
    "Copy",
    "copy",
  ],
  "SendFileOptions: sendFile": [
    (o, { a }) => a.sendFile("/nowhere", o),
    "onprogress",
    "onProgress",
  ],
  "ReceiveFileOptions: receiveFile": [
    (o, { a }) => a.receiveFile("/nowhere/file", 1, o),
    "onbytes",
    "onBytes",
  ],
  "PipeOptions: pipe": [(o, { a }) => end((one) => pipe(a, one, o)), "signals", "signal"],
  "LengthPrefixedOptions: lengthPrefixed": [(o) => lengthPrefixed(o), "byteorder", "byteOrder"],
  "FrameOptions: varintPrefixed": [(o) => varintPrefixed(o), "frameBytes", "frameBytesMax"],
  "DelimitedOptions: delimited": [(o) => delimited(10, o), "stripped", "strip"],
  "LinesOptions: lines": [(o) => lines(o), "endings", "ending"],
  "RespOptions: resp": [(o) => resp(o), "versions", "version"],
  "tagged: tagged": [(o) => tagged(lengthPrefixed(), o), "Body", "body"],
  "FramesOptions: frames": [(o, { a }) => frames(a, lines(), o), "memroy", "memory"],
  "MultiplexerOptions: Multiplexer": [
    (o, { a }) => new Multiplexer(a, codec, o),
    "pendingmax",
    "pendingMax",
  ],
  "RequestOptions: request": [(o, { mux }) => mux.request("x", o), "timeoutMS", "timeoutMs"],
  "MultiplexerDrainOptions: drain": [(o, { mux }) => mux.drain(o), "timeoutMS", "timeoutMs"],
  "ResponderOptions: responder": [(o) => responder(codec, ignore, o), "runingMax", "runningMax"],
  "PoolOptions: ConnectionPool": [
    (o) => new ConnectionPool(AT, o),
    "idleTimeout",
    "idleTimeoutMs",
  ],
  "PoolDialOptions: dial": [(o) => new ConnectionPool(AT, { dial: o }), "timeoutms", "timeoutMs"],
  "AcquireOptions: acquire": [(o, { pool }) => pool.acquire(o), "timeoutms", "timeoutMs"],
  "AcquireOptions: use": [(o, { pool }) => pool.use(ignore, o), "timeoutms", "timeoutMs"],
  "PoolDrainOptions: drain": [(o, { pool }) => pool.drain(o), "timeoutms", "timeoutMs"],
  "ReconnectingOptions: reconnecting": [
    (o) => reconnecting(AT, codec, o),
    "backoffMsmax",
    "backoffMsMax",
  ],
  "ReconnectingRequestOptions: request": [
    (o, { client }) => client.request("x", o),
    "idempotnet",
    "idempotent",
  ],
  "MultiplexerDrainOptions: reconnecting's drain": [
    (o, { client }) => client.drain(o),
    "timeoutMS",
    "timeoutMs",
  ],
  "PrometheusOptions: prometheus": [(o) => prometheus(metrics(), o), "pool", "pools"],
  "DatagramOptions: createDatagramSocket": [
    (o) => createDatagramSocket("udp", "127.0.0.1:0", o),
    "onDatagarm",
    "onDatagram",
  ],
  "DialDatagramOptions: dialDatagram": [
    (o) => dialDatagram("udp", AT, o),
    "localAdress",
    "localAddress",
  ],
  "DatagramWaitOptions: wait": [(o, { socket }) => socket.wait(o), "sginal", "signal"],
  "DatagramWaitOptions: flush of datagrams": [
    (o, { socket }) => socket.flush(o),
    "sginal",
    "signal",
  ],
  "DatagramWriteOptions: write": [(o, { connected }) => connected.write(bytes, o), "ECN", "ecn"],
  "DatagramWriteOptions: writeTo": [
    (o, { socket }) => socket.writeTo(packPeer(socket.localAddress), bytes, o),
    "ECN",
    "ecn",
  ],
  "DatagramCloseOptions: close": [(o, { socket }) => socket.close(o), "timeOutMs", "timeoutMs"],
  "DatagramOptions: datagramPair": [(o) => datagramPair({}, o), "onDatagarm", "onDatagram"],
  "DatagramOptions: the first of datagramPair": [(o) => datagramPair(o), "ecm", "ecn"],
  "GroupOptions: joinGroup": [
    (o, { socket }) => socket.joinGroup("224.0.0.251", o),
    "interfaces",
    "interface",
  ],
  "GroupOptions: leaveGroup": [
    (o, { socket }) => socket.leaveGroup("224.0.0.251", o),
    "interfaces",
    "interface",
  ],
  "SystemdOptions: listenersFromSystemd": [
    (o) => listenersFromSystemd(o),
    "optionsof",
    "optionsOf",
  ],
  "OfferOptions: offerListeners": [
    (o, { listener }) => offerListeners("@netpoll-options", [listener], o),
    "readyTimeout",
    "readyTimeoutMs",
  ],
  "TakeOptions: takeListeners": [
    (o) => takeListeners("@netpoll-options-none", o),
    "timeout",
    "timeoutMs",
  ],
  "DecodeProxyHeaderOptions: decodeProxyHeader": [
    (o) => decodeProxyHeader(bytes, o),
    "bytesmax",
    "bytesMax",
  ],
  "ProxyHeaderOptions: encodeProxyHeader": [
    (o) => encodeProxyHeader(o),
    "versoin",
    "version",
  ],
  "ProxyTlsOptions: tls": [(tls) => encodeProxyHeader({ tls }), "protocl", "protocol"],
  "receiveDescriptors: receiveDescriptors": [
    (o, { a }) => receiveDescriptors(a, o),
    "sginal",
    "signal",
  ],
  "LineFaults: toFirst": [(toFirst) => memoryPair({ toFirst }), "resetat", "resetAt"],
  "MemoryPairOptions: memoryPair": [(o) => memoryPair(o), "frist", "first"],
  "FromFdOptions: first": [(first) => memoryPair({ first }), "readTimeout", "readTimeoutMs"],
  "EverySplitOptions: everySplit": [(o) => everySplit(ignore, o), "caseMax", "casesMax"],
  "EveryLossOptions: everyLoss": [(o) => everyLoss(ignore, o), "loses", "losses"],
  "Configuration: configure": [(o) => configure(o), "debugg", "debug"],
};

/** Likewise, where there is TLS. */
const TLS_ROWS: Record<string, Row> = NO_TLS !== false ? {} : {
  "TlsClientOptions: tls": [(tls) => dial("tcp", AT, { tls }), "servername", "serverName"],
  "TlsClientOptions: startTls": [
    (o) => end((one) => one.startTls("client", o)),
    "servername",
    "serverName",
  ],
  "TlsServerOptions: tls": [
    (tls, made) => createListener("tcp", "127.0.0.1:0", { tls: { ...made.tls, ...tls } as Any }),
    "certificates",
    "certificate",
  ],
  "TlsServerOptions: reloadTls": [
    (o, made) => made.listener.reloadTls({ ...made.tls, ...o }),
    "certificates",
    "certificate",
  ],
};

const ALL = Object.entries({ ...ROWS, ...TLS_ROWS });

/** Types whose options are taken by functions that have more of their own, or have another name. */
const PARTS = [
  "ConnectionOptions",
  "DatagramSocketOptions",
  "InheritedOptions",
  "SocketOptions",
  "TlsCommonOptions",
];

async function withMade(use: (made: Made) => Promise<void>): Promise<void> {
  const [a, b] = socketPair();
  const [c, d] = memoryPair();
  const tls = NO_TLS === false ? serverIdentity() : null;
  const socket = createDatagramSocket("udp4", "127.0.0.1:0");
  const made: Made = {
    a,
    mux: new Multiplexer(c, codec),
    pool: new ConnectionPool(AT),
    client: reconnecting(async () => (await dial("unix", "@netpoll-options-nobody")), codec),
    socket,
    connected: await dialDatagram("udp4", socket.localAddress),
    listener: createListener("tcp", "127.0.0.1:0", tls === null ? {} : { tls }),
    reader: readerFrom(new ReadableStream()),
    writer: writerTo({ write() {} }),
    tls,
  };
  try {
    await use(made);
  } finally {
    a.reset();
    b.reset();
    d.reset();
    made.listener.close();
    const { mux, pool, client, connected, reader, writer } = made;
    for (const each of [mux, client, connected, socket, reader, writer]) {
      await soon(Promise.resolve(each[Symbol.asyncDispose]()));
    }
    await soon(pool.close());
  }
}

/** The error that a call throws, or rejects with; null when it does neither. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await soon(Promise.resolve(call()));
    return null;
  } catch (error) {
    return error;
  }
}

test("an option that a function does not know is refused, by its name and with the nearest", () =>
  leaks(() =>
    withMade(async (made) => {
      const wrong: string[] = [];
      for (const [name, [call, typo, meant]] of ALL) {
        // It need have no value: who wrote it meant something.
        const error = await errorOf(() => call({ [typo]: undefined }, made));
        const isTold = error instanceof TypeError &&
          error.message.startsWith(`Unknown option "${typo}" of `) &&
          error.message.includes(`: did you mean ${meant}`);
        if (!isTold) wrong.push(`${name}: ${error}`);
      }
      assertEquals(wrong, []);
    })
  ));

test("null, a number and a function are no options", () =>
  leaks(() =>
    withMade(async (made) => {
      const wrong: string[] = [];
      for (const [name, [call]] of ALL) {
        if (/\.\.\./.test(String(call))) continue; // its options are one object with what it must have
        for (const options of [null, 5, ignore]) {
          const error = await errorOf(() => call(options, made));
          if (!(error instanceof TypeError)) wrong.push(`${name} of ${typeof options}: ${error}`);
        }
      }
      assertEquals(wrong, []);
    })
  ));

test("the rows above have every type of options that is exported", () => {
  const folder = new URL("../src/entries/", import.meta.url).pathname;
  const text = readdirSync(folder).map((file) => readFileSync(folder + file, "utf8")).join("\n");
  const names = text.match(/\b[A-Z]\w*(Options|Limits|Configuration)\b/g)!;
  const known = [...ALL.map(([row]) => row.split(":")[0]), ...PARTS];
  if (NO_TLS !== false) known.push("TlsClientOptions", "TlsServerOptions");
  assert(names.length > 50);
  assertEquals([...new Set(names)].filter((name) => !known.includes(name)), []);
});
