import { assertEquals, assertThrows } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  createDatagramSocket,
  type DatagramNetwork,
  type DatagramSocket,
  type GroupOptions,
  NetpollError,
  packPeer,
  SystemError,
} from "../../mod.ts";
import { bytes, texts } from "../support/datagrams.ts";
import { ticks } from "../support/until.ts";

/** A group that this machine can hear. */
interface Heard {
  readonly network: DatagramNetwork;
  readonly every: string;
  readonly group: string;
  /** An address of ours, and another one. */
  readonly from: string;
  readonly other: string;
  /** The interface that has a way to groups. */
  readonly name: string;
}

/** Of IPv6 loopback has no way to groups; another interface keeps to this machine (hop limit 0). */
function ipv6Group(): Heard | null {
  const lines = (path: string) => {
    try {
      return readFileSync(path, "utf8").trim().split("\n").map((line) => line.trim().split(/ +/));
    } catch {
      return [];
    }
  };
  const name = lines("/proc/net/ipv6_route").find(([to]) => to?.startsWith("ff00"))?.at(-1);
  const own = lines("/proc/net/if_inet6").find((line) => line.at(-1) === name && line[3] === "00");
  if (name === undefined || own === undefined) return null;
  const from = own[0]!.replace(/(.{4})(?=.)/g, "$1:");
  return { network: "udp6", every: "[::]:0", group: "ff15::4321", from, other: "fd00::99", name };
}

const GROUPS: readonly Heard[] = [
  {
    network: "udp4",
    every: "0.0.0.0:0",
    group: "239.255.43.21",
    from: "127.0.0.1",
    other: "127.0.0.99",
    name: "lo",
  },
  ...[ipv6Group()].filter((each) => each !== null),
];
const LOOPBACK: GroupOptions = { interface: "lo" };

function hearing(network: DatagramNetwork, every: string): DatagramSocket {
  return createDatagramSocket(network, every, { readTimeoutMs: 3000, reusePort: true });
}

function portOf({ localAddress }: DatagramSocket): number {
  return localAddress.port;
}

/** Sends a text to a group through loopback; why not, where this machine cannot. */
async function tell({ group, from, name }: Heard, port: number, text: string): Promise<string> {
  const at = from.includes(":") ? `[${from}]:0` : `${from}:0`;
  const errors: string[] = [];
  await using sender = createDatagramSocket("udp", at, {
    multicastInterface: name,
    multicastTtl: 0,
    onError: (error) => errors.push((error as SystemError).code),
  });
  sender.writeTo(packPeer({ transport: "udp", hostname: group, port }), bytes(text));
  await sender.flush();
  await ticks(2);
  return errors[0] ?? "";
}

for (const heard of GROUPS) {
  const { network, every, group, from, other, name } = heard;
  const way: GroupOptions = { interface: name };

  test(`joinGroup() hears ${group}, and leaveGroup() no more`, async () => {
    await using socket = hearing(network, every);
    socket.joinGroup(group, way);
    assertEquals(await tell(heard, portOf(socket), "one"), "");
    assertEquals(await texts(socket, 1), ["one"]);
    socket.leaveGroup(group, way);
    await tell(heard, portOf(socket), "two");
    socket.joinGroup(group, way);
    await tell(heard, portOf(socket), "three");
    assertEquals(await texts(socket, 1), ["three"]);
  });

  test(`joinGroup() hears ${group} from one source alone, where that is asked for`, async () => {
    await using socket = hearing(network, every);
    socket.joinGroup(group, { ...way, source: other });
    await tell(heard, portOf(socket), "from another");
    socket.joinGroup(group, { ...way, source: from });
    await tell(heard, portOf(socket), "from this one");
    assertEquals(await texts(socket, 1), ["from this one"]);
    socket.leaveGroup(group, { ...way, source: from });
    socket.leaveGroup(group, { ...way, source: other });
  });

  test(`reply() to what was sent to ${group} comes from an address of ours`, async () => {
    await using socket = hearing(network, every);
    socket.joinGroup(group, way);
    await using asker = createDatagramSocket(
      "udp",
      from.includes(":") ? `[${from}]:0` : `${from}:0`,
      {
        multicastInterface: name,
        multicastTtl: 0,
        readTimeoutMs: 3000,
      },
    );
    const to = packPeer({ transport: "udp", hostname: group, port: portOf(socket) });
    asker.writeTo(to, bytes("question"));
    await asker.flush();
    await socket.wait();
    const question = socket.datagrams.at(0);
    assertEquals(question.localAddress.hostname, group);
    question.reply(bytes("answer"));
    socket.release();
    await socket.flush();
    assertEquals(socket.metrics().dropped.refused, 0);
    await asker.wait();
    const { remoteAddress } = asker.datagrams.at(0);
    const { hostname } = asker.localAddress; // the same machine
    assertEquals([remoteAddress.hostname, remoteAddress.port], [hostname, portOf(socket)]);
    asker.release();
  });

  test(`a socket does not hear ${group} when somebody else has joined it (IP_MULTICAST_ALL)`, async () => {
    await using joined = hearing(network, every);
    joined.joinGroup(group, way);
    await using bystander = hearing(network, every.replace(/0$/, String(portOf(joined))));
    await tell(heard, portOf(joined), "for one");
    assertEquals(await texts(joined, 1), ["for one"]);
    assertEquals(bystander.metrics().received.bufferedBytes, 0);
  });
}

test("joinGroup() and leaveGroup() refuse what is no group, and say what the kernel says", async () => {
  await using four = hearing("udp4", "0.0.0.0:0");
  for (const wrong of ["127.0.0.1", "::1", "name", "", null, 5]) {
    assertThrows(() => four.joinGroup(wrong as string), TypeError);
  }
  assertThrows(() => four.joinGroup("ff15::1"), TypeError, "one of IPv4");
  const group = "239.255.43.21";
  assertThrows(
    () => four.joinGroup(group, { interface: "no-such-if" }),
    NetpollError,
    "no-such-if",
  );
  for (const wrong of [0, -1, 1.5, "a b", "", 2 ** 32 + 1, "4294967297", 1n, ["1"]]) {
    assertThrows(() => four.joinGroup(group, { interface: wrong as string }), TypeError);
  }
  assertThrows(() => four.joinGroup(group, { source: "::1" }), TypeError, "two families");
  assertThrows(() => four.joinGroup(group, { from: "x" } as never), TypeError, "Unknown option");
  assertEquals(
    assertThrows(() => four.leaveGroup(group, LOOPBACK), SystemError).code,
    "EADDRNOTAVAIL",
  );
  four.joinGroup(group, LOOPBACK);
  assertEquals(assertThrows(() => four.joinGroup(group, LOOPBACK), SystemError).code, "EADDRINUSE");
});
