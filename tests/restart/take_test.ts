import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import {
  createListener,
  EventLoop,
  type Listener,
  NetpollError,
  offerListeners,
  takeListeners,
  type Taken,
  TimeoutError,
} from "../../mod.ts";
import { sendDescriptors } from "../../src/entries/operations.ts";
import { leaks } from "../support/leaks.ts";
import { send } from "../support/pair.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon } from "../support/until.ts";

let number = 0;
const newPath = () => `@netpoll-take-${process.pid}-${++number}`;
const open = () => createListener("tcp", "127.0.0.1:0");

/** A peer that asks for the name of who serves it. */
class Peer extends RawPeer {
  #count = 0;

  async ask(): Promise<string> {
    this.send("who");
    return (await this.receive(++this.#count)).at(-1)!;
  }
}

test("who offers nothing of ours is no old process", () =>
  leaks(async () => {
    const path = newPath();
    for (
      const [say, timeoutMs, type] of [["", 20, TimeoutError], [
        "hello",
        1000,
        NetpollError,
      ]] as const
    ) {
      const loop = new EventLoop(null, {
        onConnect: async (connection) => {
          if (say === "") return;
          await send(connection, say);
          void connection.close();
        },
      });
      const served = loop.serve(createListener("unix", path));
      await assertRejects(() => takeListeners(path, { timeoutMs }), type);
      await loop.shutdown({ timeoutMs: 0 });
      await served;
    }
  }));

test("takeListeners() of a version that comes later says so, and keeps no descriptor", () =>
  leaks(async () => {
    const path = newPath();
    using theirs = open();
    const loop = new EventLoop(null, {
      onConnect: async (connection) =>
        void await sendDescriptors(connection, [theirs.fd], Uint8Array.of(7, 1, 0, 0)),
    });
    const served = loop.serve(createListener("unix", path));
    await assertRejects(() => takeListeners(path), NetpollError, "it speaks version 7");
    await loop.shutdown({ timeoutMs: 0 });
    await served;
  }));

test("takeListeners() asks again when another process has just taken over", () =>
  leaks(async () => {
    const path = newPath();
    const [first, second] = [open(), open()];
    const loop = new EventLoop(null, {
      // It has passed its listeners on; the offer of whoever has them is made next.
      onConnect: (connection) => {
        void connection.close();
        void loop.shutdown();
        offer = offerListeners(path, [second]);
      },
    });
    let offer: Disposable | undefined;
    const served = loop.serve(createListener("unix", path));
    const taken = (await takeListeners(path))!;
    assertEquals(taken.listeners[0]!.address, second.address);
    await taken.ready();
    await served;
    for (const one of [first, ...taken.listeners]) one.close();
    offer![Symbol.dispose]();
  }));

test("listeners pass on from process to process while those before still drain", () =>
  leaks(async () => {
    const path = newPath();
    const loops: EventLoop[] = [];
    const served: Promise<void>[] = [];
    const peers: Peer[] = [];
    const serve = (listener: Listener) => {
      const name = String(loops.length);
      const loop = new EventLoop(({ reader, writer }) => {
        reader.skip(reader.length);
        writer.writeString(name);
        void writer.flush();
      });
      loops.push(loop);
      served.push(loop.serve(listener));
    };
    let listener = open();
    serve(listener);
    for (let n = 0; n < 5; n++) {
      peers.push(new Peer(listener));
      assertEquals(await peers[n]!.ask(), String(n));
      using offer = offerListeners(path, [listener]);
      const taken: Taken = (await takeListeners(path))!;
      [listener] = taken.listeners as [Listener];
      serve(listener);
      await taken.ready();
      await soon(offer.taken);
      for (const [i, peer] of peers.entries()) assertEquals(await peer.ask(), String(i));
    }
    for (const peer of peers) peer.close();
    for (const loop of loops) await loop.shutdown();
    await Promise.all(served);
  }));

test("a listener that was taken is not offered before it is ready", () =>
  leaks(async () => {
    const [path, next] = [newPath(), newPath()];
    using _offer = offerListeners(path, [open()]);
    const taken = (await takeListeners(path))!;
    assertThrows(() => offerListeners(next, taken.listeners), TypeError, "await ready() first");
    await taken.ready();
    using _next = offerListeners(next, taken.listeners);
    taken.listeners[0]!.close();
  }));

test("200 listeners pass on at once", () =>
  leaks(async () => {
    const path = newPath();
    const ours = Array.from({ length: 200 }, open);
    using offer = offerListeners(path, ours);
    const taken = (await takeListeners(path))!;
    assertEquals(
      taken.listeners.map(({ address }) => address),
      ours.map(({ address }) => address),
    );
    await taken.ready();
    await soon(offer.taken);
    assert(ours.every(({ fd }) => fd === -1));
    for (const listener of taken.listeners) listener.close();
  }));
