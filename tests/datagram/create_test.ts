import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { createDatagramSocket, type DatagramOptions, SystemError } from "../../mod.ts";
import { bytes, dialled, textOf, texts } from "../support/datagrams.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";

test("createDatagramSocket() binds every form of address", async () => {
  for (
    const [network, address, hostname] of [
      ["udp", "127.0.0.1:0", "127.0.0.1"],
      ["udp4", "localhost:0", "127.0.0.1"],
      ["udp6", "[::1]:0", "::1"],
      ["udp", ":0", "::"],
      ["udp4", ":0", "0.0.0.0"],
    ] as const
  ) {
    await using socket = createDatagramSocket(network, address);
    assertEquals([socket.localAddress.transport, socket.localAddress.hostname], ["udp", hostname]);
    assert(socket.localAddress.port > 0);
    assertEquals(socket.remoteAddress, null);
  }
});

test("createDatagramSocket() refuses what it does not know, before there is a socket", async () => {
  await leaks(() => {
    const create = createDatagramSocket as (...given: unknown[]) => unknown;
    for (const network of ["tcp", "unix", "", null]) {
      assertThrows(() => create(network, "127.0.0.1:0"), TypeError);
    }
    for (const address of ["127.0.0.1", "::1:0", null, "x y:0"]) {
      assertThrows(() => create("udp", address), TypeError);
    }
    const wrong: [object, typeof TypeError | typeof RangeError][] = [
      [{ ondatagram() {} }, TypeError],
      [{ onDatagram: 1 }, TypeError],
      [{ onDatagram() {}, onDatagrams() {} }, TypeError],
      [{ receiveCountMax: 65 }, RangeError],
      [{ queueCountMax: 0 }, RangeError],
      [{ readTimeoutMs: -1 }, RangeError],
      [{ onQueueFull: "wait" }, TypeError],
      [{ segmentation: true }, TypeError],
      [{ ttl: 0 }, RangeError],
      [{ pathMtu: "big" }, TypeError],
      [{ broadcast: 1 }, TypeError],
    ];
    for (const [options, kind] of wrong) {
      assertThrows(() => create("udp", "127.0.0.1:0", options), kind as typeof TypeError);
    }
  });
});

test("createDatagramSocket() says that an address is taken, unless both share it", async () => {
  await using first = createDatagramSocket("udp4", "127.0.0.1:0", { reusePort: true });
  const at = textOf(first);
  const error = assertThrows(() => createDatagramSocket("udp4", at), SystemError, at);
  assertEquals(error.code, "EADDRINUSE");
  await using second = createDatagramSocket("udp4", at, { reusePort: true });
  assertEquals(second.localAddress, first.localAddress);
});

test("a socket of every address serves IPv4 and IPv6, unless it is v6Only", async () => {
  const options: DatagramOptions = { onDatagram: (datagram) => void datagram.reply(bytes("both")) };
  await using wide = createDatagramSocket("udp", ":0", options);
  const { port } = wide.localAddress;
  await using narrow = createDatagramSocket("udp", `0.0.0.0:0`, options);
  assertEquals(narrow.localAddress.hostname, "0.0.0.0");
  for (const hostname of ["127.0.0.1", "::1"]) {
    const address = { ...wide.localAddress, hostname, port };
    await using client = await dialled({ localAddress: address } as never);
    client.write(bytes("x"));
    await client.flush();
    assertEquals(await texts(client, 1), ["both"]);
  }
});

faultTest("createDatagramSocket() leaves nothing behind, whatever fails on the way", async () => {
  await leaks(() => {
    for (const call of ["socket", "setsockopt", "bind", "sockname", "epollCtl"] as const) {
      failWith(call, 12);
      assertThrows(() => createDatagramSocket("udp4", ":0", { ttl: 3 }), SystemError);
    }
  });
});
