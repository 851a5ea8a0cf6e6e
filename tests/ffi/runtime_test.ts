import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import type { AdoptedSocket } from "../../ffi/host.ts";
import { host, outdated } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { run } from "../support/child.ts";
import { root } from "../support/library.ts";

const NOT_DENO = host.name === "deno" ? false : "Bun has no permissions";

/** Two connected sockets. */
function pair(): [number, number] {
  const fds = new Int32Array(2);
  assertEquals(native.socketpair(fds), 0);
  return [fds[0]!, fds[1]!];
}

/** Lets the runtime have a socket, which closes it: it is no longer netpoll's to give back. */
function adopt(fd: number, onReadable: () => void): AdoptedSocket {
  native.disown(fd);
  return host.adopt(fd, onReadable);
}

/** Puts one byte into a socket. */
function ring(fd: number): void {
  assertEquals(native.sendBorrowed(fd, new Uint8Array(1), 1, 0, 1, 0), 1);
}

test("host is the runtime that runs this", () => {
  assertEquals(host.name, process.versions["bun"] === undefined ? "deno" : "bun");
});

test("outdated() says which version is needed, for one that is too old", () => {
  assertEquals(outdated(host.name, host.version), null);
  assertEquals(
    outdated("bun", "1.3.14"),
    "it needs Bun 1.4.0 or newer, and this is 1.3.14",
  );
  assertEquals(
    outdated("deno", "2.7.14"),
    "it needs Deno 2.8.0 or newer, and this is 2.7.14",
  );
  for (const version of ["2.8.0", "2.10.0", "10.0.0"]) {
    assertEquals(outdated("deno", version), null);
  }
  for (const version of ["1.4.0", "1.4.1-canary.5", "1.14.0"]) {
    assertEquals(outdated("bun", version), null);
  }
});

test("wrap() shows native memory, both ways", () => {
  const bytes = 2 << 20;
  const slab = native.slabMap(bytes);
  const memory = new Uint8Array(host.wrap(native.slabAddress(slab), bytes)!);
  assertEquals(memory.length, bytes);
  const [ours, theirs] = pair();
  memory.set([7, 8, 9], bytes - 3);
  assertEquals(native.send(ours, slab, bytes - 3, 3, 0), 3);
  assertEquals(native.recv(theirs, slab, 0, 8), 3);
  assertEquals([...memory.subarray(0, 4)], [7, 8, 9, 0]);
  native.close(ours);
  native.close(theirs);
});

test("adopt() calls back when bytes arrive, each time", async () => {
  const [ours, theirs] = pair();
  let wake = () => {};
  let socket: AdoptedSocket | null = null;
  try {
    socket = adopt(theirs, () => wake());
    socket.ref();
    for (let i = 0; i < 3; i++) {
      const woken = new Promise<void>((resolve) => wake = resolve);
      ring(ours);
      await woken;
    }
  } finally {
    socket?.close();
    native.close(ours);
  }
});

test("adopt() closes the descriptor, when the socket is closed", async () => {
  const [ours, theirs] = pair();
  const woken = Promise.withResolvers<void>();
  const socket = adopt(theirs, () => woken.resolve());
  socket.ref();
  ring(ours);
  await woken.promise;
  socket.close();
  const slab = native.slabMap(2 << 20);
  // The runtime closes when it comes to it: until then the other end is not at its end.
  let count = native.recv(ours, slab, 0, 1);
  const deadline = native.now() + 5e6;
  while (count < 0 && native.now() < deadline) {
    await new Promise((resolve) => setImmediate(resolve));
    count = native.recv(ours, slab, 0, 1);
  }
  assertEquals(count, 0);
  native.close(ours);
});

test("drainMicrotasks() runs them within the macrotask that calls it, where there is a way", async (t) => {
  const { drainMicrotasks } = host;
  if (drainMicrotasks === null) return t.skip("this runtime offers no way");
  const ran = await new Promise<boolean>((resolve) => {
    setImmediate(() => {
      let hasRun = false;
      void Promise.resolve().then(() => Promise.resolve()).then(() => hasRun = true);
      drainMicrotasks();
      resolve(hasRun);
    });
  });
  assert(ran);
});

test("env() reads a variable, and is undefined for one that is not set", () => {
  process.env["NETPOLL_TEST"] = "yes";
  assertEquals(host.env("NETPOLL_TEST"), "yes");
  delete process.env["NETPOLL_TEST"];
  assertEquals(host.env("NETPOLL_TEST"), undefined);
});

test("open() throws the runtime's error, when there is no such library", () => {
  assertThrows(() => host.open("/nowhere/x.so", {}));
});

test("checkNet(), checkUnix(), checkRead() and checkWrite() let a program pass that may do everything", () => {
  host.checkNet("127.0.0.1", 80);
  host.checkNet("::1", 80);
  host.checkUnix("/tmp/x.sock");
  host.checkRead("/tmp/x.txt");
  host.checkWrite("/tmp/x.txt");
});

test("checkNet() throws what the runtime throws, for a port that was not granted", {
  skip: NOT_DENO,
}, async () => {
  const program = `${root}tests/support/listen_at.ts`;
  const permissions = ["--allow-ffi", "--allow-net=127.0.0.1:0"];
  const allowed = await run(program, { permissions, args: ["tcp", "127.0.0.1:0"] });
  assertEquals([allowed.stdout, allowed.stderr], ["listens\n", ""]);
  const refused = await run(program, { permissions, args: ["tcp", "127.0.0.2:0"] });
  assertEquals(refused.stdout, "NotCapable\n");
});

test("checkUnix() throws what the runtime throws, for a path that was not granted", {
  skip: NOT_DENO,
}, async () => {
  const program = `${root}tests/support/listen_at.ts`;
  const permissions = ["--allow-ffi", "--allow-read", "--allow-write=/nowhere"];
  const refused = await run(program, { permissions, args: ["unix", "/tmp/netpoll-refused.sock"] });
  assertEquals(refused.stdout, "NotCapable\n");
});

test("checkRead() throws what the runtime throws, for a file that was not granted", {
  skip: NOT_DENO,
}, async () => {
  const program = `${root}tests/support/send_files.ts`;
  const permissions = ["--allow-ffi", `--allow-read=${root}LICENSE`];
  const args = [`${root}LICENSE`, `${root}README.md`, "/etc/passwd"];
  const ended = await run(program, { permissions, args });
  assertEquals([ended.stdout, ended.stderr], ["sent\nNotCapable\nNotCapable\n", ""]);
});

test("a LinkBuffer alone keeps no process alive", async () => {
  const from = performance.now();
  const ended = await run(`${root}tests/support/buffer_alone.ts`);
  assertEquals(ended, { code: 0, signal: null, stdout: "alone\n", stderr: "" });
  // Starting the runtime takes most of it; a pinned process would have been killed after 20 s.
  assertLess(performance.now() - from, 10_000);
});
