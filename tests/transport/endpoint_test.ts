import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { blocks } from "../../src/buffer/block.ts";
import { socketTransport } from "../../src/transport/descriptor.ts";
import { Endpoint } from "../../src/transport/endpoint.ts";
import { getOption, Option, setOption } from "../../src/net/socket.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Event } from "../../src/poll/watcher.ts";
import { leaks } from "../support/leaks.ts";
import { ticks, until } from "../support/until.ts";
import { ends } from "../support/zero_copy_ends.ts";

/** An endpoint that notes its events, and the descriptor of its peer. */
function watched() {
  const pair = new Int32Array(2);
  native.socketpair(pair);
  const [fd, peer] = [pair[0]!, pair[1]!];
  const endpoint = new Endpoint(threadPoller(), socketTransport, fd, { local: null, remote: null });
  const events: number[] = [];
  endpoint.watch({ fd, onEvent: (bits) => void events.push(bits), onFailure() {} });
  return { endpoint, events, peer };
}

test("Endpoint lets whoever closes it reset while something waits for room, and only then", () =>
  leaks(() => {
    const { endpoint, peer } = watched();
    const isReset = () => getOption(endpoint.fd, Option.LINGER) === 1;
    for (const settle of ["want", "wantEdges", "owe", "disown"] as const) {
      endpoint.want(true, true);
      assert(isReset(), settle);
      if (settle === "want") endpoint.want(true, false);
      else if (settle === "owe") endpoint.owe(false);
      else endpoint[settle]();
      assert(!isReset(), settle);
    }
    native.close(endpoint.release());
    native.close(peer);
  }));

test("Endpoint.want() says what is reported: reading, writing, nothing", () =>
  leaks(async () => {
    const { endpoint, events, peer } = watched();
    await ticks(5);
    assertEquals(events, []);
    endpoint.want(false, true);
    await until(() => events.length > 0, "room to write");
    assertEquals(events[0], Event.WRITABLE);
    endpoint.want(false, false);
    await ticks(5);
    const { length } = events;
    await ticks(5);
    assertEquals(events.length, length);
    native.close(endpoint.release());
    native.close(peer);
  }));

test("Endpoint.hush() ends the reports of a hang-up that nobody acts on; wanting reports it again", () =>
  leaks(async () => {
    const { endpoint, events, peer } = watched();
    endpoint.want(false, false);
    native.close(peer);
    await until(() => events.length > 0, "the hang-up, which cannot be masked");
    endpoint.hush();
    endpoint.want(false, false);
    await ticks(20);
    const { length } = events;
    await ticks(50);
    assert(events.length <= length + 1, "it is not reported again and again");
    endpoint.want(true, false);
    await until(() => events.length > length, "it is reported again");
    native.close(endpoint.release());
  }));

test("Endpoint.release() hands the descriptor out, open, and keeps the addresses", () =>
  leaks(() => {
    const { endpoint, peer } = watched();
    const fd = endpoint.release();
    assert(fd >= 0);
    assertEquals(endpoint.fd, -1);
    assertEquals(endpoint.localAddress, { transport: "unix", path: "" });
    assertEquals(endpoint.remoteAddress, { transport: "unix", path: "" });
    assertEquals(native.close(fd), 0);
    native.close(peer);
  }));

test("Endpoint.watchCompletions() tells completions, whatever else is wanted, and no event for them", () =>
  leaks(async () => {
    const [connection, receiver] = await ends();
    const told: [number, number][] = [];
    const fd = connection.detach();
    const endpoint = new Endpoint(threadPoller(), socketTransport, fd, {
      local: null,
      remote: null,
    });
    const events: number[] = [];
    endpoint.watch({
      fd,
      onEvent: (bits) => void events.push(bits),
      onCompletion: (lo, hi) => void told.push([lo, hi]),
      onFailure() {},
    });
    setOption(fd, Option.ZERO_COPY, 1);
    endpoint.watchCompletions();
    const block = blocks.take(4096);
    const table = new Uint32Array([block.slab.id, block.offset, 4096]);
    for (const [i, [read, write]] of [[true, false], [false, false], [false, true]].entries()) {
      endpoint.want(read!, write!);
      assertEquals(native.sendmsgZeroCopy(fd, table, 1, 0), 4096);
      await until(() => told.length === i + 1, "the completion");
      assertEquals(told[i], [i, i]);
    }
    assert(events.every((bits) => bits === Event.WRITABLE));
    block.release();
    native.close(endpoint.release());
    receiver.close();
  }));
