import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { LinkChain } from "../../src/buffer/link_chain.ts";
import type { SystemError } from "../../src/core/errors.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { deliver, DELIVERED, dropInput } from "../../src/transport/deliver.ts";
import { fileTransport, socketTransport } from "../../src/transport/descriptor.ts";
import { Endpoint } from "../../src/transport/endpoint.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { leaks } from "../support/leaks.ts";

/** An endpoint that notes the end of its peer. */
class Finishing extends Endpoint {
  readonly input = new LinkChain();
  isReadEnded = false;
  readonly ends: (SystemError | null)[] = [];

  onReadEnd(cause: SystemError | null): void {
    this.isReadEnded = true;
    this.ends.push(cause);
  }

  cut(): void {}
}

function make(io: Transport, fd: number): Finishing {
  return new Finishing(threadPoller(), io, fd, { local: null, remote: null });
}

function send(fd: number, bytes: number): number {
  return native.sendBorrowed(fd, new Uint8Array(bytes), bytes, 0, bytes, 0);
}

/** The two ends of a stream: an endpoint, and the descriptor of its peer. */
function pair(): [Finishing, number] {
  const fds = new Int32Array(2);
  native.socketpair(fds);
  return [make(socketTransport, fds[0]!), fds[1]!];
}

test("dropInput() receives all that is there, and the peer's end", () =>
  leaks(() => {
    const [endpoint, peer] = pair();
    assertEquals(dropInput(endpoint), 0);
    assertEquals(send(peer, 100_000), 100_000);
    assertEquals(dropInput(endpoint), 100_000);
    assertEquals(endpoint.ends, []);
    native.close(peer);
    assertEquals([dropInput(endpoint), endpoint.ends], [0, [null]]);
    native.close(endpoint.release());
  }));

test("deliver() ends our side, and drops what the peer still sent", () =>
  leaks(() => {
    const [endpoint, peer] = pair();
    assertEquals(send(peer, 10), 10);
    assertEquals([deliver(endpoint), endpoint.isWriteEnded], [DELIVERED, true]);
    assertEquals(endpoint.unreadBytes, 0);
    native.close(peer);
    native.close(endpoint.release());
  }));

test("deliver() of what is no socket is nothing: a pipe has no end of its own to wait for", () =>
  leaks(() => {
    const fds = new Int32Array(2);
    native.pipe(fds);
    const endpoint = make(fileTransport, fds[1]!);
    assertEquals([deliver(endpoint), endpoint.isWriteEnded], [DELIVERED, false]);
    native.close(endpoint.release());
    native.close(fds[0]!);
  }));
