import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import {
  ClosedError,
  configure,
  createListener,
  dial,
  EventLoop,
  type Listener,
  NetpollError,
  offerListeners,
  SystemError,
  takeListeners,
} from "../../mod.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import { config } from "../../src/core/config.ts";
import { start } from "../support/child.ts";
import { leaks } from "../support/leaks.ts";
import { root, withDirectory } from "../support/library.ts";
import { receive, send } from "../support/pair.ts";
import { serverIdentity, tlsTest } from "../support/pki.ts";
import { soon, stateOf, until } from "../support/until.ts";

/** Runs something that gives everything back, and tells it what is logged. */
async function logged(run: (lines: string[]) => Promise<void>): Promise<void> {
  const lines: string[] = [];
  const { log } = config;
  configure({ log: (line) => lines.push(line) });
  try {
    await leaks(() => run(lines));
  } finally {
    configure({ log });
  }
}

let number = 0;
const newPath = () => `@netpoll-offer-${process.pid}-${++number}`;
const open = () => createListener("tcp", "127.0.0.1:0");

/** Whether a listener brings connections; it is closed afterwards. */
async function serves(listener: Listener): Promise<boolean> {
  const { address } = listener;
  const loop = new EventLoop(({ reader, writer }) => {
    writer.writeString(reader.readString(reader.length));
    void writer.flush();
  });
  const served = loop.serve(listener);
  const client = await dial(address);
  await send(client, "echo");
  const answer = await receive(client, 4);
  await client.close();
  await loop.shutdown();
  await served;
  return answer === "echo";
}

test("takeListeners() is null where nobody offers, or whoever did has died", () =>
  leaks(() =>
    withDirectory(async (directory) => {
      assertEquals(await takeListeners(newPath()), null);
      assertEquals(await takeListeners(join(directory, "nobody")), null);
    })
  ));

test("a new process has the listeners of the old one, which closes its own when it is ready", () =>
  leaks(async () => {
    const path = newPath();
    const ours = [open(), createListener("unix", newPath())];
    using offer = offerListeners(path, ours);
    const taken = (await takeListeners(path))!;
    assertEquals(taken.listeners.map(({ address }) => address), ours.map(({ address }) => address));
    assert(ours.every(({ fd }) => fd >= 0));
    assertEquals(await stateOf(offer.taken), "pending");
    await taken.ready();
    await soon(offer.taken);
    assertEquals(ours.map(({ fd }) => fd), [-1, -1]);
    // The next offer is at the same path.
    using _next = offerListeners(path, taken.listeners);
    for (const listener of taken.listeners) assert(await serves(listener));
  }));

test("a new process that gives up, or ends before it is ready, changes nothing", () =>
  logged(async (lines) => {
    const path = newPath();
    const ours = open();
    using offer = offerListeners(path, [ours]);
    const taken = (await takeListeners(path))!;
    await taken.close();
    assertEquals(taken.listeners[0]!.fd, -1);
    const crashed = await dial("unix", path);
    await crashed.reader.wait(3);
    crashed.reset();
    await until(() => lines.length === 2, "both are told");
    assert(lines.every((line) => line.includes("did not take over")), lines.join("\n"));
    assertEquals(await stateOf(offer.taken), "pending");
    assert(await serves(ours));
  }));

test("a new process that is not ready in time is told so, and the old one goes on", () =>
  logged(async (lines) => {
    const path = newPath();
    const ours = open();
    using offer = offerListeners(path, [ours], { readyTimeoutMs: 10 });
    const taken = (await takeListeners(path))!;
    await until(() => lines.some((line) => line.includes("not ready after 10 ms")), "it is told");
    await assertRejects(() => taken.ready(), NetpollError, "does not wait any more");
    await taken.close();
    assertEquals(await stateOf(offer.taken), "pending");
    assert(await serves(ours));
  }));

test("ready() is asked once: a second call, and close() after it, change nothing", () =>
  leaks(async () => {
    const path = newPath();
    using offer = offerListeners(path, [open()]);
    const taken = (await takeListeners(path))!;
    await Promise.all([taken.ready(), taken.ready(), taken.close()]);
    await soon(offer.taken);
    await taken.ready();
    await taken.close();
    assert(await serves(taken.listeners[0]!), "nobody else has it any more");
  }));

test("an offer that is closed tells the new process that the old one goes on", () =>
  logged(async () => {
    const path = newPath();
    const ours = open();
    const offer = offerListeners(path, [ours]);
    const taken = (await takeListeners(path))!;
    offer.close();
    await assertRejects(() => taken.ready(), NetpollError, "does not wait any more");
    await taken.close();
    assert(await serves(ours));
  }));

test("a new process is ready when the old one has closed its listeners and then its offer", () =>
  logged(async () => {
    const path = newPath();
    const ours = open();
    const offer = offerListeners(path, [ours]);
    const taken = (await takeListeners(path))!;
    ours.close();
    offer.close();
    await taken.ready();
    assert(await serves(taken.listeners[0]!));
  }));

test("an offer that is closed while a new process comes keeps nothing of it", () =>
  logged(async (lines) => {
    const path = newPath();
    const ours = open();
    const offer = offerListeners(path, [ours], { readyTimeoutMs: 1 });
    const coming = takeListeners(path); // it waits in the queue
    offer.close();
    assertEquals(await coming, null);
    // Timers run in their order: one of the offer would have come before.
    await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals(lines, []);
    assert(await serves(ours));
  }));

test("takeListeners() is null when the old process ends, whose offer is free again", () =>
  logged(async () => {
    const path = newPath();
    const ours = open();
    using _offer = offerListeners(path, [ours]);
    ours.close();
    assertEquals(await takeListeners(path), null);
    using next = open();
    using _next = offerListeners(path, [next]);
  }));

test("takeListeners() takes all listeners or none", () =>
  logged(async (lines) => {
    const path = newPath();
    const ours = [open(), open()];
    using _offer = offerListeners(path, ours);
    ours[0]!.close();
    await assertRejects(() => takeListeners(path), NetpollError, "cannot pass them all on");
    assert(lines[0]!.includes("some are closed"), lines[0]);
    assert(await serves(ours[1]!));
  }));

test("a new process goes on alone when the old one dies before it has answered", () =>
  leaks(async () => {
    const path = newPath();
    const old = start(`${root}tests/support/offer.ts`, { args: [path] });
    await old.find(/offered/);
    const taken = (await takeListeners(path))!;
    await old.stop("SIGKILL");
    await taken.ready();
    assert(await serves(taken.listeners[0]!));
    assertEquals(await takeListeners(path), null);
  }));

test("of several new processes the last one may be ready, and no other", () =>
  logged(async () => {
    const path = newPath();
    using offer = offerListeners(path, [open()]);
    const first = (await takeListeners(path))!;
    const second = (await takeListeners(path))!;
    await assertRejects(() => first.ready(), NetpollError);
    await first.close();
    await second.ready();
    await soon(offer.taken);
    assert(await serves(second.listeners[0]!));
  }));

test("what says something else than that it is ready takes nothing", () =>
  logged(async (lines) => {
    const path = newPath();
    const ours = open();
    using offer = offerListeners(path, [ours]);
    const stranger = await dial("unix", path);
    await send(stranger, "GET / HTTP/1.1\r\n\r\n");
    await until(() => lines.length > 0, "it is told");
    await assertRejects(() => stranger.reader.wait(100), ClosedError);
    await stranger.close();
    assertEquals(await stateOf(offer.taken), "pending");
    assert(await serves(ours));
  }));

test("the file of a Unix socket goes on to the new process, and with it", () =>
  leaks(() =>
    withDirectory(async (directory) => {
      const [path, meeting] = [join(directory, "served"), join(directory, "meeting")];
      const ours = createListener("unix", path);
      using offer = offerListeners(meeting, [ours]);
      assertEquals(statSync(meeting).mode & 0o777, 0o600);
      const taken = (await takeListeners(meeting))!;
      await taken.ready();
      await soon(offer.taken);
      assert(existsSync(path), "the old process has not removed it");
      assert(!existsSync(meeting));
      assert(await serves(taken.listeners[0]!));
      assert(!existsSync(path), "the new one has");
    })
  ));

for (const isReady of [true, false]) {
  const what = isReady ? "goes on to a new one" : "goes, if the new one gives up";
  test(`the file of a Unix socket that the old process closes before ready() ${what}`, () =>
    logged(() =>
      withDirectory(async (directory) => {
        const [path, meeting] = [join(directory, "served"), join(directory, "meeting")];
        const ours = createListener("unix", path);
        const offer = offerListeners(meeting, [ours]);
        const taken = (await takeListeners(meeting))!;
        ours.close();
        assert(existsSync(path), "another process has it, too");
        if (isReady) {
          offer.close();
          await taken.ready();
          assert(await serves(taken.listeners[0]!));
        } else {
          await taken.close();
          await until(() => !existsSync(path), "its last owner has removed it");
          offer.close();
        }
        assert(!existsSync(path));
      })
    ));
}

test("the file of a Unix socket goes with the new process when the old one has ended before it gives up", () =>
  leaks(() =>
    withDirectory(async (directory) => {
      const [path, meeting] = [join(directory, "served"), join(directory, "meeting")];
      const old = start(`${root}tests/support/offer.ts`, { args: [meeting, path] });
      await old.find(/offered/);
      const taken = (await takeListeners(meeting))!;
      await old.stop("SIGKILL");
      assert(existsSync(path));
      await taken.close();
      assert(!existsSync(path));
    })
  ));

test("the file of a Unix socket stays when a new process gives up", () =>
  logged(() =>
    withDirectory(async (directory) => {
      const [path, meeting] = [join(directory, "served"), join(directory, "meeting")];
      const ours = createListener("unix", path);
      using _offer = offerListeners(meeting, [ours]);
      const taken = (await takeListeners(meeting))!;
      await taken.close();
      assert(existsSync(path));
      await until(() => listenerSocket(ours).ownsFile, "it is the old one's again");
      assert(await serves(ours));
      assert(!existsSync(path));
    })
  ));

test("the file of a Unix socket that somebody else has opened stays his, from process to process", () =>
  leaks(() =>
    withDirectory(async (directory) => {
      const [path, meeting] = [join(directory, "served"), join(directory, "meeting")];
      using systemd = createListener("unix", path);
      const ours = createListener({ fd: native.dup(systemd.fd) });
      using offer = offerListeners(meeting, [ours]);
      const taken = (await takeListeners(meeting))!;
      await taken.ready();
      await soon(offer.taken);
      assert(await serves(taken.listeners[0]!));
      assert(existsSync(path));
    })
  ));

tlsTest("a listener of TLS is never taken without", () =>
  logged(async () => {
    const path = newPath();
    const tls = serverIdentity();
    const ours = createListener("tcp", "127.0.0.1:0", { tls });
    using offer = offerListeners(path, [ours]);
    await assertRejects(() => takeListeners(path), TypeError, "optionsOf gives it no tls");
    const taken = (await takeListeners(path, { optionsOf: () => ({ tls }) }))!;
    taken.listeners[0]!.reloadTls(tls);
    await taken.ready();
    await soon(offer.taken);
    taken.listeners[0]!.close();
  }));

test("offerListeners() and takeListeners() refuse what they cannot pass on", () =>
  leaks(async () => {
    const path = newPath();
    using listener = open();
    const closed = open();
    closed.close();
    assertThrows(() => offerListeners(path, []), RangeError);
    assertThrows(() => offerListeners(path, new Array(254).fill(listener)), RangeError);
    assertThrows(() => offerListeners(path, listener as unknown as Listener[]), TypeError);
    assertThrows(() => offerListeners(path, [{} as Listener]), TypeError);
    assertThrows(() => offerListeners(path, [closed]), ClosedError);
    assertThrows(() => offerListeners(path, [listener], { readyTimeoutMs: -1 }), RangeError);
    assertThrows(() => offerListeners(path, [listener], { timeout: 1 } as object), TypeError);
    using _offer = offerListeners(path, [listener]);
    assertThrows(() => offerListeners(path, [listener]), SystemError, "EADDRINUSE");
    await assertRejects(() => takeListeners(path, { timeoutMs: NaN }), RangeError);
    await assertRejects(() => takeListeners(path, { optionsOf: 1 as never }), TypeError);
  }));

const cannotBeNobody = process.getuid!() !== 0 || spawnSync("python3", ["-V"]).status !== 0;
const skip = cannotBeNobody ? "needs root and python3, to be another user" : false;
const NOBODY = `
import os, socket, sys
os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.connect("\\0" + sys.argv[1])
try: print(len(socket.recv_fds(s, 100, 10)[1]))
except ConnectionResetError: print(0)
`;

test("a process of another user gets no listener", { skip }, () =>
  logged(async (lines) => {
    const path = newPath();
    const ours = open();
    using offer = offerListeners(path, [ours]);
    const child = spawn("python3", ["-c", NOBODY, path.slice(1)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout.on("data", (chunk) => out += chunk);
    await once(child, "close");
    assertEquals(out.trim(), "0");
    assert(lines[0]!.includes("of user 65534 may not take"), lines[0]);
    assertEquals(await stateOf(offer.taken), "pending");
    assert(await serves(ours));
  }));
