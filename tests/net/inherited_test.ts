import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import {
  closeDescriptor,
  createListener,
  dial,
  EventLoop,
  type Listener,
  type ListenerFromFdOptions,
  SystemError,
} from "../../mod.ts";
import { Family, rawFromNumeric } from "../../src/net/address.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import { getOption, Option, setOption } from "../../src/net/socket.ts";
import { leaks } from "../support/leaks.ts";
import { libraryPath, withDirectory } from "../support/library.ts";
import { receive, send } from "../support/pair.ts";

/** Another descriptor of the socket of a listener, as a process that inherits it has. */
function inherited(listener: Listener): number {
  return native.disown(native.dup(listener.fd));
}

/** The status flags of an open file, and close-on-exec. */
function flagsOf(fd: number): number {
  return parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!, 8);
}

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2_000_000;

/** Serves one connection, which says hello. */
async function serveOnce(listener: Listener): Promise<void> {
  const loop = new EventLoop(({ reader, writer }) => {
    writer.writeString(reader.readString(reader.length).toUpperCase());
    void writer.flush();
  });
  const served = loop.serve(listener);
  const { address } = listener;
  const connection = address.transport === "unix"
    ? await dial("unix", address.path)
    : await dial("tcp", `localhost:${address.port}`);
  await send(connection, "hello");
  assertEquals(await receive(connection, 5), "HELLO");
  await connection.close();
  await loop.shutdown();
  await served;
}

test("createListener({ fd }) serves a socket that listens already, of TCP and of Unix", () =>
  leaks(() =>
    withDirectory(async (directory) => {
      const places = [
        ["tcp", "127.0.0.1:0"],
        ["tcp6", "[::]:0"],
        ["unix", join(directory, "socket")],
        ["unix", "@netpoll-inherited"],
      ] as const;
      for (const [network, place] of places) {
        const first = createListener(network, place);
        const fd = inherited(first);
        const second = createListener({ fd });
        assertEquals([second.fd, second.address], [fd, first.address]);
        await serveOnce(second);
        assertEquals(second.fd, -1);
        await serveOnce(first); // it has listened all the time
      }
    })
  ));

test("the file of a Unix socket stays when a listener that inherited it closes", () =>
  leaks(() =>
    withDirectory((directory) => {
      const path = join(directory, "socket");
      const first = createListener("unix", path);
      createListener({ fd: inherited(first) }).close();
      assert(existsSync(path));
      first.close();
      assert(!existsSync(path));
    })
  ));

test("createListener({ fd }) makes a descriptor non-blocking and close-on-exec", () =>
  leaks(() => {
    using first = createListener("tcp", "127.0.0.1:0");
    const fd = inherited(first);
    using second = createListener({ fd, backlog: 7, keepAlive: true });
    assertEquals(flagsOf(second.fd) & (O_NONBLOCK | O_CLOEXEC), O_NONBLOCK | O_CLOEXEC);
    assert(getOption(second.fd, Option.KEEP_ALIVE) !== 0);
  }));

test("createListener({ fd }) says what a descriptor is that does not listen, and leaves it", () =>
  leaks(() => {
    const pair = new Int32Array(2);
    const pipe = new Int32Array(2);
    assertEquals([native.socketpair(pair), native.pipe(pipe)], [0, 0]);
    const stream = native.socket(Family.IPV4);
    const datagram = native.datagramSocket(Family.IPV4);
    assertEquals(native.bind(datagram, rawFromNumeric("127.0.0.1", 0)), 0);
    const file = openSync(libraryPath, "r");
    const directory = openSync("/", "r");
    const device = openSync("/dev/null", "r");
    const counter = native.eventfd();
    for (
      const [fd, what] of [
        [pair[0]!, "a connection"],
        [pipe[0]!, "a pipe"],
        [stream, "a stream socket that does not listen"],
        [datagram, "a datagram socket"],
        [file, "a file"],
        [directory, "a directory"],
        [device, "a terminal or a device"],
        [counter, "a descriptor of the kernel's own"],
      ] as const
    ) {
      const before = flagsOf(fd);
      assertThrows(() => createListener({ fd }), TypeError, `descriptor ${fd}: it is ${what}`);
      assertEquals(flagsOf(fd), before);
    }
    for (const fd of [...pair, ...pipe, stream, datagram, counter]) native.close(fd);
    for (const fd of [file, directory, device]) closeSync(fd);
  }));

test("createListener({ fd }) refuses what is no descriptor, not open, or taken", () =>
  leaks(() => {
    const strange = (value: unknown) => ({ fd: value }) as unknown as ListenerFromFdOptions;
    for (const value of [-1, 1.5, NaN, 2 ** 31, "3", null, undefined, {}, [3]]) {
      assertThrows(() => createListener(strange(value)), TypeError, "Cannot listen at");
    }
    assertThrows(() => createListener({} as ListenerFromFdOptions), TypeError);
    const error = assertThrows(() => createListener({ fd: 1_000_000 }), SystemError);
    assertEquals(error.code, "EBADF");
    using listener = createListener("tcp", "127.0.0.1:0");
    assertThrows(() => createListener({ fd: listener.fd }), TypeError, "a listener of this thread");
    const fd = inherited(listener);
    const unknown = { fd, address: "127.0.0.1:0" } as ListenerFromFdOptions;
    assertThrows(() => createListener(unknown), TypeError, "address");
    const second = [{ fd }, { tls: {} }] as unknown as [ListenerFromFdOptions];
    assertThrows(() => createListener(...second), TypeError, "beside fd");
    assertThrows(() => createListener({ fd, backlog: 0 }), RangeError);
    assertThrows(() => createListener({ fd, tls: 5 as never }), TypeError);
    assertThrows(() => createListener({ fd, priority: 99 }), RangeError);
    closeDescriptor(fd); // it is the caller's still
  }));

test("createListener({ fd }) shares its port with others if it did so", () =>
  leaks(() => {
    using first = createListener("tcp", "127.0.0.1:0", { reusePort: true });
    using second = createListener({ fd: inherited(first) });
    const sibling = listenerSocket(second).sibling();
    assertEquals(sibling.address, first.address);
    sibling.close();
    using alone = createListener("tcp", "127.0.0.1:0");
    using other = createListener({ fd: inherited(alone) });
    setOption(other.fd, Option.KEEP_ALIVE, 1);
    assertThrows(() => listenerSocket(other).sibling(), TypeError, "reusePort");
  }));
