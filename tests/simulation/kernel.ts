/**
 * The simulated kernel: what libnetpoll.c would answer, in TypeScript, for one thread.
 */
import type { Native } from "../../ffi/symbols.ts";
import { CALM, EBADF, EMFILE } from "./descriptors.ts";
import {
  Counter,
  EAGAIN,
  EINVAL,
  Epoll,
  PipeBytes,
  PipeEnd,
  RegularFile,
  TimerFile,
} from "./files.ts";
import { machine } from "./machine.ts";
import { Memory } from "./memory.ts";
import { forgetSockets, type Socket } from "./socket.ts";
import { SocketCalls } from "./socket_calls.ts";

const ENOMEM = 12;
const ENOENT = 2;
const ENOBUFS = 105;
const S_IFREG = 0o100_000;

/** The C thread that waits for an epoll set. */
interface WakerThread {
  readonly epoll: Epoll;
  isArmed: boolean;
  isOpen: boolean;
}

/** The kernel, with its open files. */
export class Kernel extends SocketCalls implements Partial<Native> {
  readonly memory: Memory = new Memory();
  /** Told when a byte comes through the waker's socket. */
  onByte: () => void = () => {};
  /** The runtime's own epoll set. */
  runtimeLoop: Counter = new Counter();
  /** Whether the library finds that. */
  isLoopKnown = true;
  #wakers: WakerThread[] = [];

  /** A new machine: nothing is open. */
  reset(): void {
    this.files.length = 0;
    this.#wakers = [];
    this.forgetNames();
    this.trouble = CALM;
    this.runtimeLoop = new Counter();
    forgetSockets();
    this.memory.forget();
  }

  abi(): number {
    return 0;
  }

  // ---- memory -----------------------------------------------------------------------------------

  slabMap(bytes: number): number {
    return this.isExhausted ? -ENOMEM : this.memory.map(bytes);
  }

  slabAddress(slab: number): unknown {
    return slab;
  }

  slabDiscard(slab: number): number {
    this.memory.slabs[slab]!.fill(0);
    return 0;
  }

  find(slab: number, offset: number, length: number, needle: Uint8Array, bytes: number): number {
    return this.memory.find(slab, offset, length, needle, bytes);
  }

  adopt(fd: number): number {
    return this.fileOf(fd) === undefined ? -EBADF : 0;
  }

  disconnect(fd: number): number {
    (this.fileOf(fd) as Socket).reset(104);
    return 0;
  }

  disown(fd: number): number {
    return fd;
  }

  // ---- bytes ------------------------------------------------------------------------------------

  /** How many of so many bytes move: fewer in trouble; 0 for not now. */
  #most(length: number): number {
    if (length === 0) return 0;
    if (this.isTroubled(this.trouble.notNow)) return 0;
    return this.isTroubled(this.trouble.short) ? 1 + machine.random.below(length) : length;
  }

  get #notNow(): number {
    const { random } = machine;
    return this.trouble.notNow > 0 ? random.pick([-EAGAIN, -EAGAIN, -ENOBUFS, -ENOMEM]) : -EAGAIN;
  }

  #receive(fd: number, to: Uint8Array): number {
    const file = this.fileOf(fd);
    const most = this.#most(to.length);
    if (most === 0) return this.#notNow;
    if (file instanceof PipeEnd) return file.reads ? file.pipe.get(to.subarray(0, most)) : -EBADF;
    return (file as Socket).receive(to.subarray(0, most));
  }

  recv(fd: number, slab: number, offset: number, length: number): number {
    return this.#receive(fd, this.memory.piece(slab, offset, length));
  }

  /** No descriptor travels here. */
  recvRights(fd: number, slab: number, offset: number, length: number, out: Int32Array): number {
    out.fill(0, 0, 2);
    return this.recv(fd, slab, offset, length);
  }

  readv(fd: number, table: Uint32Array, count: number): number {
    const file = this.fileOf(fd);
    if (count === 0) return file instanceof PipeEnd && !file.reads ? -EBADF : 0;
    return this.#receive(fd, this.memory.pieces(table, 1)[0]!);
  }

  #send(fd: number, pieces: readonly Uint8Array[], pins = false): number {
    const socket = this.fileOf(fd) as Socket;
    const code = socket.canSend();
    if (code < 0) return code;
    let most = this.#most(pieces.reduce((sum, piece) => sum + piece.length, 0));
    if (most === 0) return pins ? -ENOBUFS : this.#notNow;
    const asked = most;
    for (const piece of pieces) {
      const bytes = piece.subarray(0, most);
      const count = pins ? socket.out!.writePinned(bytes) : socket.out!.write(bytes);
      most -= count;
      if (count < piece.length) break;
    }
    if (pins && most < asked) socket.number();
    return asked - most;
  }

  send(fd: number, slab: number, offset: number, length: number): number {
    return this.#send(fd, [this.memory.piece(slab, offset, length)]);
  }

  sendmsg(fd: number, table: Uint32Array, count: number): number {
    return this.#send(fd, this.memory.pieces(table, count));
  }

  sendmsgZeroCopy(fd: number, table: Uint32Array, count: number): number {
    const socket = this.fileOf(fd) as Socket;
    machine.check(socket.hasZeroCopy, "a zero-copy send without SO_ZEROCOPY");
    return this.#send(fd, this.memory.pieces(table, count), true);
  }

  writev(fd: number, table: Uint32Array, count: number): number {
    const file = this.fileOf(fd);
    if (count === 0) return file instanceof PipeEnd && file.reads ? -EBADF : 0;
    if (!(file instanceof PipeEnd)) return this.#send(fd, this.memory.pieces(table, count));
    let sum = 0;
    for (const piece of this.memory.pieces(table, count)) {
      const most = this.#most(piece.length);
      const moved = most === 0 ? -EAGAIN : file.pipe.put(piece.subarray(0, most));
      if (moved < 0) return sum > 0 ? sum : moved;
      sum += moved;
      if (moved < piece.length) break;
    }
    return sum;
  }

  sendBorrowed(fd: number, array: Uint8Array, _bytes: number, at: number, length: number): number {
    return this.#send(fd, [array.subarray(at, at + length)]);
  }

  completions(fd: number, out: Uint32Array): number {
    const socket = this.fileOf(fd) as Socket;
    let count = 0;
    for (; count < 4; count++) {
      const range = socket.takeCompletion();
      if (range === null) break;
      out.set([0, ...range], 4 * count);
    }
    return count;
  }

  pinnedMax(): number {
    return 2 ** 31 - 1;
  }

  // ---- files and pipes --------------------------------------------------------------------------

  dup(fd: number): number {
    const file = this.fileOf(fd);
    if (file === undefined) return -EBADF;
    return this.addUnlessExhausted(() => file);
  }

  stat(fd: number, out: Uint32Array): number {
    const file = this.fileOf(fd);
    if (file === undefined) return -EBADF;
    const isRegular = file instanceof RegularFile;
    out[0] = isRegular ? S_IFREG : 0o010_000;
    out[1] = isRegular ? file.bytes.length : 0;
    out[2] = 0;
    return 0;
  }

  pread(fd: number, slab: number, offset: number, length: number, position: number): number {
    const { bytes } = this.fileOf(fd) as RegularFile;
    const part = bytes.subarray(position, position + length);
    this.memory.piece(slab, offset, length).set(part);
    return part.length;
  }

  sendfile(to: number, from: number, position: number, _high: number, length: number): number {
    const file = this.fileOf(from) as RegularFile;
    if (this.isTroubled(this.trouble.exhausted)) return -EINVAL; // a file system without it
    const part = file.bytes.subarray(position, position + length);
    return part.length === 0 ? 0 : this.#send(to, [part]);
  }

  pipe(out: Int32Array): number {
    if (this.isExhausted) return -EMFILE;
    const pipe = new PipeBytes();
    out[0] = this.add(pipe.reading);
    out[1] = this.add(pipe.writing);
    return 0;
  }

  pipeResize(_fd: number, bytes: number): number {
    return bytes;
  }

  splice(from: number, to: number, length: number): number {
    const [source, target] = [this.fileOf(from), this.fileOf(to)];
    if (this.isTroubled(this.trouble.exhausted)) return -EINVAL;
    const most = this.#most(length);
    if (most === 0) return -EAGAIN;
    if (target instanceof PipeEnd) {
      const { pipe } = target;
      const room = pipe.bytes.subarray(pipe.length, pipe.length + most);
      if (room.length === 0) return -EAGAIN;
      const count = (source as Socket).receive(room);
      if (count > 0) pipe.length += count;
      return count;
    }
    const { pipe } = source as PipeEnd;
    const count = this.#send(to, [pipe.bytes.subarray(0, Math.min(most, pipe.length))]);
    if (count > 0) pipe.get(new Uint8Array(count));
    return count;
  }

  // ---- waiting ----------------------------------------------------------------------------------

  epollCreate(): number {
    return this.addUnlessExhausted(() => new Epoll());
  }

  epollCtl(epoll: number, op: number, fd: number, token: number, events: number): number {
    const file = this.fileOf(fd);
    if (file === undefined) return -EBADF;
    if (op === 1 && this.isExhausted) return -ENOMEM;
    return (this.fileOf(epoll) as Epoll).control(op, fd, file, token, events);
  }

  epollWait(epoll: number, out: Uint32Array, capacity: number, micros: number): number {
    const set = this.fileOf(epoll) as Epoll;
    let count = set.take(out, capacity);
    const end = micros < 0 ? Infinity : machine.nowMicros + micros;
    while (count === 0 && machine.nowMicros < end && machine.violation === null) {
      if (this.isTroubled(this.trouble.interrupted)) break;
      if (!machine.sleep()) machine.violate("the poller blocks, and nothing will ever happen");
      count = set.take(out, capacity);
    }
    return count;
  }

  now(): number {
    return machine.nowMicros;
  }

  eventfd(): number {
    return this.addUnlessExhausted(() => new Counter());
  }

  timerfd(): number {
    return this.addUnlessExhausted(() => new TimerFile());
  }

  timerfdSet(fd: number, micros: number): number {
    return (this.fileOf(fd) as TimerFile).set(micros);
  }

  counterAdd(fd: number): number {
    return (this.fileOf(fd) as Counter).add();
  }

  counterTake(fd: number): number {
    return (this.fileOf(fd) as Counter).take();
  }

  // ---- the waker --------------------------------------------------------------------------------

  wakerOpen(epoll: number): number {
    if (this.isExhausted) return -EMFILE;
    const waker = { epoll: this.fileOf(epoll) as Epoll, isArmed: false, isOpen: true };
    waker.epoll.onReady = () => this.#wakeSoon(waker);
    this.#wakers.push(waker);
    return this.#wakers.length - 1;
  }

  wakerSocket(_waker: number): number {
    return -1;
  }

  wakerArm(waker: number): number {
    this.#wakers[waker]!.isArmed = true;
    this.#wakeSoon(this.#wakers[waker]!);
    return 0;
  }

  /** The thread looks, at its time. */
  #wakeSoon(waker: WakerThread): void {
    if (!waker.isArmed) return;
    machine.after(machine.random.below(30), () => {
      if (!waker.isArmed || !waker.isOpen || waker.epoll.mask === 0) return;
      waker.isArmed = false;
      machine.after(machine.random.below(30), () => waker.isOpen && this.onByte(), false);
    }, false);
  }

  wakerRing(_waker: number): number {
    this.onByte();
    return 1;
  }

  wakerLoop(_waker: number): number {
    return this.isLoopKnown ? this.add(this.runtimeLoop) : -ENOENT;
  }

  wakerClose(waker: number): number {
    this.#wakers[waker]!.isOpen = false;
    return 0;
  }
}

/** The one kernel of this thread. */
export const kernel: Kernel = new Kernel();
