/**
 * Handlers of a server, and what has to come of them.
 */
import type { CloseCallback, Connection } from "../../mod.ts";
import { machine } from "./machine.ts";
import type { RunState } from "./run_state.ts";
import type { Flow } from "./socket.ts";
import { Track } from "./track.ts";

/** A connection that a handler serves. */
export class Served {
  readonly name: string;
  readonly in: Track;
  /** An echo has the same bytes both ways. */
  readonly out: Track;
  flow: Flow | null = null;
  /** It has closed it by itself, or failed on purpose. */
  isRude = false;
  #isRunning = false;
  #disconnects = 0;
  #closes = 0;
  #connects = 0;
  readonly #run: RunState;

  constructor(run: RunState, name: string) {
    this.#run = run;
    this.name = name;
    this.in = new Track();
    this.out = new Track(this.in.base);
  }

  /** Begins: its callbacks are counted. */
  begin(connection: Connection): void {
    this.flow = this.#run.socketOf(connection.fd).out;
    this.#run.follow(connection.closed, `closed of ${this.name}`);
    connection.addCloseCallback(this.#onClose);
    this.#run.atEnd(() => {
      machine.check(this.#closes === 1, `${this.name}: ${this.#closes} close callbacks`);
      machine.check(!this.#isRunning, `a handler of ${this.name} never settles`);
    });
  }

  readonly #onClose: CloseCallback = () => {
    this.#closes += 1;
    machine.check(!this.#isRunning, `${this.name} is closed under its handler`);
    machine.trace?.(`    ${this.name} is closed`);
  };

  onConnect(): void {
    this.#connects += 1;
    machine.check(this.#connects === 1, `${this.name} connects twice`);
  }

  onDisconnect(): void {
    this.#disconnects += 1;
    machine.trace?.(`    ${this.name} is told of the end`);
    machine.check(this.#disconnects === 1, `${this.name} is told twice of the end`);
  }

  #enter(connection: Connection): void {
    machine.trace?.(`  handler of ${this.name}: ${connection.reader.length} bytes`);
    this.#run.compute();
    machine.check(!this.#isRunning, `the handler of ${this.name} is called while it runs`);
    this.#isRunning = true;
  }

  #exit(): void {
    machine.trace?.(`  the handler of ${this.name} returns`);
    this.#isRunning = false;
  }

  /** Reads some bytes, and writes them back. */
  #echo({ reader, writer }: Connection, count: number): Promise<void> {
    const bytes = reader.next(count);
    this.in.flushed = Math.max(this.in.flushed, this.in.seen + count); // the peer counts its own
    this.in.see(bytes, this.name);
    writer.writeBinary(bytes);
    this.out.written += count;
    return this.#flush(writer);
  }

  #flush(writer: Connection["writer"]): Promise<void> {
    this.out.flushed = this.out.written;
    const flushed = writer.flush();
    this.#run.follow(flushed, `flush of ${this.name}`);
    return flushed;
  }

  /** Takes what is there. */
  readonly echoAll = (connection: Connection): void => {
    this.#enter(connection);
    try {
      void this.#echo(connection, connection.reader.length);
      connection.reader.release();
    } finally {
      this.#exit();
    }
  };

  /** Takes what is there in small messages, each with a flush of its own. */
  readonly echoSmall = (connection: Connection): void => {
    this.#enter(connection);
    const { reader } = connection;
    try {
      while (reader.length > 0) {
        void this.#echo(connection, Math.min(reader.length, 1 + machine.random.below(900)));
        if (machine.random.chance(0.9)) reader.release();
      }
    } finally {
      reader.release();
      this.#exit();
    }
  };

  /** Waits for each message, and until its answer has left. */
  readonly echoAwaiting = async (connection: Connection): Promise<void> => {
    this.#enter(connection);
    const { random } = machine;
    const { reader } = connection;
    try {
      await reader.wait(1);
      const count = 1 + random.below(reader.length);
      const flushed = this.#echo(connection, count);
      if (random.chance(0.8)) await flushed;
      reader.release();
    } catch (error) {
      this.#run.checkError(error, `the handler of ${this.name}`);
      throw error;
    } finally {
      this.#exit();
    }
  };

  /** Waits for something else now and then, and pauses, and asks for more than there is. */
  readonly echoSlowly = async (connection: Connection): Promise<void> => {
    this.#enter(connection);
    const { random } = machine;
    const { reader } = connection;
    try {
      if (random.chance(0.3)) await this.#run.outside(2000);
      if (random.chance(0.1)) {
        connection.pauseRead();
        await this.#run.outside(1000);
        connection.resumeRead();
      }
      const count = Math.min(reader.length, 1 + random.below(2000));
      const flushed = this.#echo(connection, count);
      if (random.chance(0.3)) await flushed;
      reader.release();
      if (random.chance(0.3)) await reader.wait(1);
    } catch (error) {
      this.#run.checkError(error, `the handler of ${this.name}`);
      // A wait for more ends with the stream.
      if (!(error instanceof this.#run.library.api.EofError)) throw error;
    } finally {
      this.#exit();
    }
  };

  /** Ends the connection by itself at some time. */
  readonly echoAndLeave = (connection: Connection): void => {
    const { random } = machine;
    this.echoAll(connection);
    if (!random.chance(0.1)) return;
    this.isRude = true;
    const way = random.below(4);
    machine.trace?.(`  the handler of ${this.name} ends it: ${way}`);
    if (way === 0) connection.reset();
    else if (way === 1) throw this.#run.library.api.SystemError.prototype;
    else {this.#run.follow(
        connection.close(way === 2 ? { timeoutMs: 0 } : {}),
        "close in a handler",
      );}
  };
}
