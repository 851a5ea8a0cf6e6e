import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import {
  listenersFromSystemd,
  NetpollError,
  notifySystemd,
  type SystemdOptions,
  systemdWatchdogMs,
  SystemError,
} from "../../mod.ts";
import { check } from "../../src/core/check.ts";
import { Family, parsePath } from "../../src/net/address.ts";
import { blocks } from "../../src/buffer/block.ts";
import { commandFor } from "../support/child.ts";
import { leaks } from "../support/leaks.ts";
import { root, withDirectory } from "../support/library.ts";

type Variables = Record<string, string | undefined>;

/** Calls with these variables in the environment, and without them afterwards. */
function withEnv<T>(variables: Variables, call: () => T): T {
  const names = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", ...Object.keys(variables)];
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  for (const [name, value] of Object.entries(variables)) {
    if (value !== undefined) process.env[name] = value;
  }
  try {
    return call();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

const pid = `${process.pid}`;

test("listenersFromSystemd() is empty where nothing was passed on, or to another process", () =>
  leaks(() => {
    for (
      const variables of [
        {},
        { LISTEN_FDS: "1" },
        { LISTEN_PID: pid },
        { LISTEN_PID: "1", LISTEN_FDS: "1" },
        { LISTEN_PID: "1", LISTEN_FDS: "nonsense" },
      ] as Variables[]
    ) {
      withEnv(variables, () => {
        assertEquals(listenersFromSystemd(), []);
        assertEquals([process.env["LISTEN_PID"], process.env["LISTEN_FDS"]], [
          undefined,
          undefined,
        ]);
      });
    }
  }));

test("listenersFromSystemd() says what is malformed, and takes it out of the environment", () =>
  leaks(() => {
    for (
      const variables of [
        { LISTEN_PID: "nonsense", LISTEN_FDS: "1" },
        { LISTEN_PID: "-5", LISTEN_FDS: "1" },
        { LISTEN_PID: "", LISTEN_FDS: "1" },
        ...["", "0", "-1", "1.5", "0x3", " 1", "1e3", "99999999999999999999", "2147483647"].map(
          (LISTEN_FDS) => ({ LISTEN_PID: pid, LISTEN_FDS }),
        ),
        { LISTEN_PID: pid, LISTEN_FDS: "2", LISTEN_FDNAMES: "one" },
        { LISTEN_PID: pid, LISTEN_FDS: "1", LISTEN_FDNAMES: "one:two" },
      ]
    ) {
      withEnv(variables, () => {
        assertThrows(() => listenersFromSystemd(), NetpollError, "", JSON.stringify(variables));
        assertEquals("LISTEN_FDS" in process.env, false);
      });
    }
    // So many are not open.
    const many = { LISTEN_PID: pid, LISTEN_FDS: "2000000000" };
    withEnv(many, () => assertThrows(() => listenersFromSystemd(), SystemError));
    assertThrows(() => listenersFromSystemd({ onOthers: 1 } as SystemdOptions), TypeError);
    assertThrows(() => listenersFromSystemd({ onOther: 1 as never }), TypeError);
  }));

/** Python opens sockets as systemd does, and then becomes this program. */
const PASS = `
import os, socket, sys
kinds = sys.argv[1].split(",")
made = []
for kind in kinds:
    if kind == "tcp": s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(5)
    elif kind == "unix": s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[2]); s.listen(5)
    elif kind == "udp": s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elif kind == "pipe": s = os.fdopen(os.pipe()[0])
    made.append(s)
high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(made)]
for i, fd in enumerate(high): os.dup2(fd, 3 + i, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(made)), LISTEN_FDNAMES=":".join(kinds))
os.execvp(sys.argv[3], sys.argv[3:])
`;
const hasPython = spawnSync("python3", ["--version"]).status === 0;
const skip = hasPython ? false : "python3 is not installed";

test(
  "listenersFromSystemd() serves what was opened elsewhere, and hands over the rest",
  { skip },
  () =>
    withDirectory((directory) => {
      const [program, args] = commandFor(`${root}tests/support/systemd_listen.ts`);
      const kinds = "udp,tcp,unix,pipe";
      const path = join(directory, "socket");
      const argv = ["-c", PASS, kinds, path, program, ...args];
      const { status, stdout, stderr } = spawnSync("python3", argv, {
        cwd: root,
        encoding: "utf8",
      });
      assertEquals(
        [status, stdout.trim().split("\n")],
        [0, [
          "udp 3 a datagram socket",
          "pipe 6 a pipe",
          "again 0, false",
          "tcp 4 tcp HELLO",
          "unix 5 unix HELLO",
        ]],
        stderr,
      );
    }),
);

/** A datagram socket at an address, as systemd has one, and what it is told. */
function notified(path: string, call: () => void): string[] {
  const fd = check("open a socket", native.datagramSocket(Family.UNIX));
  check("bind", native.bind(fd, parsePath(path)));
  const block = blocks.takeIfAny(1024)!;
  const texts: string[] = [];
  try {
    call();
    for (;;) {
      const count = native.recv(fd, block.slab.id, block.offset, 1024);
      if (count < 0) return texts;
      const bytes = block.slab.bytes.slice(block.offset, block.offset + count);
      texts.push(new TextDecoder().decode(bytes));
    }
  } finally {
    block.release();
    native.close(fd);
  }
}

test("notifySystemd() tells at a path and at an abstract name, and nobody where none is set", () =>
  leaks(() =>
    withDirectory((directory) => {
      for (const path of [join(directory, "notify"), "@netpoll-notify-test"]) {
        const told = notified(path, () =>
          withEnv({ NOTIFY_SOCKET: path }, () => {
            assertEquals(notifySystemd("READY=1\nSTATUS=Serving ü"), true);
            for (const word of ["STOPPING=1", "WATCHDOG=1", "RELOADING=1"]) notifySystemd(word);
          }));
        const reloading = told.pop()!;
        assertEquals(told, ["READY=1\nSTATUS=Serving ü", "STOPPING=1", "WATCHDOG=1"]);
        assertMatch(reloading, /^RELOADING=1\nMONOTONIC_USEC=\d{6,}$/);
      }
      withEnv({ NOTIFY_SOCKET: undefined }, () => assertEquals(notifySystemd("READY=1"), false));
    })
  ));

test("notifySystemd() refuses what is no state, and an address that is none", () =>
  leaks(() => {
    for (const state of ["", "READY", "ready=1", "=1", "READY=1\nno", 5, null, undefined]) {
      assertThrows(() => notifySystemd(state as string), TypeError);
    }
    for (const NOTIFY_SOCKET of ["relative", "@", "vsock:2:1234"]) {
      withEnv({ NOTIFY_SOCKET }, () => assertThrows(() => notifySystemd("READY=1"), NetpollError));
    }
    withEnv({ NOTIFY_SOCKET: "/nonexistent/notify" }, () => {
      assertThrows(() => notifySystemd("READY=1"), SystemError, "ENOENT");
    });
  }));

test("systemdWatchdogMs() is half of what systemd waits, and 0 where it waits for nobody", () => {
  const everyMs = (variables: Variables) =>
    withEnv({ WATCHDOG_USEC: undefined, WATCHDOG_PID: undefined, ...variables }, systemdWatchdogMs);
  assertEquals(everyMs({}), 0);
  assertEquals(everyMs({ WATCHDOG_USEC: "30000000" }), 15_000);
  assertEquals(everyMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: pid }), 15_000);
  assertEquals(everyMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }), 0);
  assertEquals(everyMs({ WATCHDOG_USEC: "1" }), 1);
  for (const WATCHDOG_USEC of ["", "0", "-1", "x"]) {
    assertThrows(() => everyMs({ WATCHDOG_USEC }), NetpollError);
  }
});
