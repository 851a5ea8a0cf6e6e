import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeSync, openSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import {
  closeDescriptor,
  createDatagramSocket,
  createListener,
  type DatagramFromFdOptions,
  type DatagramSocket,
  dialDatagram,
  SystemError,
} from "../../mod.ts";
import { Family, rawAddress, rawFromNumeric, udpAddress } from "../../src/net/address.ts";
import { getOption, Option } from "../../src/net/socket.ts";
import { bound, bytes, echo, texts } from "../support/datagrams.ts";
import { leaks } from "../support/leaks.ts";
import { libraryPath } from "../support/library.ts";
import { until } from "../support/until.ts";

/** Another descriptor of a socket, as a process that inherits it has. */
function inherited({ fd }: DatagramSocket): number {
  return native.disown(native.dup(fd));
}

/** A socket that somebody has bound and asked for nothing, as systemd does; and its port. */
function boundElsewhere(hostname: string): [fd: number, port: number] {
  const family = hostname.includes(":") ? Family.IPV6 : Family.IPV4;
  const fd = native.disown(native.datagramSocket(family));
  assertEquals(native.bind(fd, rawFromNumeric(hostname, 0)), 0);
  const raw = rawAddress();
  native.name(fd, 0, raw);
  return [fd, udpAddress(raw).port];
}

/** The status flags of an open file, and close-on-exec. */
function flagsOf(fd: number): number {
  return parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!, 8);
}

const TRAINS = [17, 104] as const;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2_000_000;

const ECHO = {
  onDatagram: (datagram: { bytes: Uint8Array; reply(bytes: Uint8Array): unknown }) =>
    void datagram.reply(datagram.bytes),
};

test("createDatagramSocket({ fd }) answers from the address that was asked, what came before it, too", () =>
  leaks(async () => {
    const cases = [
      ["127.0.0.1", "127.0.0.1"],
      ["0.0.0.0", "127.0.0.9"],
      ["::", "127.0.0.9"],
      ["::", "[::1]"],
      ["::1", "[::1]"],
    ] as const;
    for (const [hostname, asked] of cases) {
      const [fd, port] = boundElsewhere(hostname);
      await using client = await dialDatagram("udp", `${asked}:${port}`, { readTimeoutMs: 10_000 });
      client.write(bytes("early")); // nobody serves yet
      await client.flush();
      await using server = createDatagramSocket({ fd, ...ECHO });
      assertEquals([server.fd, server.localAddress.port], [fd, port]);
      assertEquals(await texts(client, 1), ["early"], `${asked} at ${hostname}`);
      client.write(bytes("late"));
      await client.flush();
      assertEquals(await texts(client, 1), ["late"], `${asked} at ${hostname}`);
    }
  }));

test("createDatagramSocket({ fd }) sets options, and makes a descriptor non-blocking and close-on-exec", () =>
  leaks(async () => {
    const [fd] = boundElsewhere("127.0.0.1");
    await using socket = createDatagramSocket({ fd, priority: 3, timestamps: true });
    assertEquals(flagsOf(socket.fd) & (O_NONBLOCK | O_CLOEXEC), O_NONBLOCK | O_CLOEXEC);
    assertEquals(getOption(socket.fd, Option.PRIORITY), 3);
    // Whoever has the socket next may not know trains (UDP_GRO); the process before us did.
    assertEquals(getOption(socket.fd, TRAINS), 0);
    await using ours = bound();
    await using next = createDatagramSocket({ fd: inherited(ours) });
    assertEquals(getOption(next.fd, TRAINS), 1);
  }));

test("createDatagramSocket({ fd }) shares a socket: one goes on where the other has closed", () =>
  leaks(async () => {
    const first = echo();
    const second = createDatagramSocket({ fd: inherited(first), ...ECHO });
    await using client = await dialDatagram(first.localAddress, { readTimeoutMs: 10_000 });
    const ask = async (question: string) => {
      client.write(bytes(question));
      await client.flush();
      assertEquals(await texts(client, 1), [question]);
    };
    await ask("both");
    first.pauseRead();
    await ask("the second alone");
    await second.close();
    client.write(bytes("waits"));
    await client.flush();
    first.resumeRead();
    assertEquals(await texts(client, 1), ["waits"]);
    await first.close();
  }));

test("createDatagramSocket({ fd }) says what a descriptor is that is no bound UDP socket, and leaves it", () =>
  leaks(async () => {
    const [connected, port] = boundElsewhere("127.0.0.1");
    assertEquals(native.connect(connected, rawFromNumeric("127.0.0.1", port)), 0);
    using listener = createListener("tcp", "127.0.0.1:0");
    await using taken = bound();
    const stream = native.socket(Family.IPV4);
    const unix = native.datagramSocket(Family.UNIX);
    const pair = new Int32Array(2);
    assertEquals(native.socketpair(pair), 0);
    const unbound = [Family.IPV4, Family.IPV6].map((family) => native.datagramSocket(family));
    const file = openSync(libraryPath, "r");
    for (
      const [fd, what] of [
        [connected, `it is connected to 127.0.0.1:${port}`],
        [listener.fd, "it is a listener"],
        [taken.fd, "a datagram socket of this thread has it"],
        [stream, "it is a stream socket that does not listen"],
        [pair[0]!, "it is a connection"],
        [unix, "it is a datagram socket of Unix"],
        [unbound[0]!, "it is not bound"],
        [unbound[1]!, "it is not bound"],
        [file, "it is a file"],
      ] as const
    ) {
      const before = flagsOf(fd);
      assertThrows(() => createDatagramSocket({ fd }), TypeError, `descriptor ${fd}: ${what}`);
      assertEquals(flagsOf(fd), before);
    }
    for (const fd of [connected, stream, unix, ...pair, ...unbound]) native.close(fd);
    closeSync(file);
  }));

test("createDatagramSocket({ fd }) refuses what is no descriptor or no option, and leaves it open", () =>
  leaks(async () => {
    const strange = (value: unknown) => ({ fd: value }) as unknown as DatagramFromFdOptions;
    for (const value of [-1, 1.5, NaN, 2 ** 31, "3", null, undefined, {}, [3]]) {
      assertThrows(() => createDatagramSocket(strange(value)), TypeError, "Cannot take datagrams");
    }
    const error = assertThrows(() => createDatagramSocket({ fd: 1_000_000 }), SystemError);
    assertEquals(error.code, "EBADF");
    const [fd] = boundElsewhere("127.0.0.1");
    for (const name of ["reusePort", "v6Only", "freeBind", "adress"]) {
      const unknown = { fd, [name]: true } as DatagramFromFdOptions;
      assertThrows(() => createDatagramSocket(unknown), TypeError, name);
    }
    assertThrows(() => createDatagramSocket({ fd, priority: 99 }), RangeError);
    assertThrows(() => createDatagramSocket({ fd, multicastInterface: "none0" }), Error);
    const second = [{ fd }, ECHO] as unknown as [DatagramFromFdOptions];
    assertThrows(() => createDatagramSocket(...second), TypeError, "beside fd");
    await createDatagramSocket({ fd: native.disown(native.dup(fd)) }).close();
    closeDescriptor(fd); // it is the caller's still
  }));

test("a socket that two have and one closes loses no datagram, and gives none twice", () =>
  leaks(async () => {
    const count = 2000;
    const counts = [0, 0];
    const seen = new Set<number>();
    const take = (index: number) => ({
      onDatagram: ({ bytes }: { bytes: Uint8Array }) => {
        counts[index]! += 1;
        seen.add(bytes[0]! * 256 + bytes[1]!);
      },
    });
    const first = bound(take(0));
    await using client = await dialDatagram(first.localAddress);
    let second: DatagramSocket | null = null;
    for (let n = 0; n < count; n++) {
      client.write(Uint8Array.of(n >> 8, n & 255));
      await client.flush();
      if (n % 50 === 0) await until(() => counts[0]! + counts[1]! > n - 50, "some are received");
      if (n === 500) second = createDatagramSocket({ fd: inherited(first), ...take(1) });
      if (n === 1000) await first.close();
    }
    await until(() => counts[0]! + counts[1]! >= count, "all are received");
    assertEquals([counts[0]! + counts[1]!, seen.size], [count, count]);
    assert(counts[0]! >= 400 && counts[1]! >= 900, `${counts}`);
    await second!.close();
  }));
