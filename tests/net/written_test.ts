import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  type AddressLike,
  Cluster,
  createDatagramSocket,
  createListener,
  dial,
  dialDatagram,
  type Listener,
  packPeer,
  unpackPeer,
} from "../../mod.ts";
import { givenStream, writtenDatagram, writtenStream } from "../../src/net/written.ts";
import { leaks } from "../support/leaks.ts";
import { soon } from "../support/until.ts";

const IP = { hostname: "127.0.0.1", port: 80 };

test("writtenStream() knows an address in every form", () => {
  const cases: [AddressLike, string, string][] = [
    ["host:80", "tcp", "host:80"],
    [":80", "tcp", ":80"],
    ["[::1]:80", "tcp", "[::1]:80"],
    ["tcp://host:80", "tcp", "host:80"],
    ["TCP6://[::1]:80", "tcp6", "[::1]:80"],
    ["unix:/run/a.sock", "unix", "/run/a.sock"],
    ["unix:a.sock", "unix", "a.sock"],
    ["unix:///run/a.sock", "unix", "/run/a.sock"],
    ["unix:@name", "unix", "@name"],
    ["/run/a.sock", "unix", "/run/a.sock"],
    ["@name", "unix", "@name"],
    [new URL("tcp://host:80"), "tcp", "host:80"],
    [{ transport: "tcp", ...IP }, "tcp", "127.0.0.1:80"],
    [IP, "tcp", "127.0.0.1:80"],
    [{ hostname: "fe80::1%2", port: 80 }, "tcp", "[fe80::1%2]:80"],
    [{ hostname: "[::1]", port: 80 }, "tcp", "[::1]:80"],
    [{ address: "::1", port: 80, family: "IPv6" }, "tcp", "[::1]:80"],
    [{ address: "127.0.0.1", port: 80, family: 4 }, "tcp", "127.0.0.1:80"],
    [{ transport: "unix", path: "@name" }, "unix", "@name"],
    [{ path: "/run/a.sock" }, "unix", "/run/a.sock"],
  ];
  for (const [address, network, text] of cases) {
    assertEquals(writtenStream(address), { network, text } as unknown);
  }
  assertEquals(writtenDatagram({ transport: "udp", ...IP }).text, "127.0.0.1:80");
  assertEquals(writtenDatagram("udp4://h:1"), { network: "udp4", text: "h:1" });
});

test("writtenStream() refuses what cannot be, and says what to do", () => {
  const cases: [unknown, RegExp][] = [
    [undefined, /Cannot use undefined as an address/],
    [null, /Cannot use null as an address/],
    [5, /Cannot use 5 as an address/],
    [["h", 1], /Cannot use an array as an address/],
    [{}, /its hostname is undefined and its port undefined/],
    [{ hostname: "h", port: "80" }, /its port "80"/],
    [{ hostname: "h", port: 65_536 }, /its port 65536/],
    [{ hostname: "h", port: 1.5 }, /its port 1.5/],
    [{ hostname: 7, port: 80 }, /its hostname is 7/],
    [{ transport: "udp", ...IP }, /"udp": dialDatagram and createDatagramSocket take it/],
    ["udp://h:1", /"udp": dialDatagram and createDatagramSocket take it/],
    [{ transport: "unixpacket", path: "/a" }, /"unixpacket": it is one of tcp, tcp4, tcp6, unix/],
    ["http://h:1", /"http": it is one of tcp/],
    ["unix://a.sock", /the path after "unix:\/\/" begins with "\/"/],
    [{ transport: "unix", path: "" }, /a socket without a name cannot be reached/],
    [{ transport: "unix" }, /its path is no string/],
    [{ transport: "tcp", path: "/a" }, /it has a path/],
  ];
  for (const [address, message] of cases) {
    const error = assertThrows(() => writtenStream(address), TypeError);
    assertEquals(message.test(error.message), true, error.message);
  }
  assertThrows(() => writtenDatagram("unix:/a"), TypeError, "dial and createListener take it");
  assertThrows(() => writtenDatagram({ transport: "tcp", ...IP }), TypeError, "dial and");
});

test("writtenStream() reads each property of an address once", () => {
  let reads = 0;
  const address = {
    hostname: "127.0.0.1",
    get port() {
      return reads++ === 0 ? 80 : 22;
    },
  };
  assertEquals(writtenStream(address).text, "127.0.0.1:80");
  assertEquals(reads, 1);
});

test("givenStream() tells a network from an address", () => {
  const options = { timeoutMs: 5 };
  assertEquals(givenStream("tcp", "h:1", options), { network: "tcp", text: "h:1", options });
  assertEquals(givenStream("h:1", options, undefined), { network: "tcp", text: "h:1", options });
  assertEquals(givenStream(IP, undefined, undefined).options, {});
  assertEquals(givenStream("tcp4", { ...IP, transport: "udp" }, undefined).network, "tcp4");
  assertThrows(() => givenStream("unix", IP, undefined), TypeError, "it has no path");
  assertThrows(() => givenStream("tcp", undefined, undefined), TypeError, "Cannot use undefined");
});

/** Dials a listener by its address, then itself by what the connection says. */
async function goBack(listener: Listener): Promise<void> {
  const first = await soon(dial(listener.address));
  const second = await soon(dial(first.remoteAddress, { timeoutMs: 5000 }));
  assertEquals(second.remoteAddress, listener.address);
  await Promise.all([first.close(), second.close()]);
}

test("dial() goes where an address of a listener or a connection says", async () => {
  await leaks(async () => {
    for (const at of ["127.0.0.1:0", "[::1]:0", "unix:@written-test", "tcp4://localhost:0"]) {
      using listener = createListener(at);
      await goBack(listener);
    }
    using first = createListener({ hostname: "127.0.0.1", port: 0 }, { reusePort: true });
    using second = createListener(first.address, { reusePort: true });
    assertEquals(second.address, first.address);
    const port = first.address.transport === "tcp" ? first.address.port : 0;
    const local = createListener("tcp", { address: "127.0.0.1", port: 0 });
    const { address } = local;
    local.close();
    const connection = await dial({ address: "127.0.0.1", port, family: "IPv4" }, {
      localAddress: address,
    });
    assertEquals(connection.localAddress, address);
    await connection.close();
  });
});

test("dial() refuses who dialled from a socket without a name, and a datagram's peer", async () => {
  await assertRejects(() => dial({ transport: "unix", path: "" }), TypeError, "without a name");
  await assertRejects(() => dial({ transport: "udp", ...IP }), TypeError, "dialDatagram");
  await assertRejects(() => dial("tcp" as string), TypeError, "Cannot use undefined");
  await assertRejects(() => dial("nowhere"), TypeError, "it has no port");
  await assertRejects(() => dial(IP, null as never), TypeError);
});

test("dialDatagram() goes where an address of a socket or of node:dgram says", async () => {
  await leaks(async () => {
    await using server = createDatagramSocket("udp://127.0.0.1:0");
    const { port } = server.localAddress;
    await using client = await dialDatagram(server.localAddress, {
      localAddress: { hostname: "127.0.0.1", port: 0 },
    });
    await using other = await dialDatagram("udp4", { address: "127.0.0.1", port });
    assertEquals([client.remoteAddress, other.remoteAddress], [
      server.localAddress,
      server.localAddress,
    ]);
    const peer = packPeer({ address: "127.0.0.1", port, family: 4 });
    assertEquals(unpackPeer(peer), server.localAddress);
    await assertRejects(() => dialDatagram({ transport: "tcp", ...IP }), TypeError, "dial and");
  });
});

test("bindDatagram() takes an address in any form", async () => {
  const cluster = new Cluster(new URL("../support/datagram_handler.ts", import.meta.url), {
    pollerCount: 1,
  });
  const { port } = await cluster.bindDatagram("udp", { hostname: "127.0.0.1", port: 0 });
  assertEquals(port > 0, true);
  await cluster.shutdown();
});
