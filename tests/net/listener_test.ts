import { assert, assertEquals, assertGreater, assertNotEquals, assertThrows } from "@std/assert";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import {
  createListener,
  type Listener,
  type ListenerOptions,
  NetpollError,
  type Network,
  SystemError,
} from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { show } from "../../src/core/options.ts";
import { parsePath } from "../../src/net/address.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import { ListenerSocket } from "../../src/net/listener_socket.ts";
import { getOption, Option, type OptionName } from "../../src/net/socket.ts";
import { commandFor } from "../support/child.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { descriptorCount } from "../support/leaks.ts";
import { root, withDirectory } from "../support/library.ts";
import { RawPeer } from "../support/raw_peer.ts";

function portOf({ address }: Listener): number {
  assert(address.transport === "tcp");
  return address.port;
}

function hostnameOf({ address }: Listener): string {
  assert(address.transport === "tcp");
  return address.hostname;
}

/** True when somebody takes the connections of a listener: nobody needs to accept for that. */
function isReachable(listener: Listener): boolean {
  try {
    using _peer = new RawPeer(listener);
    const fd = native.accept(listener.fd, new Uint32Array(31));
    if (fd >= 0) native.close(fd);
    return fd >= 0;
  } catch {
    return false;
  }
}

/** Listening fails with a code of the kernel's, and leaves no descriptor. */
function refuse(
  code: string,
  network: Network,
  address: string,
  options?: ListenerOptions,
): string {
  const before = descriptorCount();
  const error = assertThrows(() => createListener(network, address, options), SystemError);
  assertEquals(error.code, code);
  assertEquals(descriptorCount(), before);
  return error.message;
}

// ---- TCP ----------------------------------------------------------------------------------------

for (
  const [network, address, hostname] of [
    ["tcp", "127.0.0.1:0", "127.0.0.1"],
    ["tcp", "127.0.0.9:0", "127.0.0.9"],
    ["tcp4", "127.0.0.1:0", "127.0.0.1"],
    ["tcp4", "localhost:0", "127.0.0.1"],
    ["tcp", "localhost:0", "127.0.0.1"],
    ["tcp6", "localhost:0", "::1"],
    ["tcp", "[::1]:0", "::1"],
    ["tcp6", "[::1]:0", "::1"],
    ["tcp6", "[0:0:0:0:0:0:0:1]:0", "::1"],
    ["tcp", "[::ffff:127.0.0.1]:0", "127.0.0.1"],
    ["tcp", ":0", "::"],
    ["tcp4", ":0", "0.0.0.0"],
    ["tcp6", ":0", "::"],
    ["tcp4", "0.0.0.0:0", "0.0.0.0"],
  ] as const
) {
  test(`createListener("${network}", "${address}") listens on ${hostname}, the kernel chooses the port`, () => {
    using listener = createListener(network, address);
    assertEquals(hostnameOf(listener), hostname);
    assertGreater(portOf(listener), 0);
    assert(listener.fd >= 0);
    if (hostname === "127.0.0.1" && address.startsWith("[")) return; // mapped: RawPeer is IPv4 then
    assert(isReachable(listener));
  });
}

test("createListener() asks the resolver for other names", () => {
  // Every machine knows its own name, or says that it does not.
  using listener = createListener("tcp4", "LOCALHOST:0");
  assertEquals(hostnameOf(listener), "127.0.0.1");
});

test("createListener() says that a host is unknown", () => {
  const error = assertThrows(
    () => createListener("tcp", "no-such-host.invalid:0"),
    NetpollError,
    'Cannot resolve "no-such-host.invalid"',
  );
  assert(!(error instanceof SystemError));
});

test('createListener("tcp", ":0") takes IPv4 as well, with v6Only and as "tcp6" it does not', () => {
  const reach = (listener: Listener) => {
    try {
      new RawPeer({ transport: "tcp", hostname: "127.0.0.1", port: portOf(listener) }).close();
      const fd = native.accept(listener.fd, new Uint32Array(31));
      if (fd >= 0) native.close(fd);
      return fd >= 0;
    } finally {
      listener.close();
    }
  };
  assertEquals(reach(createListener("tcp", ":0")), true);
  assertEquals(reach(createListener("tcp", ":0", { v6Only: true })), false);
  assertEquals(reach(createListener("tcp6", ":0")), false);
  assertEquals(reach(createListener("tcp6", ":0", { v6Only: false })), true);
});

test("createListener() listens on the port it is told, again as soon as it is free", () => {
  const first = createListener("tcp", "127.0.0.1:0");
  const port = portOf(first);
  {
    using _peer = new RawPeer(first);
    const fd = native.accept(first.fd, new Uint32Array(31));
    native.close(fd); // our end first: it stays behind in TIME_WAIT
  }
  first.close();
  using second = createListener("tcp", `127.0.0.1:${port}`);
  assertEquals(portOf(second), port);
});

test("createListener() refuses an address in use", () => {
  using listener = createListener("tcp", "127.0.0.1:0");
  const at = `127.0.0.1:${portOf(listener)}`;
  assertEquals(
    refuse("EADDRINUSE", "tcp", at),
    `Cannot listen on ${at}: the address is in use (EADDRINUSE)`,
  );
  assert(isReachable(listener));
});

test("createListener() shares an address with reusePort, twice, if both want it", () => {
  using first = createListener("tcp", "127.0.0.1:0", { reusePort: true });
  const at = `127.0.0.1:${portOf(first)}`;
  using second = createListener("tcp", at, { reusePort: true });
  assertEquals(second.address, first.address);
  refuse("EADDRINUSE", "tcp", at);
  // The kernel spreads connections over both.
  const counts = [0, 0];
  for (let i = 0; i < 64; i++) {
    using _peer = new RawPeer(first);
    for (const [at, listener] of [first, second].entries()) {
      const fd = native.accept(listener.fd, new Uint32Array(31));
      if (fd < 0) continue;
      native.close(fd);
      counts[at]! += 1;
    }
  }
  assertEquals(counts[0]! + counts[1]!, 64);
  assert(counts[0]! > 0 && counts[1]! > 0, `${counts}`);
});

test("createListener() refuses an address that this machine does not have, unless freeBind", () => {
  refuse("EADDRNOTAVAIL", "tcp", "192.0.2.1:0");
  using listener = createListener("tcp", "192.0.2.1:0", { freeBind: true });
  assertEquals(hostnameOf(listener), "192.0.2.1");
});

for (const network of ["udp", "", "TCP", "tcp5", "unixgram", undefined, Symbol("s")]) {
  test(`createListener() refuses the network ${String(network)} (netpoll 167)`, () => {
    assertThrows(
      () => createListener(network as unknown as Network, "127.0.0.1:0"),
      TypeError,
      `Cannot listen on the network ${show(network)}: it is "tcp", "tcp4", "tcp6" or "unix"`,
    );
  });
}

test("createListener() refuses numbers that mean nothing, and leaves no descriptor", () => {
  const before = descriptorCount();
  const bad: ListenerOptions[] = [
    { backlog: 0 },
    { backlog: -1 },
    { backlog: 1.5 },
    { backlog: NaN },
    { backlog: 2 ** 31 },
    { deferAcceptMs: NaN },
    { deferAcceptMs: -1 },
    { fastOpen: -1 },
    { fastOpen: 0.5 },
    { mode: -1 },
    { mode: 0o10000 },
    { mode: NaN },
    { sendBufferBytes: -1 },
  ];
  for (const options of bad) {
    assertThrows(() => createListener("tcp", "127.0.0.1:0", options), RangeError, "Cannot");
  }
  assertThrows(() => createListener("tcp", "127.0.0.1"), TypeError);
  assertThrows(() => createListener("tcp4", "[::1]:0"), NetpollError, "it has no such address");
  assertEquals(descriptorCount(), before);
});

test("createListener() with a backlog lets so many wait, and one more", () => {
  using listener = createListener("tcp", "127.0.0.1:0", { backlog: 1 });
  const peers = Array.from({ length: 4 }, () => new RawPeer(listener));
  let taken = 0;
  for (let i = 0; i < 4; i++) {
    const fd = native.accept(listener.fd, new Uint32Array(31));
    if (fd < 0) break;
    taken += 1;
    native.close(fd);
  }
  assertEquals(taken, 2); // the kernel's queue holds one more than it is told (tcp_acceptq is full above)
  for (const peer of peers) peer.close();
});

faultTest(
  "createListener() leaves nothing behind, when the kernel refuses a step",
  () =>
    withDirectory((directory) => {
      const path = join(directory, "socket");
      for (const call of ["socket", "bind", "listen", "sockname"] as const) {
        for (const [network, address] of [["tcp", "127.0.0.1:0"], ["unix", path]] as const) {
          failWith(call, ERRNO.ENOMEM);
          refuse("ENOMEM", network, address);
          assert(!existsSync(path), `${call} for ${network}`);
        }
      }
    }),
);

// ---- what connections inherit -------------------------------------------------------------------

test("accepted connections inherit the options of their listener", () => {
  for (const address of ["127.0.0.1:0", "[::1]:0"]) {
    using listener = createListener("tcp", address, {
      keepAlive: { idleMs: 61_000, intervalMs: 7_000, count: 5 },
      userTimeoutMs: 12_345,
      sendBufferBytes: 100_000,
      receiveBufferBytes: 50_000,
      notSentLowWaterBytes: 16_384,
      typeOfService: 0xb8,
    });
    using _peer = new RawPeer(listener);
    const fd = native.accept(listener.fd, new Uint32Array(31));
    assert(fd >= 0);
    const expected: [OptionName, number][] = [
      [Option.NO_DELAY, 1],
      [Option.KEEP_ALIVE, 1],
      [Option.KEEP_IDLE, 61],
      [Option.KEEP_INTERVAL, 7],
      [Option.KEEP_COUNT, 5],
      [Option.USER_TIMEOUT, 12_345],
      [Option.SEND_BUFFER, 200_000],
      [Option.RECEIVE_BUFFER, 100_000],
      [Option.NOT_SENT_LOW_WATER, 16_384],
      address.startsWith("[") ? [Option.TRAFFIC_CLASS, 0xb8] : [Option.TYPE_OF_SERVICE, 0xb8],
    ];
    assertEquals(expected.map(([option]) => getOption(fd, option)), expected.map(([, is]) => is));
    native.close(fd);
  }
});

test("noDelay is on unless it is turned off", () => {
  for (const [options, expected] of [[{}, 1], [{ noDelay: false }, 0]] as const) {
    using listener = createListener("tcp", "127.0.0.1:0", options);
    using _peer = new RawPeer(listener);
    const fd = native.accept(listener.fd, new Uint32Array(31));
    assertEquals(getOption(fd, Option.NO_DELAY), expected);
    native.close(fd);
  }
});

test("deferAcceptMs tells of a connection when its first bytes are there", () => {
  using listener = createListener("tcp", "127.0.0.1:0", { deferAcceptMs: 5000, fastOpen: 16 });
  assertGreater(getOption(listener.fd, Option.DEFER_ACCEPT), 0);
  assertEquals(getOption(listener.fd, Option.FAST_OPEN), 16);
  using peer = new RawPeer(listener);
  assertEquals(native.accept(listener.fd, new Uint32Array(31)), -ERRNO.EAGAIN);
  peer.send("x");
  const fd = native.accept(listener.fd, new Uint32Array(31));
  assert(fd >= 0);
  native.close(fd);
});

// ---- Unix sockets -------------------------------------------------------------------------------

test("createListener() makes the file of a Unix socket, and close() removes it (netpoll 170)", () =>
  withDirectory((directory) => {
    const path = join(directory, "socket");
    const listener = createListener("unix", path);
    assertEquals(listener.address, { transport: "unix", path });
    assert(lstatSync(path).isSocket());
    assert(isReachable(listener));
    listener.close();
    assert(!existsSync(path));
    assertEquals(listener.fd, -1);
    listener.close(); // twice is harmless
  }));

test("createListener() listens on an abstract name, which needs no file and goes with the socket", () => {
  const name = `@netpoll test ${process.pid}`;
  const listener = createListener("unix", name, { mode: 0o600 });
  assertEquals(listener.address, { transport: "unix", path: name });
  assert(!existsSync(name));
  assert(isReachable(listener));
  refuse("EADDRINUSE", "unix", name);
  listener.close();
  createListener("unix", name).close();
});

test("createListener() gives the file the permissions it is told", () =>
  withDirectory((directory) => {
    const path = join(directory, "socket");
    for (const mode of [0o600, 0o660, 0o777]) {
      using _listener = createListener("unix", path, { mode });
      assertEquals(lstatSync(path).mode & 0o777, mode);
    }
  }));

/** Leaves a socket's file behind, as a process that dies does. */
function leaveStale(path: string): void {
  const fd = native.socket(1);
  assertEquals(native.bind(fd, parsePath(path)), 0);
  assertEquals(native.listen(fd, 1), 0);
  native.close(fd);
  assert(lstatSync(path).isSocket());
}

test("createListener() replaces the file of a server that died", () =>
  withDirectory((directory) => {
    const path = join(directory, "socket");
    leaveStale(path);
    using listener = createListener("unix", path);
    assert(isReachable(listener));
  }));

test("createListener() does not replace the file of a server that lives, however busy", () =>
  withDirectory((directory) => {
    const path = join(directory, "socket");
    using listener = createListener("unix", path, { backlog: 1 });
    const message = refuse("EADDRINUSE", "unix", path);
    assertEquals(message, `Cannot listen on ${path}: the address is in use (EADDRINUSE)`);
    const peers = [];
    for (;;) {
      try {
        peers.push(new RawPeer(listener));
        if (peers.length > 16) break;
      } catch {
        break; // its queue is full
      }
    }
    refuse("EADDRINUSE", "unix", path);
    assert(lstatSync(path).isSocket());
    for (const peer of peers) peer.close();
  }));

test("createListener() never removes what is no socket", () =>
  withDirectory((directory) => {
    const path = join(directory, "file");
    writeFileSync(path, "precious");
    refuse("EADDRINUSE", "unix", path);
    assertEquals(readFileSync(path, "utf8"), "precious");
    const folder = join(directory, "folder");
    mkdirSync(folder);
    refuse("EADDRINUSE", "unix", folder);
    assert(lstatSync(folder).isDirectory());
    const stale = join(directory, "stale");
    leaveStale(stale);
    const link = join(directory, "link");
    symlinkSync(stale, link);
    refuse("EADDRINUSE", "unix", link);
    assert(lstatSync(link).isSymbolicLink() && existsSync(stale));
  }));

test("close() leaves the file that another server has put in the place of ours", () =>
  withDirectory((directory) => {
    const path = join(directory, "socket");
    const first = createListener("unix", path);
    unlinkSync(path);
    using second = createListener("unix", path);
    first.close();
    assert(isReachable(second));
    writeFileSync(join(directory, "gone"), "");
    const third = createListener("unix", join(directory, "third"));
    unlinkSync(join(directory, "third"));
    third.close(); // nothing is there to remove
  }));

test("close() removes the file of a server whose file was given other permissions", () =>
  withDirectory((directory) => {
    const path = join(directory, "socket");
    const listener = createListener("unix", path);
    chmodSync(path, 0o600);
    listener.close();
    assert(!existsSync(path));
  }));

test("close() removes the file of a relative path, wherever the program went", () =>
  withDirectory((directory) => {
    const from = process.cwd();
    try {
      process.chdir(directory);
      const first = createListener("unix", "socket");
      mkdirSync("elsewhere");
      process.chdir("elsewhere");
      const second = createListener("unix", "socket");
      first.close();
      assertEquals([existsSync("../socket"), existsSync("socket")], [false, true]);
      second.close();
      assertEquals(existsSync("socket"), false);
    } finally {
      process.chdir(from);
    }
  }));

test("createListener() says what is wrong with a path", () =>
  withDirectory((directory) => {
    refuse("ENOENT", "unix", join(directory, "missing", "socket"));
    writeFileSync(join(directory, "file"), "");
    refuse("ENOTDIR", "unix", join(directory, "file", "socket"));
    assertThrows(() => createListener("unix", ""), TypeError, "empty path");
    assertThrows(() => createListener("unix", "a\0b"), TypeError, "0 byte");
    assertThrows(() => createListener("unix", `/${"x".repeat(200)}`), TypeError, "201 bytes");
  }));

/** Takes root's powers over ports and files from a command, or null where that cannot be done. */
function powerless(command: string, args: string[]): [string, string[]] | null {
  if (process.getuid!() !== 0) return [command, args];
  if (spawnSync("setpriv", ["--version"]).status !== 0) return null;
  const powers = "-net_bind_service,-dac_override";
  return ["setpriv", [`--bounding-set=${powers}`, `--inh-caps=${powers}`, command, ...args]];
}

const hasPowers = powerless("", []) === null;

test("createListener() refuses a privileged port, and a directory that it may not write to", {
  skip: hasPowers ? "this is root, and there is no setpriv to take its powers away" : false,
}, () =>
  withDirectory((directory) => {
    chmodSync(directory, 0o500);
    const args = ["tcp", "127.0.0.1:1", "unix", join(directory, "socket"), "tcp", "127.0.0.1:0"];
    const [command, rest] = powerless(
      ...commandFor(`${root}tests/support/listen_codes.ts`, { args }),
    )!;
    const { stdout, stderr } = spawnSync(command, rest, { cwd: root, encoding: "utf8" });
    const start = readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8");
    const first = Number(start) > 1 ? "EACCES" : "listens";
    assertEquals([stdout, stderr], [`${first}\nEACCES\nlistens\n`, ""]);
    chmodSync(directory, 0o700);
  }));

// ---- the object ---------------------------------------------------------------------------------

test("a listener closes at the end of its block, and keeps its address", () => {
  let after: Listener;
  {
    using listener = createListener("tcp", "127.0.0.1:0");
    after = listener;
  }
  assertEquals(after.fd, -1);
  assertNotEquals(portOf(after), 0);
});

test("listenerSocket() knows its own", () => {
  using listener = createListener("tcp", "127.0.0.1:0");
  assert(listenerSocket(listener) instanceof ListenerSocket);
});

test("Listener.reloadTls() refuses a listener that has no TLS", () => {
  using listener = createListener("tcp", "127.0.0.1:0");
  const none = { certificate: "-----BEGIN ", key: "-----BEGIN " };
  assertThrows(() => listener.reloadTls(none), TypeError, "without the option tls");
});
