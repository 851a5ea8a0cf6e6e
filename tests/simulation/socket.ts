/**
 * Stream sockets of the simulated kernel, with a network between them.
 *
 * ```text
 *   read ......... delivered ......... written          one direction, in bytes since its beginning
 *        received            under way
 *              acked ≤ delivered
 * ```
 */
import { ANY, EAGAIN, EPIPE, ERR, HUP, IN, OpenFile, OUT, RDHUP } from "./files.ts";
import { machine } from "./machine.ts";

const ECONNRESET = 104;
export const ENOTCONN = 107;
export const ECONNREFUSED = 111;
/** More than both buffers of a direction hold: a power of two. */
const RING_BYTES = 128 * 1024;
const RING_MASK = RING_BYTES - 1;
/** Memory of directions that are no more. */
const spareRings: Uint8Array[] = [];
const rings: Uint8Array[] = [];

/** All sockets of a schedule are gone. */
export function forgetSockets(): void {
  spareRings.push(...rings.splice(0));
}

function takeRing(): Uint8Array {
  const ring = spareRings.pop() ?? new Uint8Array(RING_BYTES);
  rings.push(ring);
  return ring;
}

/** The properties of the way between two sockets. */
export interface Way {
  /** The bytes that the sender's kernel holds at most. */
  readonly sendBytes: number;
  /** The bytes that the receiver's kernel holds at most. */
  readonly receiveBytes: number;
  /** How long something is under way, in microseconds: up to so much, by chance. */
  readonly latencyMicros: number;
  /** No network: a Unix socket. */
  readonly isLocal: boolean;
  /** How often completions say that the kernel has copied. */
  readonly copiedChance: number;
}

/** Memory from which the kernel has still to send: it looks at it when the bytes leave. */
interface Pinned {
  readonly from: number;
  readonly bytes: Uint8Array;
}

/** A zero-copy send that has not completed. */
interface Numbered {
  readonly id: number;
  readonly end: number;
}

/** One direction of a connection. */
export class Flow {
  readonly sender: Socket;
  readonly receiver: Socket;
  readonly way: Way;
  written = 0;
  delivered = 0;
  acked = 0;
  read = 0;
  /** The sender has ended it. */
  isEnded = false;
  isEndDelivered = false;
  isEndAcked = false;
  /** Nothing is under way any more, and nothing will be. */
  isCut = false;
  /** When bytes arrived: pairs of (time, delivered). */
  readonly arrivals: number[] = [];
  readonly #ring = takeRing();
  #isPumping = false;
  #pinned: Pinned[] = [];
  numbered: Numbered[] = [];

  constructor(sender: Socket, receiver: Socket, way: Way) {
    this.sender = sender;
    this.receiver = receiver;
    this.way = way;
  }

  /** Bytes for which the sender has room. */
  get room(): number {
    const held = this.way.isLocal ? this.written - this.read : this.written - this.acked;
    return Math.max(0, this.way.sendBytes - held);
  }

  /** Whether the sender is told that there is room: not for every little bit of it. */
  get isWritable(): boolean {
    return this.room * 3 >= this.way.sendBytes;
  }

  /** Takes bytes of the sender, as many as there is room for. */
  write(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.room);
    for (let done = 0; done < count;) {
      const at = this.written + done & RING_MASK;
      const part = Math.min(count - done, RING_BYTES - at);
      this.#ring.set(bytes.subarray(done, done + part), at);
      done += part;
    }
    this.written += count;
    this.#moved(count);
    return count;
  }

  /** The same without a copy: the memory is looked at when it leaves. */
  writePinned(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.room);
    if (count > 0) this.#pinned.push({ from: this.written, bytes: bytes.subarray(0, count) });
    this.written += count;
    this.#moved(count);
    return count;
  }

  #moved(count: number): void {
    if (count === 0) return;
    if (this.way.isLocal) this.#deliver(this.written - this.delivered);
    else this.pump();
  }

  end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    if (this.way.isLocal) this.#deliverEnd();
    else this.pump();
  }

  /** Bytes and ends go on their way, unless they are under way already. */
  pump(): void {
    if (this.#isPumping || this.isCut) return;
    if (this.#deliverable === 0 && !this.#isEndDue) return;
    this.#isPumping = true;
    machine.after(machine.random.below(this.way.latencyMicros), () => {
      this.#isPumping = false;
      if (!this.isCut) this.#arrive();
    });
  }

  get #deliverable(): number {
    if (this.receiver.isClosed) return this.written - this.delivered;
    const window = this.way.receiveBytes - (this.delivered - this.read);
    return Math.min(this.written - this.delivered, Math.max(0, window));
  }

  get #isEndDue(): boolean {
    return this.isEnded && !this.isEndDelivered && this.delivered === this.written;
  }

  #arrive(): void {
    const most = this.#deliverable;
    if (most > 0 && this.receiver.isClosed) return this.receiver.refuse(this);
    if (most > 0) {
      const isPart = most > 1 && machine.random.chance(0.3);
      this.#deliver(isPart ? 1 + machine.random.below(most) : most);
    } else if (this.#isEndDue) this.#deliverEnd();
    machine.after(machine.random.below(this.way.latencyMicros), () => this.#acknowledge());
    this.pump();
  }

  #deliver(count: number): void {
    this.#fetch(this.delivered + count);
    this.delivered += count;
    this.arrivals.push(machine.nowMicros, this.delivered);
    machine.trace?.(`        ${this.receiver.name} got ${count} (${this.delivered})`);
    this.receiver.notify(IN);
    if (!this.way.isLocal) return;
    this.acked = this.delivered;
    machine.happenings += 1; // without a network nothing else tells of it
  }

  /** The bytes up to there leave: only now does the kernel look at pinned memory. */
  #fetch(end: number): void {
    while (this.#pinned.length > 0 && this.#pinned[0]!.from < end) {
      const { from, bytes } = this.#pinned[0]!;
      const count = Math.min(bytes.length, end - from);
      for (let i = 0; i < count; i++) this.#ring[from + i & RING_MASK] = bytes[i]!;
      if (count === bytes.length) this.#pinned.shift();
      else this.#pinned[0] = { from: from + count, bytes: bytes.subarray(count) };
    }
  }

  #deliverEnd(): void {
    this.isEndDelivered = true;
    machine.trace?.(`        ${this.receiver.name} got the end`);
    this.receiver.onPeerEnd();
    if (this.way.isLocal) this.isEndAcked = true;
  }

  #acknowledge(): void {
    if (this.isCut || this.sender.isBroken) return;
    const wasFull = !this.isWritable;
    this.acked = Math.max(this.acked, this.delivered);
    this.complete();
    if (wasFull && this.isWritable) this.sender.notify(OUT);
    if (this.isEndDelivered && !this.isEndAcked) {
      this.isEndAcked = true;
      this.sender.notify(ANY); // its state changes
    }
  }

  /** Takes bytes for the receiver. */
  readTo(to: Uint8Array): number {
    const count = Math.min(to.length, this.delivered - this.read);
    for (let done = 0; done < count;) {
      const at = this.read + done & RING_MASK;
      const part = Math.min(count - done, RING_BYTES - at);
      to.set(this.#ring.subarray(at, at + part), done);
      done += part;
    }
    const wasFull = !this.isWritable;
    this.read += count;
    if (this.way.isLocal && wasFull && this.isWritable) this.sender.notify(OUT);
    this.pump();
    return count;
  }

  /** Nothing of it goes on. */
  cut(): void {
    this.isCut = true;
    this.#pinned = [];
    for (const each of this.numbered.splice(0)) this.sender.complete(each.id);
  }

  /** Zero-copy sends whose bytes have arrived complete. */
  complete(): void {
    while (this.numbered.length > 0 && this.numbered[0]!.end <= this.acked) {
      this.sender.complete(this.numbered.shift()!.id);
    }
  }

  /** When so many bytes had arrived; Infinity when they have not. */
  arrivedAt(bytes: number): number {
    const { arrivals } = this;
    for (let i = 0; i < arrivals.length; i += 2) if (arrivals[i + 1]! >= bytes) return arrivals[i]!;
    return Infinity;
  }
}

/** The state of a socket. */
type State = "new" | "connecting" | "connected" | "gone";

/** One end of a connection. */
export class Socket extends OpenFile {
  readonly name: string;
  state: State = "new";
  out: Flow | null = null;
  in: Flow | null = null;
  error = 0;
  /** Its own and its peer's address. */
  local: readonly [host: number, port: number] = [0, 0];
  remote: readonly [host: number, port: number] = [0, 0];
  isClosed = false;
  isWriteShut = false;
  isReadShut = false;
  resetsOnClose = false;
  /** SO_ZEROCOPY. */
  hasZeroCopy = false;
  #nextId = 0;
  #completions: [lo: number, hi: number, code: number][] = [];

  constructor(name: string) {
    super();
    this.name = name;
  }

  /** Whether a reset has ended it. */
  get isBroken(): boolean {
    return this.state === "gone";
  }

  /** Connects two sockets. */
  static join(a: Socket, b: Socket, way: Way): void {
    const [ab, ba] = [new Flow(a, b, way), new Flow(b, a, way)];
    a.out = b.in = ab;
    a.in = b.out = ba;
    a.state = b.state = "connected";
  }

  // tcp_poll() and unix_poll().
  get mask(): number {
    let bits = this.error !== 0 || this.#completions.length > 0 ? ERR : 0;
    if (this.state === "connecting") return bits;
    if (this.state === "new") return bits | OUT | HUP;
    const isReadShut = this.isReadShut || this.isBroken;
    if (this.isBroken || (isReadShut && this.isWriteShut)) bits |= HUP;
    if (isReadShut) bits |= IN | RDHUP;
    const flow = this.in!;
    if (flow !== null && flow.delivered > flow.read) bits |= IN;
    if (this.isWriteShut || this.isBroken || this.out!.isWritable) bits |= OUT;
    return bits;
  }

  onPeerEnd(): void {
    this.isReadShut = true;
    this.notify(ANY);
  }

  takeError(): number {
    const { error } = this;
    this.error = 0;
    return error;
  }

  /** recv(2). */
  receive(to: Uint8Array): number {
    const flow = this.in;
    if (flow === null) return this.error !== 0 ? -this.takeError() : -ENOTCONN;
    const count = flow.readTo(to);
    if (count > 0) return count;
    if (this.error !== 0) return -this.takeError();
    return this.isReadShut || this.isBroken ? 0 : -EAGAIN;
  }

  /** Whether something can be sent: 0, or `-errno`. */
  canSend(): number {
    if (this.error !== 0) return -this.takeError();
    if (this.isWriteShut || this.isBroken) return -EPIPE;
    if (this.out === null) return -ENOTCONN;
    if (this.out.way.isLocal && this.out.receiver.isClosed) return -EPIPE;
    return this.out.room === 0 ? -EAGAIN : 0;
  }

  /** Takes a number for a zero-copy send that has moved bytes. */
  number(): void {
    this.out!.numbered.push({ id: this.#nextId, end: this.out!.written });
    this.#nextId += 1;
  }

  /** A zero-copy send is over: it is told of late, and not always in order. */
  complete(id: number): void {
    const { random } = machine;
    const code = random.chance(this.out!.way.copiedChance) ? 1 : 0;
    const late = random.chance(0.2) ? 20 : 1;
    machine.after(random.below(late * this.out!.way.latencyMicros), () => {
      const last = this.#completions.at(-1);
      if (last !== undefined && last[1] + 1 === id && last[2] === code) last[1] = id;
      else this.#completions.push([id, id, code]);
      this.notify(ERR);
    });
  }

  override takeCompletion(): [number, number, number] | null {
    return this.#completions.shift() ?? null;
  }

  /** Zero-copy sends that have not completed, or of which nobody was told. */
  get isPinning(): boolean {
    return this.out !== null && this.out.numbered.length > 0;
  }

  // ---- ends -------------------------------------------------------------------------------------

  /** shutdown(2) of the writing side. */
  shutWrite(): number {
    if (this.out === null || this.isBroken) return -ENOTCONN;
    this.isWriteShut = true;
    this.out.end();
    this.notify(ANY);
    return 0;
  }

  /** A reset has come, or was sent by ourselves (0). */
  break(errno: number): void {
    if (this.isBroken) return;
    this.state = "gone";
    this.error = errno;
    this.out?.cut();
    if (this.in !== null) this.in.isCut = true;
    this.notify(ANY);
  }

  /** Resets the connection: the peer hears of it later. */
  reset(errno = 0): void {
    const peer = this.out?.receiver;
    const isLocal = this.out?.way.isLocal ?? true;
    const wasConnected = this.state === "connected";
    this.break(errno);
    if (peer === undefined || !wasConnected) return;
    const arrive = () => {
      machine.trace?.(`        ${peer.name} got a reset`);
      peer.break(peer.isReadShut ? EPIPE : ECONNRESET);
    };
    if (isLocal) arrive();
    else machine.after(machine.random.below(this.out!.way.latencyMicros), arrive);
  }

  /** Bytes came for a socket that nobody has any more: it answers by a reset. */
  refuse(flow: Flow): void {
    flow.cut();
    this.reset();
  }

  override onClose(): void {
    this.isClosed = true;
    if (this.state === "connecting") this.state = "gone";
    if (this.state !== "connected") return;
    const isUnread = this.in!.delivered > this.in!.read;
    if (this.in!.way.isLocal) return this.#closeLocal(isUnread);
    if (this.resetsOnClose || isUnread) return this.reset();
    this.isWriteShut = true;
    this.out!.end();
    this.in!.pump();
  }

  // unix_release_sock()
  #closeLocal(isUnread: boolean): void {
    const peer = this.out!.receiver;
    this.out!.end();
    peer.isWriteShut = true;
    if (isUnread) peer.error = ECONNRESET;
    peer.notify(ANY);
  }
}

/** A socket that takes connections. */
export class Listener extends OpenFile {
  readonly local: readonly [host: number, port: number];
  readonly queue: Socket[] = [];

  constructor(local: readonly [host: number, port: number]) {
    super();
    this.local = local;
  }

  get mask(): number {
    return this.queue.length > 0 ? IN : 0;
  }

  /** A connection has come. */
  arrive(socket: Socket): void {
    this.queue.push(socket);
    this.notify(IN);
  }

  override onClose(): void {
    for (const socket of this.queue.splice(0)) {
      socket.isClosed = true;
      socket.reset();
    }
  }
}
