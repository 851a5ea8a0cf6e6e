import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import {
  type Address,
  type Connection,
  createListener,
  dial,
  encodeProxyHeader,
  EventLoop,
  type EventLoopOptions,
  type ListenerOptions,
  metrics,
  type NetpollError,
  ProxyHeaderError,
  type ProxyHeaderOptions,
  type ProxyInfo,
  type ProxyProtocolOptions,
  TimeoutError,
} from "../../mod.ts";
import { TestCluster } from "../support/cluster.ts";
import { withLog } from "../support/datagrams.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { serverIdentity, tlsTest } from "../support/pki.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echoBack, trust } from "../support/secure.ts";
import { until } from "../support/until.ts";

const CLIENT = { transport: "tcp", hostname: "192.0.2.1", port: 56324 } as const;
const SERVICE = { transport: "tcp", hostname: "203.0.113.7", port: 443 } as const;
const OF_CLIENT = { source: CLIENT, destination: SERVICE };
const trusted = ["127.0.0.0/8", "unix"];

const FORMS: readonly ProxyHeaderOptions[] = [
  { version: 1, ...OF_CLIENT },
  OF_CLIENT,
  { ...OF_CLIENT, authority: "example.org", tls: { protocol: "TLSv1.3" }, checksum: true },
];

/** A server that echoes, and notes who came and what failed. */
interface Bed extends AsyncDisposable {
  readonly loop: EventLoop<undefined>;
  readonly listener: ReturnType<typeof createListener>;
  readonly at: string;
  readonly seen: { remote: Address; local: Address; proxy: ProxyInfo | null }[];
  readonly errors: [NetpollError, Address][];
}

function bed(
  proxyProtocol: Partial<ProxyProtocolOptions> = {},
  options: EventLoopOptions = {},
  more: ListenerOptions = {},
  address = "127.0.0.1:0",
): Bed {
  const seen: Bed["seen"] = [];
  const errors: Bed["errors"] = [];
  const loop = new EventLoop(echoBack, {
    onConnect: ({ remoteAddress, localAddress, proxy }: Connection) => {
      seen.push({ remote: remoteAddress, local: localAddress, proxy });
      return undefined;
    },
    onHandshakeError: (error, from) => void errors.push([error, from]),
    ...options,
  });
  const given = { proxyProtocol: { trusted, ...proxyProtocol }, ...more };
  const listener = createListener(address, given);
  const served = loop.serve(listener);
  const port = listener.address.transport === "tcp" ? listener.address.port : 0;
  return {
    loop,
    listener,
    at: `127.0.0.1:${port}`,
    seen,
    errors,
    async [Symbol.asyncDispose]() {
      await loop.shutdown({ timeoutMs: 0 });
      await served;
    },
  };
}

/** Waits until what was sent has been taken. */
async function passed(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

test("createListener({ proxyProtocol }): a connection has its client's addresses, and its bytes", () =>
  leaks(async () => {
    await using server = bed();
    for (const form of FORMS) {
      const peer = new RawPeer(server.listener);
      peer.send(Buffer.concat([encodeProxyHeader(form), Buffer.from("hello")]));
      assertEquals(await peer.receive(5), "hello");
      peer.close();
    }
    assertEquals(server.seen.map(({ remote }) => remote), [CLIENT, CLIENT, CLIENT]);
    assertEquals(server.seen.map(({ local }) => local), [SERVICE, SERVICE, SERVICE]);
    const [line, plain, full] = server.seen.map(({ proxy }) => proxy!);
    assertEquals([line!.version, plain!.version], [1, 2]);
    assertEquals([full!.authority, full!.tls?.protocol], ["example.org", "TLSv1.3"]);
    assertEquals(full!.local, server.listener.address);
    assert(full!.peer.transport === "tcp" && full!.peer.hostname === "127.0.0.1");
  }));

test("createListener({ proxyProtocol }): a header may come byte by byte, and be cut anywhere", () =>
  leaks(async () => {
    await using server = bed();
    for (const form of FORMS.slice(0, 2)) {
      const bytes = Buffer.concat([encodeProxyHeader(form), Buffer.from("x")]);
      const slow = new RawPeer(server.listener);
      for (const byte of bytes) {
        slow.send(Uint8Array.of(byte));
        await passed();
      }
      assertEquals(await slow.receive(1), "x");
      slow.close();
      for (let cut = 1; cut < bytes.length; cut += 1) {
        const peer = new RawPeer(server.listener);
        peer.send(bytes.subarray(0, cut));
        await passed();
        peer.send(bytes.subarray(cut));
        assertEquals(await peer.receive(1), "x", `cut at ${cut}`);
        peer.close();
      }
    }
    assert(server.seen.every(({ remote }) => remote.transport === "tcp" && remote.port === 56324));
  }));

test("createListener({ proxyProtocol }): a header of 64 KiB, and 1 MiB behind it at once, all arrive", () =>
  leaks(async () => {
    await using server = bed();
    const values = [{ type: 0xe5, bytes: new Uint8Array(65_000).fill(1) }];
    await using connection = await dial(server.at, { proxyProtocol: { ...OF_CLIENT, values } });
    const body = new Uint8Array(1 << 20).map((_, i) => i * 7);
    connection.writer.writeBinary(body);
    void connection.writer.flush();
    await connection.reader.wait(body.length);
    assertEquals(Buffer.compare(connection.reader.readBinary(body.length), body), 0);
    assertEquals(server.seen[0]!.proxy!.values[0]!.bytes.length, 65_000);
  }));

test("createListener({ proxyProtocol }): LOCAL, UNKNOWN and datagrams leave the proxy's own addresses", () =>
  leaks(async () => {
    await using server = bed();
    const ends = { source: { ...CLIENT, transport: "udp" }, destination: "udp://203.0.113.7:443" };
    for (const form of [{}, { version: 1 }, ends] as ProxyHeaderOptions[]) {
      const peer = new RawPeer(server.listener);
      peer.send(Buffer.concat([encodeProxyHeader(form), Buffer.from("x")]));
      assertEquals(await peer.receive(1), "x");
      peer.close();
    }
    for (const { remote, local, proxy } of server.seen) {
      assertEquals([remote, local], [proxy!.peer, server.listener.address]);
    }
    assertEquals(server.seen.map(({ proxy }) => proxy!.command), ["LOCAL", "PROXY", "PROXY"]);
    assertEquals(server.seen[2]!.proxy!.source, { ...CLIENT, transport: "udp" });
  }));

test("createListener({ proxyProtocol }): what is no header is reset without an answer, and told", () =>
  leaks(async () => {
    await using server = bed({ bytesMax: 200 });
    const before = metrics().proxyProtocol;
    const wrong: [string, string | Uint8Array][] = [
      ["signature", "GET / HTTP/1.1\r\n\r\n"],
      ["address", "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n"],
      ["too-long", encodeProxyHeader({ values: [{ type: 4, bytes: new Uint8Array(200) }] })],
    ];
    for (const [fault, bytes] of wrong) {
      const peer = new RawPeer(server.listener);
      peer.send(bytes);
      await until(() => peer.isReset, fault);
      const [error, from] = server.errors.at(-1)!;
      assertInstanceOf(error, ProxyHeaderError);
      assertEquals([error.fault, from.transport], [fault as typeof error.fault, "tcp"]);
      peer.close();
    }
    const peer = new RawPeer(server.listener);
    peer.send("PROXY TCP4 1.2");
    await passed();
    peer.close();
    await until(() => server.errors.length === 4, "an end within the header is told");
    assertEquals((server.errors[3]![0] as ProxyHeaderError).fault, "truncated");
    const { failures } = metrics().proxyProtocol;
    for (const fault of ["signature", "address", "too-long", "truncated"] as const) {
      assertEquals(failures[fault], before.failures[fault] + 1, fault);
    }
    assertEquals([server.seen, server.loop.metrics().accepted], [[], 0]);
  }));

test("createListener({ proxyProtocol }): a header that does not come in time is given up, byte by byte as well", () =>
  leaks(async () => {
    await using server = bed({ timeoutMs: 60 });
    const peers = [new RawPeer(server.listener), new RawPeer(server.listener)];
    const bytes = encodeProxyHeader(OF_CLIENT);
    for (let at = 0; !peers[1]!.isReset; at++) {
      if (at < bytes.length - 1) {
        try {
          peers[1]!.send(bytes.subarray(at, at + 1));
        } catch { /* it was reset just now */ }
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until(() => peers[0]!.isReset, "the silent one");
    for (const peer of peers) peer.close();
    for (const [error] of server.errors) {
      assertInstanceOf(error, TimeoutError);
      assertEquals(error.operation, "header");
    }
  }));

test("createListener({ proxyProtocol }): who is not trusted cannot say who he is: his header is bytes of his own", () =>
  leaks(async () => {
    await using server = bed({ trusted: ["10.0.0.0/8", "::1"] });
    const peer = new RawPeer(server.listener);
    const line = "PROXY TCP4 192.0.2.1 203.0.113.7 56324 443\r\n";
    peer.send(line);
    assertEquals(await peer.receive(line.length), line);
    const { remote, proxy } = server.seen[0]!;
    assertEquals([remote.transport === "tcp" && remote.hostname, proxy], ["127.0.0.1", null]);
    peer.close();
  }));

test('createListener({ proxyProtocol }): untrusted: "refuse" resets all others, and counts them', () =>
  leaks(async () => {
    await using server = bed({ trusted: ["127.0.0.2"], untrusted: "refuse" });
    const { untrusted } = metrics().proxyProtocol;
    const other = new RawPeer(server.listener);
    await until(() => other.isReset, "the peer is refused");
    other.close();
    const proxy = new RawPeer(server.listener, "127.0.0.2");
    proxy.send(Buffer.concat([encodeProxyHeader(OF_CLIENT), Buffer.from("x")]));
    assertEquals(await proxy.receive(1), "x");
    proxy.close();
    assertEquals(metrics().proxyProtocol.untrusted, untrusted + 1);
    assertEquals(server.loop.metrics().refused, 1);
  }));

test("createListener({ proxyProtocol }): connectionsPerAddressMax counts clients, not proxies", () =>
  leaks(async () => {
    await using server = bed({}, { connectionsPerAddressMax: 1 });
    const connect = (hostname: string) => {
      const peer = new RawPeer(server.listener);
      const header = encodeProxyHeader({ ...OF_CLIENT, source: { ...CLIENT, hostname } });
      peer.send(Buffer.concat([header, Buffer.from("x")]));
      return peer;
    };
    const [one, two] = [connect("192.0.2.1"), connect("192.0.2.2")];
    assertEquals([await one.receive(1), await two.receive(1)], ["x", "x"]);
    const again = connect("192.0.2.1");
    await until(() => again.isReset, "a second one of that client");
    one.close();
    await until(() => server.loop.connectionCount === 1, "the first one has gone");
    const third = connect("192.0.2.1");
    assertEquals(await third.receive(1), "x");
    for (const peer of [two, again, third]) peer.close();
  }));

test("createListener({ proxyProtocol }): handshakesMax holds for headers; others wait", () =>
  leaks(async () => {
    await using server = bed({ timeoutMs: 0 }, { handshakesMax: 1, connectionsMax: 3 });
    const silent = new RawPeer(server.listener);
    const waiting = new RawPeer(server.listener);
    waiting.send(Buffer.concat([encodeProxyHeader(OF_CLIENT), Buffer.from("x")]));
    for (let i = 0; i < 100; i++) await passed();
    assertEquals(waiting.received, "");
    silent.close();
    assertEquals(await waiting.receive(1), "x");
    waiting.close();
  }));

test("createListener({ proxyProtocol }): headers come over Unix sockets, too", () =>
  leaks(async () => {
    const name = `unix:@netpoll-arrivals-${process.pid}`;
    await using server = bed({}, {}, {}, name);
    await using connection = await dial(server.listener.address, { proxyProtocol: OF_CLIENT });
    await send(connection, "hello");
    assertEquals(await receive(connection, 5), "hello");
    assertEquals([server.seen[0]!.remote, server.seen[0]!.local], [CLIENT, SERVICE]);
    assertEquals(server.seen[0]!.proxy!.peer, { transport: "unix", path: "" });
  }));

test("shutdown() ends connections whose header has not come", () =>
  leaks(async () => {
    const server = bed();
    const peers = [new RawPeer(server.listener), new RawPeer(server.listener)];
    peers[0]!.send("PROXY ");
    for (let i = 0; i < 10; i++) await passed();
    await server[Symbol.asyncDispose]();
    for (const peer of peers) peer.close();
  }));

test("dial({ proxyProtocol }) passes a client's connection on through two proxies, with what was said of it", () =>
  leaks(async () => {
    await using last = bed();
    const loop = new EventLoop(null, {
      onConnect: async (connection) => {
        const to = await dial(last.at, { proxyProtocol: connection });
        await send(to, "x");
        await to.close();
      },
    });
    const listener = createListener("tcp", "127.0.0.1:0", { proxyProtocol: { trusted } });
    const served = loop.serve(listener);
    const header = { ...OF_CLIENT, uniqueId: Uint8Array.of(1, 2), checksum: true };
    const first = await dial(listener.address, { proxyProtocol: header });
    await until(() => last.seen.length === 1, "it came through both");
    const { remote, local, proxy } = last.seen[0]!;
    assertEquals([remote, local], [CLIENT, SERVICE]);
    assertEquals(proxy!.uniqueId, Uint8Array.of(1, 2));
    await first.close();
    await loop.shutdown({ timeoutMs: 0 });
    await served;
  }));

test("dial({ proxyProtocol }) says LOCAL with true, and its own addresses in version 1", () =>
  leaks(async () => {
    await using server = bed();
    for (const proxyProtocol of [true, { version: 1 }] as const) {
      await using connection = await dial(server.at, { proxyProtocol });
      await send(connection, "x");
      await receive(connection, 1);
    }
    assertEquals(server.seen.map(({ proxy }) => proxy!.command), ["LOCAL", "PROXY"]);
    assertEquals(server.seen[1]!.proxy!.source, server.seen[1]!.proxy!.peer);
    for (const wrong of [false, "PROXY", null, { sorce: 1 }, { source: "1.2.3.4:5" }]) {
      const error = await dial(server.at, { proxyProtocol: wrong as never }).catch((e) => e);
      assertInstanceOf(error, TypeError);
    }
  }));

tlsTest(
  "createListener({ proxyProtocol, tls }): the header comes before TLS",
  () =>
    leaks(async () => {
      await using server = bed({}, {}, { tls: serverIdentity() });
      for (const proxyProtocol of FORMS) {
        await using connection = await dial(server.at, { proxyProtocol, tls: trust() });
        await send(connection, "hello");
        assertEquals(await receive(connection, 5), "hello");
      }
      assertEquals(server.seen.map(({ remote }) => remote), [CLIENT, CLIENT, CLIENT]);
      const failed = dial(server.at, { tls: trust() });
      assert(await failed.then(() => false, () => true), "TLS without a header");
      assertEquals((server.errors[0]![0] as ProxyHeaderError).fault, "signature");
      const late = await dial(server.at, { proxyProtocol: OF_CLIENT });
      await send(late, "no TLS at all, but bytes");
      await until(() => server.errors.length === 2, "the handshake fails");
      assertEquals(server.errors[1]![1], CLIENT);
      await late.close();
    }),
);

for (const acceptMode of ["handover", "reuseport"] as const) {
  test(`Cluster: Workers know the client behind a proxy (${acceptMode})`, async () => {
    const run = async () => {
      const options = { proxyProtocol: { trusted: ["127.0.0.2"] }, reusePort: true };
      await using cluster = new TestCluster({ acceptMode }, options);
      for (let n = 0; n < 4; n++) {
        const peer = cluster.connect("127.0.0.2");
        const form = FORMS[n % FORMS.length]!;
        peer.send(Buffer.concat([encodeProxyHeader(form), Buffer.from("client")]));
        assertEquals(await peer.receive(15), "192.0.2.1:56324");
        peer.close();
        const own = cluster.connect();
        own.send("client");
        assert((await own.receive(11)).startsWith("127.0.0.1:"));
        own.close();
      }
    };
    await run(); // what a runtime opens for its first Worker, it keeps
    await leaks(run);
  });
}

test("onHandshakeError may throw or reject: that is a line in the log, and others are served", () =>
  leaks(async () => {
    const fails = [
      () => {
        throw new Error("thrown");
      },
      () => Promise.reject(new Error("rejected")),
    ];
    for (const onHandshakeError of fails) {
      const lines = await withLog(async () => {
        await using server = bed({}, { onHandshakeError });
        const stranger = new RawPeer(server.listener);
        stranger.send(Buffer.from("no header at all\r\n"));
        await until(() => stranger.isReset, "the stranger is reset");
        stranger.close();
        const peer = new RawPeer(server.listener);
        peer.send(Buffer.concat([encodeProxyHeader(OF_CLIENT), Buffer.from("hello")]));
        assertEquals(await peer.receive(5), "hello");
        peer.close();
      });
      assertEquals(lines.length, 1);
      assert(/onHandshakeError failed: Error: (thrown|rejected)/.test(lines[0]!), lines[0]);
    }
  }));

test("connectionCount counts those whose PROXY header or handshake is under way: who waits for 0 loses none", () =>
  leaks(async () => {
    await using test = bed({ trusted });
    const peer = new RawPeer(test.listener);
    peer.send("PROXY TCP4 ");
    await until(() => test.loop.connectionCount === 1, "it comes");
    assertEquals(test.loop.metrics().accepted, 0);
    peer.send("192.0.2.1 203.0.113.7 56324 443\r\nhello");
    assertEquals([await peer.receive(5), test.loop.connectionCount], ["hello", 1]);
    peer.close();
    await until(() => test.loop.connectionCount === 0, "it has gone");
    const stranger = new RawPeer(test.listener);
    stranger.send("GET / HTTP/1.1\r\n\r\n");
    await until(() => stranger.isOver, "it is refused");
    assertEquals(test.loop.connectionCount, 0);
    stranger.close();
  }));

test("Cluster.connectionCount counts those whose PROXY header is under way", async () => {
  await using cluster = new TestCluster({}, { proxyProtocol: { trusted } });
  const peer = cluster.connect();
  peer.send("PROXY TCP4 ");
  await until(() => cluster.cluster.pollers.length === 2, "it serves");
  await until(() => cluster.cluster.connectionCount === 1, "it comes");
  // A Worker has taken it, and it is still there.
  let pendingCount = 1;
  for (let n = 0; n < 1000 && pendingCount > 0; n++) {
    const { pollers } = await cluster.cluster.metrics();
    pendingCount = pollers.reduce((sum, one) => sum + one.pendingCount, 0);
  }
  assertEquals(cluster.cluster.connectionCount, 1);
  peer.close();
  await until(() => cluster.cluster.connectionCount === 0, "it has gone");
});
