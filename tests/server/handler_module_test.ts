import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { type Connection, createListener } from "../../mod.ts";
import { checkHandlerModule, loopOf } from "../../src/server/handler_module.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon } from "../support/until.ts";

const nothing = () => {};

test("checkHandlerModule() takes any callback that a connection can begin with", () => {
  for (const callback of ["onRequest", "onConnect", "onPrepare"]) {
    const module = { [callback]: nothing, other: 1 };
    assertEquals(checkHandlerModule(module, "x") as unknown, module);
  }
});

test("checkHandlerModule() names what is wrong with a module", () => {
  const wrong: [object, string][] = [
    [{}, "it has no exports"],
    [{ onError: nothing }, "it has onError"],
    [{ onrequest: nothing }, "it has onrequest"],
    [{ onRequest: null }, "it has onRequest"],
    [{ onRequest: {} }, "onRequest of x is no function, but object"],
    [{ onRequest: nothing, setup: 1 }, "setup of x is no function, but number"],
    [{ onRequest: nothing, onError: "x" }, "onError of x is no function, but string"],
    [{ onDatagram: nothing, onDatagrams: nothing }, "onDatagram and onDatagrams"],
    [{ onRequest: nothing, options: 1 }, "options of x is no object"],
    [{ onRequest: nothing, options: null }, "options of x is no object"],
  ];
  for (const [module, message] of wrong) {
    assertThrows(() => checkHandlerModule(module, "x"), TypeError, message);
  }
});

test("loopOf() makes an EventLoop of the callbacks and options of a module", async () => {
  const calls: string[] = [];
  const loop = loopOf({
    options: { noDelay: true, connectionsMax: 3 },
    onPrepare: () => (calls.push("prepare"), "context"),
    onRequest({ reader, writer }: Connection, context: unknown) {
      calls.push(`request ${context}`);
      writer.writeString(reader.readString(reader.length));
      void writer.flush();
      reader.release();
    },
    onDisconnect: () => void calls.push("disconnect"),
  });
  const listener = createListener("tcp", "127.0.0.1:0");
  const served = loop.serve(listener);
  const peer = new RawPeer(listener);
  peer.send("x");
  assertEquals(await peer.receive(1), "x");
  peer.end();
  await peer.receiveAll();
  peer.close();
  await soon(loop.shutdown());
  await soon(served);
  assertEquals(calls, ["prepare", "request context", "disconnect"]);
  assertThrows(() => loopOf({ options: { connectionsMax: 0 } }), RangeError, "connectionsMax");
});
