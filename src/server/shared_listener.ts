/**
 * The sockets of one address that Workers accept from, each from its own (SO_REUSEPORT).
 *
 * A socket that closes resets who waits in its queue. So the cluster keeps all of them until it shuts
 * down: where there are more than pollers, some pollers accept from several, and the kernel is told to
 * bring newcomers to one a poller (SO_ATTACH_REUSEPORT_CBPF). What waits at the others is served.
 */
import { native } from "../../ffi/load.ts";
import type { ListenerSocket } from "../net/listener_socket.ts";
import { Option } from "../net/socket.ts";
import { setStreamOptions } from "./event_loop.ts";
import type { PollerWorker } from "./poller_worker.ts";

/**
 * The place in a packet where a classic BPF program finds a random number in its stead (linux/filter.h,
 * SKF_AD_OFF + SKF_AD_RANDOM). A connection's first packet has no bytes that could be asked.
 */
const RANDOM_OFFSET = (-0x1000 + 56) >>> 0;

/** The sockets of a listener. */
export class SharedListener {
  readonly #first: ListenerSocket;
  /** In the order in which they began to listen, which is the kernel's. */
  readonly #sockets: ListenerSocket[];
  /** The Worker that accepts from each. */
  readonly #takers: (PollerWorker | null)[] = [];
  #isStopped = false;
  /** Resolves when the Workers have let go of it; undefined while none has it, or must. */
  #stopped: Promise<void> | undefined;

  /**
   * Opens one for each poller, unless another process has them as well: then they stay as they are
   * until one of the two has closed them, and `onThaw` is called.
   *
   * @throws {TypeError} They cannot share their address.
   * @throws {SystemError} The kernel refuses. All are the listener's, which closes them.
   */
  constructor(first: ListenerSocket, pollerCount: number, onThaw: () => void) {
    this.#first = first;
    this.#sockets = [first, ...first.siblings];
    if (pollerCount > this.#sockets.length) first.checkShares();
    this.#open(pollerCount);
    for (const socket of this.#sockets) socket.onClose = () => this.#stop();
    first.onThaw = onThaw;
  }

  /** True when the listener was closed, and nobody accepts any more. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  #open(pollerCount: number): void {
    while (!this.#first.isFrozen && this.#sockets.length < pollerCount) {
      const sibling = this.#first.sibling();
      sibling.onClose = () => this.#stop();
      this.#sockets.push(sibling);
      this.#first.siblings = this.#sockets.slice(1);
    }
  }

  /**
   * Gives each poller its sockets: whenever their number, or one of their Workers, is another.
   *
   * @throws {SystemError} The kernel refuses a socket for each.
   */
  spread(workers: readonly (PollerWorker | null)[]): void {
    if (this.#isStopped || this.#first.isHeld) return;
    this.#open(workers.length);
    for (const [n, socket] of this.#sockets.entries()) {
      const worker = workers[n % workers.length];
      const before = this.#takers[n];
      // One that is being replaced gets it when its successor serves: until then peers wait.
      if (!worker?.isServing || worker === before) continue;
      void before?.unlisten(socket.fd);
      this.#takers[n] = worker;
      setStreamOptions(socket, worker.socketOptions);
      worker.listen(socket);
    }
    if (!this.#first.isFrozen) this.#steer(workers.length);
  }

  /** Brings newcomers to as many sockets as there are pollers. Where it is refused, to all of them. */
  #steer(pollerCount: number): void {
    const { fd } = this.#first;
    if (this.#sockets.length > pollerCount) native.steer(fd, RANDOM_OFFSET, 1, pollerCount);
    else native.setsockopt(fd, ...Option.NO_STEERING, new Int32Array(1), 4);
  }

  /** The Workers accept no more; resolves when all have said so. At once where none does. */
  #stop(): Promise<void> | undefined {
    if (this.#isStopped) return this.#stopped;
    this.#isStopped = true;
    const answers = this.#sockets.flatMap(({ fd }, n) => this.#takers[n]?.unlisten(fd) ?? []);
    if (answers.length > 0) this.#stopped = Promise.all(answers).then(() => {});
    return this.#stopped;
  }

  /** Closes the sockets of a Worker that takes nothing any more, or has ended. */
  closeOf(worker: PollerWorker): void {
    for (const [n, socket] of this.#sockets.entries()) {
      if (this.#takers[n] === worker) this.#close(socket);
    }
  }

  /** Closes those that nobody accepts from: their peers would wait until all others have drained. */
  closeUnserved(): void {
    for (const [n, socket] of this.#sockets.entries()) {
      if (!this.#takers[n]?.isServing) this.#close(socket);
    }
  }

  /** Closes all that are left: nobody accepts from them any more. */
  close(): void {
    for (const socket of this.#sockets) this.#close(socket);
  }

  #close(socket: ListenerSocket): void {
    socket.onClose = null;
    socket.closeAlone();
  }
}
