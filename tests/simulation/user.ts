/**
 * A user of one connection: calls what a program may call, in any order, and knows what has to come
 * of it.
 */
import type { Connection } from "../../mod.ts";
import { RegularFile } from "./files.ts";
import { kernel } from "./kernel.ts";
import { machine } from "./machine.ts";
import { ABORTED, type RunState } from "./run_state.ts";
import { runtime } from "./runtime.ts";
import type { Flow, Socket } from "./socket.ts";
import { PATTERN, type Track } from "./track.ts";

/** The user of a connection without a handler. */
export class User {
  readonly name: string;
  readonly connection: Connection;
  readonly socket: Socket;
  readonly out: Track;
  readonly in: Track;
  readonly run: RunState;
  readonly #outFlow: Flow;
  readonly #inFlow: Flow;
  isWaiting = false;
  /** It does nothing any more. */
  isOver = false;
  isWriteEnded = false;
  /** It has reset the connection, or let go of what was unsent. */
  isRude = false;
  /** A deadline or a trouble has come in between: not all has to arrive. */
  isExcused = false;
  /** What close() has said. */
  unsentBytes = -1;
  #hasPaused = false;

  constructor(run: RunState, name: string, connection: Connection, out: Track, into: Track) {
    this.run = run;
    this.name = name;
    this.connection = connection;
    this.socket = run.socketOf(connection.fd);
    this.out = out;
    this.in = into;
    this.#outFlow = this.socket.out!;
    this.#inFlow = this.socket.in!;
    this.isExcused = !run.isCalm;
    run.follow(connection.closed, `closed of ${name}`);
    let closedCount = 0;
    connection.addCloseCallback(() => {
      closedCount += 1;
      machine.check(closedCount === 1, `${name} is told twice that it is closed`);
      machine.trace?.(`    ${name} is closed`);
    });
    run.atEnd(() => machine.check(closedCount === 1, `${name} is not told that it is closed`));
  }

  // ---- writing ----------------------------------------------------------------------------------

  /** Writes some bytes, in one way or another. */
  write(): void {
    const { random } = machine;
    if (this.isWriteEnded || this.isOver) return;
    const size = random.below(100);
    const most = size < 3 ? 70_000 : size < 15 ? 9000 : size < 60 ? 600 : 12;
    const count = Math.min(1 + random.below(Math.min(most, kernel.easyBytes)), this.out.left);
    if (count > 0) this.run.attempt(`${this.name} writes ${count}`, () => this.#write(count));
  }

  #write(count: number): void {
    const { writer } = this.connection;
    const { out } = this;
    const bytes = out.take(count);
    const way = machine.random.below(8);
    if (way === 0) writer.malloc(count).set(bytes);
    else if (way === 1) {
      writer.malloc(count + 5).set(bytes);
      writer.mallocAck(writer.mallocLength - 5);
    } else if (way === 2) writer.writeString(new TextDecoder().decode(bytes));
    else if (way === 3) this.#writeByBuffer(bytes);
    else if (way === 4) {
      const half = count >> 1;
      writer.writeBinary(bytes.subarray(half));
      writer.writeDirect(bytes.subarray(0, half), count - half);
    } else if (way === 5) { for (const byte of bytes.subarray(0, 20)) writer.writeByte(byte); }
    else writer.writeBinary(bytes, { copy: way === 6 });
    out.written += way === 5 ? Math.min(20, count) : count;
  }

  #writeByBuffer(bytes: Uint8Array): void {
    const buffer = new this.run.library.api.LinkBuffer();
    buffer.writeBinary(bytes);
    buffer.flush();
    try {
      this.connection.writer.append(buffer);
    } catch (error) {
      buffer.close();
      throw error;
    }
  }

  /** Flushes what was written. */
  flush(): void {
    if (this.isWriteEnded || this.isOver) return;
    const { connection, out, name } = this;
    const target = out.written;
    const signal = this.run.signal();
    const timeoutMs = connection.writeTimeoutMs;
    const since = machine.nowMicros;
    const count = target - out.flushed;
    const what = `${name} flushes ${count}`;
    out.flushed = target;
    const promise = this.run.attempt(what, () => connection.writer.flush({ signal }));
    if (promise === undefined) return;
    const task = runtime.taskCount;
    this.run.follow(promise, `flush of ${name}`, () => {
      const { written } = this.#outFlow;
      machine.check(written >= target, `flush() of ${name} is done at ${written} of ${target}`);
    }, (error) => {
      this.#onRefusal(task, error, target - count);
      this.#onWriteError(error, count, since, timeoutMs);
    });
  }

  /** What is refused at once was not flushed, but for what the kernel has. Whether it was. */
  #onRefusal(task: number, error: unknown, flushed: number): boolean {
    if (task !== runtime.taskCount || error === ABORTED) return false;
    this.out.flushed = Math.max(flushed, this.#outFlow.written);
    return true;
  }

  #onWriteError(error: unknown, count: number, since: number, timeoutMs: number): void {
    const { TimeoutError } = this.run.library.api;
    if (!(error instanceof TimeoutError) || error.operation !== "write") return;
    if (timeoutMs !== this.connection.writeTimeoutMs || timeoutMs === 0) return;
    if (count === 0) return; // it has joined the flush before it
    const tookMs = (machine.nowMicros - since) / 1000;
    machine.check(tookMs >= timeoutMs - 1, `a flush of ${timeoutMs} ms fails after ${tookMs} ms`);
  }

  /** Waits until nothing that was flushed is needed any more. */
  released(): void {
    if (this.isOver) return;
    const target = this.out.flushed;
    this.run.follow(this.connection.writer.released(), `released of ${this.name}`, () => {
      const { numbered } = this.#outFlow;
      const isBroken = this.socket.isBroken || this.socket.isClosed;
      const isPinned = numbered.length > 0 && numbered[0]!.end <= target && !isBroken;
      machine.check(!isPinned, `released() of ${this.name} is done while bytes are pinned`);
    });
  }

  /** Sends a file. */
  sendFile(): void {
    const { random } = machine;
    const { out, name } = this;
    if (this.isWriteEnded || this.isOver) return;
    const count = Math.min(
      random.below(random.chance(0.2) ? 40_000 : 900),
      out.left,
      kernel.easyBytes,
    );
    const before = random.below(100);
    const at = out.base + out.written;
    const offset = Math.min(before, at);
    const file = new RegularFile(PATTERN.subarray(at - offset));
    const fd = kernel.add(file);
    // It flushes what was written before.
    const { written: writtenBefore, flushed: flushedBefore } = out;
    const task = runtime.taskCount;
    out.written += count;
    const target = out.flushed = out.written;
    const promise = this.run.attempt(
      `${name} sends a file of ${count}`,
      () => this.connection.sendFile(fd, { offset, length: count }),
    );
    kernel.close(fd);
    if (promise === undefined) return;
    this.run.follow(promise, `sendFile of ${name}`, () => {
      const { written } = this.#outFlow;
      machine.check(written >= target, `sendFile() of ${name} is done at ${written} of ${target}`);
    }, (error) => {
      if (this.#onRefusal(task, error, flushedBefore)) out.written = writtenBefore;
    });
  }

  // ---- reading ----------------------------------------------------------------------------------

  /** Reads some of what is there. */
  read(most = Infinity): void {
    if (this.isOver) return;
    const { reader } = this.connection;
    const count = Math.min(reader.length, most);
    if (count === 0) return;
    this.run.attempt(`${this.name} reads ${count} of ${reader.length}`, () => this.#read(count));
  }

  #read(count: number): void {
    const { reader } = this.connection;
    const way = machine.random.below(8);
    if (way === 0) this.in.see(reader.readBinary(count), this.name);
    else if (way === 1) this.in.see(new TextEncoder().encode(reader.readString(count)), this.name);
    else if (way === 2) {
      this.in.look(reader.peek(count), this.name);
      reader.skip(count);
      this.in.seen += count;
    } else if (way === 3) this.#slice(count);
    else if (way === 4) this.in.see(Uint8Array.of(reader.readByte()), this.name);
    else this.in.see(reader.next(count), this.name);
    if (machine.random.chance(0.8)) reader.release();
  }

  /** A slice outlives the release of what it was taken from. */
  #slice(count: number): void {
    const slice = this.connection.reader.slice(count);
    const { in: track, name } = this;
    const [from, { base }] = [track.seen, track];
    track.seen += count;
    runtime.later(machine.random.below(2000), () => {
      const bytes = slice.next(count);
      for (let i = 0; i < count; i++) {
        if (bytes[i] === PATTERN[base + from + i]) continue;
        machine.violate(`a slice of ${name} has a wrong byte at ${from + i}`);
        break;
      }
      slice.close();
    });
  }

  /** Waits for more. */
  wait(): void {
    if (this.isOver || this.isWaiting) return;
    const { random } = machine;
    const { reader } = this.connection;
    const more = 1 + random.below(random.chance(0.1) ? 20_000 : 300);
    const count = random.chance(0.2) ? 1 : reader.length + more;
    if (count > this.connection.reader.length + 200_000) return;
    const { readTimeoutMs } = this.connection;
    const since = machine.nowMicros;
    this.#hasPaused = this.connection.isReadPaused;
    const promise = this.run.attempt(
      `${this.name} waits for ${count}`,
      () => reader.wait(count, { signal: this.run.signal() }),
    );
    if (promise === undefined) return;
    this.isWaiting = true;
    // The program computes while the deadline passes: what came before it lies with the kernel.
    if (readTimeoutMs > 0) {
      const before = random.below(2000);
      runtime.later(1000 * readTimeoutMs - before, () => machine.pass(random.below(4000)));
    }
    const seen = this.in.seen;
    this.run.follow(promise, `wait(${count}) of ${this.name}`, () => {
      this.isWaiting = false;
      const { length } = reader;
      const left = seen + count - this.in.seen;
      machine.check(this.isOver || length >= left, `wait(${count}) of ${this.name}: ${length}`);
    }, (error) => {
      this.isWaiting = false;
      // What was read meanwhile counts for nothing.
      const isSame = seen === this.in.seen;
      this.#onReadError(error, this.in.seen + count, since, isSame ? readTimeoutMs : -1);
    });
  }

  #onReadError(error: unknown, needed: number, since: number, timeoutMs: number): void {
    const { TimeoutError, EofError } = this.run.library.api;
    if (error instanceof EofError && error.cause === undefined) {
      const { written, isEnded } = this.#inFlow;
      machine.check(isEnded, `${this.name} is told of an end that nobody has made`);
      machine.check(written < needed, `${this.name} is told of an end before ${needed} bytes`);
    }
    if (!(error instanceof TimeoutError) || error.operation !== "read") return;
    if (timeoutMs !== this.connection.readTimeoutMs || this.#hasPaused) return;
    const late = machine.nowMicros - since - 1000 * timeoutMs;
    machine.check(late >= -1000, `a wait of ${timeoutMs} ms fails ${-late} µs early`);
    const arrived = this.#inFlow.arrivedAt(needed) - since - 1000 * timeoutMs;
    if (kernel.trouble.notNow > 0) return; // the kernel may have said that nothing was there
    machine.check(arrived > 0, `a wait fails although its bytes came ${-arrived} µs before`);
  }

  // ---- settings ---------------------------------------------------------------------------------

  pause(): void {
    this.#hasPaused = true;
    this.run.attempt(`${this.name} pauses`, () => this.connection.pauseRead());
  }

  resume(): void {
    this.run.attempt(`${this.name} resumes`, () => this.connection.resumeRead());
  }

  setTimeouts(): void {
    const { random } = machine;
    const { connection } = this;
    const ms = random.pick([0, 1, 2, 5, 30, 300]);
    const which = random.below(3);
    this.run.attempt(`${this.name} sets timeout ${which} to ${ms}`, () => {
      if (which === 0) connection.readTimeoutMs = ms;
      else if (which === 1) connection.writeTimeoutMs = ms;
      else {
        connection.idleTimeoutMs = ms;
        if (ms > 0) this.isExcused = true;
      }
    });
  }

  // ---- ends -------------------------------------------------------------------------------------

  endWrite(): void {
    if (this.isWriteEnded || this.isOver) return;
    this.isWriteEnded = true;
    this.out.written = this.out.flushed; // what was not flushed is dropped
    machine.trace?.(`  ${this.name} ends its side`);
    this.run.follow(this.connection.closeWrite(), `closeWrite of ${this.name}`);
  }

  close(): void {
    const { random } = machine;
    if (this.isOver) return;
    this.isOver = true;
    const timeoutMs = random.pick([undefined, undefined, 0, 20, 10_000]);
    machine.trace?.(`  ${this.name} closes within ${timeoutMs}`);
    const { flushed } = this.out;
    // What is left to the kernel then may be lost with the connection.
    if (timeoutMs === 0 || timeoutMs === 20) this.isExcused = true;
    this.run.follow(this.connection.close({ timeoutMs }), `close of ${this.name}`, (result) => {
      this.unsentBytes = result.unsentBytes;
      machine.trace?.(`    unsent: ${result.unsentBytes} of ${flushed}`);
    });
  }

  reset(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.isRude = true;
    machine.trace?.(`  ${this.name} resets`);
    this.connection.reset();
  }

  /** One step by chance. */
  step(): void {
    const dice = machine.random.below(100);
    if (dice < 22) this.write();
    else if (dice < 40) this.flush();
    else if (dice < 60) this.wait();
    else if (dice < 80) this.read(machine.random.below(4000));
    else if (dice < 83) this.pause();
    else if (dice < 90) this.resume();
    else if (dice < 94) this.setTimeouts();
    else if (dice < 96) this.released();
    else if (dice < 98) this.sendFile();
    else if (machine.random.chance(0.15)) this.endWrite();
  }

  /** Reads to the end, whatever stands in the way. */
  drain(onEnd: () => void): void {
    const { connection } = this;
    this.run.attempt(`${this.name} drains`, () => {
      connection.resumeRead();
      connection.readTimeoutMs = 0;
      connection.writeTimeoutMs = 0;
      connection.idleTimeoutMs = 0;
    });
    const next = () => {
      if (this.isOver) return onEnd();
      if (this.isWaiting) return runtime.later(200, () => (this.read(), next()));
      this.read();
      this.run.follow(connection.reader.wait(1), `${this.name} drains`, next, () => {
        this.read();
        onEnd();
      });
    };
    next();
  }
}
