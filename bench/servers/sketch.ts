/**
 * The least that an echo over our native calls costs in JavaScript: `sketch.ts PORT loop|watcher`.
 *
 * It has no buffers, no bounds and no ends: the library costs the difference
 * (docs/decisions/0009-cost-of-a-small-echo.md). It is for small messages only: bytes that the kernel
 * does not take are lost.
 */
import process from "node:process";
import { setImmediate } from "node:timers";
import { native } from "../../ffi/load.ts";
import { createListener } from "../../mod.ts";
import { Slab } from "../../src/buffer/slab.ts";
import { NOT_READY } from "../../src/core/errno.ts";
import { rawAddress } from "../../src/net/address.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Interest, type Watcher } from "../../src/poll/watcher.ts";

const SLAB_BYTES = 2 * 1024 * 1024;
const READ_BYTES = 64 * 1024;
const EVENTS = 64;
const CTL_ADD = 1;
/** Waits until the runtime has the thread for a moment. */
const WAITS = 20_000;

const [port, style] = process.argv.slice(2);
const listener = createListener("tcp", `127.0.0.1:${port}`);
const slab = Slab.map(SLAB_BYTES);
if (!slab.isWrapped) slab.wrap();
const { buffer } = slab.bytes;
const peer = rawAddress();
/** Keeps the views from being optimized away. */
let sum = 0;

/** Receives and sends once. True when the connection lives. */
function echo(fd: number): boolean {
  const count = native.recv(fd, slab.id, 0, READ_BYTES);
  if (count <= 0) return count === NOT_READY;
  sum += new Uint8Array(buffer, 0, count)[0]!;
  return native.send(fd, slab.id, 0, count, 0) > 0;
}

/** A wait that blocks, and nothing around it. */
function loop(): void {
  const epoll = native.epollCreate();
  const events = new Uint32Array(2 * EVENTS);
  native.epollCtl(epoll, CTL_ADD, listener.fd, listener.fd, Interest.READ);
  const turn = () => {
    for (let i = 0; i < WAITS; i++) {
      const count = native.epollWait(epoll, events, EVENTS, -1);
      for (let at = 0; at < 2 * count; at += 2) {
        const fd = events[at]!;
        if (fd === listener.fd) {
          accept((fd) => native.epollCtl(epoll, CTL_ADD, fd, fd, Interest.READ));
        } else if (!echo(fd)) native.close(fd);
      }
    }
    setImmediate(turn);
  };
  turn();
}

function accept(add: (fd: number) => void): void {
  for (let fd; (fd = native.accept(listener.fd, peer)) >= 0;) add(fd);
}

/** The echo as a watcher of our poller, at our pace. */
class Sketch implements Watcher {
  readonly fd: number;
  readonly #token: number;

  constructor(fd: number) {
    this.fd = fd;
    this.#token = threadPoller().add(this, Interest.READ);
  }

  onEvent(): void {
    if (this.fd === listener.fd) return accept((fd) => new Sketch(fd));
    if (echo(this.fd)) return;
    threadPoller().remove(this.#token, this.fd);
    native.close(this.fd);
  }

  onFailure(error: unknown): void {
    throw error;
  }
}

if (listener.address.transport === "tcp") console.log(`listening ${listener.address.port}`);
if (style === "loop") loop();
else new Sketch(listener.fd);
