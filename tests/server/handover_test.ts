import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { type Address, createListener } from "../../mod.ts";
import type { PollerLoad } from "../../src/server/load_balance.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import { Handover } from "../../src/server/handover.ts";
import type { PollerWorker } from "../../src/server/poller_worker.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { ticks, until } from "../support/until.ts";

/** A Worker as it looks from here: it takes descriptors, and gives back those that it has not read. */
class Taker {
  readonly fds: number[] = [];
  left: number[] = [];
  readonly index: number;

  constructor(index: number) {
    this.index = index;
  }

  get connectionCount(): number {
    return this.fds.length;
  }

  push(fd: number): boolean {
    return this.fds.push(fd) > 0;
  }

  takeBack(peer: Uint32Array): number {
    const fd = this.left.pop() ?? -1;
    if (fd >= 0) native.name(fd, 1, peer);
    return fd;
  }
}

/** A handover to two takers, of which some are there. */
class Scene implements Disposable {
  readonly takers = [new Taker(0), new Taker(1)];
  present: Taker[] = this.takers;
  readonly errors: unknown[] = [];
  readonly listener = createListener("tcp", "127.0.0.1:0");
  readonly peers: RawPeer[] = [];
  readonly handover: Handover;

  constructor(policy: (pollers: readonly PollerLoad[], remote: Address) => number = () => 1) {
    this.handover = new Handover(policy, {
      takers: () => this.present as unknown as PollerWorker[],
      onPolicyError: (error) => this.errors.push(error),
      onAcceptFailure: (error) => this.errors.push(error),
    });
    this.handover.accept(listenerSocket(this.listener));
  }

  connect(count: number): void {
    for (let n = 0; n < count; n++) this.peers.push(new RawPeer(this.listener));
  }

  get counts(): number[] {
    return this.takers.map(({ connectionCount }) => connectionCount);
  }

  [Symbol.dispose](): void {
    this.handover.close();
    for (const { fds } of this.takers) for (const fd of fds) native.close(fd);
    for (const peer of this.peers) peer.close();
  }
}

test("Handover gives each connection to whom the policy says", async () => {
  await leaks(async () => {
    using scene = new Scene();
    scene.connect(3);
    await until(() => scene.counts[1] === 3, "three connections");
    assertEquals(scene.counts, [0, 3]);
  });
});

test("Handover goes on when the policy fails, and says so", async () => {
  using scene = new Scene(() => {
    throw new Error("no idea");
  });
  scene.connect(2);
  await until(() => scene.errors.length === 2, "two errors");
  assertEquals(scene.counts, [1, 1]);
});

test("Handover keeps connections while nobody can take one, however many and long", async () => {
  await leaks(async () => {
    using scene = new Scene();
    scene.present = [];
    scene.connect(20);
    await until(() => scene.handover.homelessCount > 0, "one was accepted");
    await ticks(200);
    assertEquals(scene.counts, [0, 0]);
    scene.present = scene.takers;
    await until(() => scene.counts[1] === 20, "all of them");
    assertEquals(scene.handover.homelessCount, 0);
  });
});

test("Handover.rehome() gives to others what a Worker did not get to", async () => {
  using scene = new Scene((pollers) => pollers[0]!.index);
  scene.connect(3);
  await until(() => scene.counts[0] === 3, "three connections");
  const [dead] = scene.takers;
  dead!.left = dead!.fds.splice(0);
  scene.present = [scene.takers[1]!];
  scene.handover.rehome(dead as unknown as PollerWorker);
  assertEquals(scene.counts, [0, 3]);
});

test("Handover.close() hands over what waits already, and resets what finds nobody, and says how many", async () => {
  await leaks(async () => {
    using scene = new Scene();
    scene.connect(5);
    assertEquals(scene.handover.close(), 0);
    assertEquals(scene.counts, [0, 5]);
    assertEquals(scene.listener.fd, -1);
    using other = new Scene();
    other.present = [];
    other.connect(1);
    await ticks(20);
    assertEquals(other.handover.close(), 1);
    await until(() => other.peers[0]!.isReset, "it is reset");
    scene.handover.rehome({ takeBack: () => -1 } as unknown as PollerWorker);
  });
});

test("Handover knows its policies", () => {
  assertThrows(() => new Handover("best" as never, null as never), TypeError, "best");
});
