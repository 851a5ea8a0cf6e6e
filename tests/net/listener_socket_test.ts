import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { createListener } from "../../mod.ts";
import { rawAddress } from "../../src/net/address.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import { ListenerSocket } from "../../src/net/listener_socket.ts";
import { RawPeer } from "../support/raw_peer.ts";

test("ListenerSocket.sibling() listens at the same address, and takes its share", () => {
  using listener = createListener("tcp", "127.0.0.1:0", { reusePort: true, backlog: 7 });
  using sibling = listenerSocket(listener).sibling();
  assertEquals(sibling.address, listener.address);
  assertNotEquals(sibling.fd, listener.fd);
  const taken = new Set<number>();
  const raw = rawAddress();
  for (let n = 0; n < 500 && taken.size < 2; n++) {
    using _peer = new RawPeer(listener);
    for (const [i, one] of [listenerSocket(listener), sibling].entries()) {
      const fd = one.accept(raw);
      if (fd < 0) continue;
      native.close(fd);
      taken.add(i);
    }
  }
  assertEquals(taken.size, 2);
});

test("ListenerSocket.sibling() is refused without reusePort, and for Unix sockets", () => {
  using listener = createListener("tcp", "127.0.0.1:0");
  assertThrows(() => listenerSocket(listener).sibling(), TypeError, "reusePort: true");
  using unix = createListener("unix", "@netpoll-sibling");
  assertThrows(() => listenerSocket(unix).sibling(), TypeError, '"tcp"');
});

test("a borrowed ListenerSocket closes nothing but itself", () => {
  using listener = createListener("tcp", "127.0.0.1:0");
  const borrowed = new ListenerSocket(listener.fd, null);
  assertEquals(borrowed.address, listener.address);
  let isTold = false;
  borrowed.onClose = () => void (isTold = true);
  borrowed.close();
  assertEquals([borrowed.fd, isTold], [-1, true]);
  using peer = new RawPeer(listener);
  const fd = listenerSocket(listener).accept(rawAddress());
  assert(fd >= 0 && peer.fd >= 0);
  native.close(fd);
});
