import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { configure } from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import {
  type Address,
  packAddress,
  rawEnds,
  rawFromNumeric,
  unpackAddress,
} from "../../src/net/address.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Inbox } from "../../src/server/inbox.ts";
import { ticks, until } from "../support/until.ts";

/** An inbox, and the ring that leads to it, in one thread. */
class Scene {
  readonly ring = native.ringOpen();
  readonly fds: number[] = [];
  readonly ports: number[] = [];
  readonly locals: (Address | null)[] = [];
  taken = 0;
  /** Called for each that comes, before it is counted. */
  onAccept = () => {};
  readonly inbox: Inbox;

  constructor() {
    this.inbox = new Inbox(this.ring, threadPoller(), {
      onAccept: (fd, { local, remote }) => {
        this.locals.push(local === null ? null : unpackAddress(local));
        const address = unpackAddress(remote!);
        if (address.transport === "tcp") this.ports.push(address.port);
        this.fds.push(fd);
        this.onAccept();
      },
      onRefuse() {},
      onStop() {},
      onAcceptFailure() {},
    }, () => this.taken++);
  }

  /** Hands so many over. The ports that they say they are from. */
  push(count: number, local: string | null = null): number[] {
    const { raw } = rawEnds(local === null ? null : packAddress(rawFromNumeric(local, 80)));
    return Array.from({ length: count }, (_, n) => {
      raw.set(rawFromNumeric("10.1.2.3", n + 1));
      assertEquals(native.ringPush(this.ring, native.eventfd(), raw), 0);
      return n + 1;
    });
  }

  close(): void {
    this.inbox.close();
    for (const fd of this.fds) native.close(fd);
    native.ringClose(this.ring);
  }
}

test("Inbox takes what is handed over, in order, and says who it is from", async () => {
  const scene = new Scene();
  const ports = scene.push(3);
  await until(() => scene.taken === 3, "three connections");
  assertEquals(scene.ports, ports);
  scene.push(1);
  await until(() => scene.taken === 4, "one more");
  scene.close();
});

test("Inbox says where a connection arrived, if its listener has one address", async () => {
  const scene = new Scene();
  for (const local of ["10.9.8.7", null, "2001:db8::1", null]) scene.push(1, local);
  await until(() => scene.taken === 4, "four connections");
  const at = (hostname: string) => ({ transport: "tcp", hostname, port: 80 }) as const;
  assertEquals(scene.locals, [at("10.9.8.7"), null, at("2001:db8::1"), null]);
  scene.close();
});

test("Inbox takes more than one event may bring", async () => {
  const scene = new Scene();
  const ports = scene.push(200);
  await until(() => scene.taken === 200, "all of them");
  assertEquals(scene.ports, ports);
  scene.close();
});

test("Inbox.pause() leaves the rest until resume(), although the bell was heard", async () => {
  const scene = new Scene();
  scene.onAccept = () => {
    if (scene.fds.length === 2) scene.inbox.pause();
  };
  scene.push(5);
  await until(() => scene.taken === 2, "two connections");
  await ticks(20);
  assertEquals(scene.taken, 2);
  scene.inbox.resume();
  await until(() => scene.taken === 5, "the rest");
  scene.close();
});

test("Inbox.drain() takes everything at once, and close() nothing more", async () => {
  const scene = new Scene();
  scene.push(200);
  scene.inbox.drain();
  assertEquals(scene.taken, 200);
  scene.inbox.close();
  scene.inbox.close();
  scene.push(1);
  await ticks(20);
  assertEquals(scene.taken, 200);
  scene.close();
});

test("Inbox goes on after a connection that fails", async () => {
  const lines: string[] = [];
  configure({ log: (line) => lines.push(line) });
  const scene = new Scene();
  scene.onAccept = () => {
    if (scene.fds.length === 2) throw new Error("as it should");
  };
  scene.push(5);
  await until(() => scene.taken === 5, "the others");
  configure({ log: console.error });
  assertEquals(lines.length, 1);
  scene.close();
});
