/**
 * The differences of the runtimes besides the calls: everything else in netpoll is the same on both.
 */
import type { Pointer } from "./symbols.ts";
import type { Signature } from "./symbols.ts";

/** A socket whose bytes mean nothing: that there are some is the news. The runtime polls it. */
export interface AdoptedSocket {
  /** Keeps the process alive for as long as the socket is open. */
  ref(): void;
  /** Lets the process end. */
  unref(): void;
  /** Closes the descriptor that was adopted. */
  close(): void;
}

/** The runtime, as netpoll needs it. */
export interface Host {
  /** "deno" or "bun". */
  readonly name: "deno" | "bun";
  /** Its version, "2.9.5". */
  readonly version: string;
  /**
   * The number of empty macrotasks that let the runtime's own sockets make progress after its loop was
   * idle once, or 0 where every macrotask polls them (docs/decisions/0006-pace.md).
   */
  readonly ticksToPollSockets: number;
  /**
   * Whether a paused socket of node:tls stops reading. Deno's reads on, and does not tell of an end
   * that came meanwhile.
   */
  readonly pausesTls: boolean;
  /**
   * The number that the runtime gave to an immediate. Both number whatever is begun (Bun timers and
   * immediates, Deno all that has an async id), so that a gap between two of ours tells of somebody
   * else's. NaN where there is none.
   */
  idOf(immediate: unknown): number;
  /**
   * Runs all pending microtasks now, from within a macrotask; null where the runtime offers no way.
   */
  readonly drainMicrotasks: (() => void) | null;
  /**
   * The async context of this moment, in the runtime's own words (undefined: nobody's), and how to
   * enter one. Null where only `AsyncLocalStorage` knows.
   */
  readonly contexts: { get(): unknown; set(context: unknown): void } | null;
  /** Opens a shared library and binds the functions of a table. Throws the runtime's own error. */
  open<T>(path: string, symbols: Readonly<Record<keyof T, Signature>>): T;
  /** The reason why a library must not be opened: the permission that is missing, or null. */
  refusal(path: string): string | null;
  /**
   * An ArrayBuffer over native memory, or null where the runtime forbids it (a path-scoped
   * permission).
   */
  wrap(address: Pointer, bytes: number): ArrayBuffer | null;
  /** Lets the runtime poll a socket and call back when bytes arrive. */
  adopt(fd: number, onReadable: () => void): AdoptedSocket;
  /**
   * Calls back when the program is unloaded and the thread lives on: it is loaded anew
   * (`deno run --watch`, `bun --hot`), or another comes in its place (`deno test`, file by file).
   * True: none of its JavaScript runs afterwards. Under Deno the end of the process is one, too.
   */
  onUnload(run: (isOver: boolean) => void): void;
  /** An environment variable; undefined when it may not be read. Never asks the user. */
  env(name: string): string | undefined;
  /**
   * Throws what the runtime throws unless the program may use that host and port; null is any host.
   * As with all that follows, the user is never asked: what the runtime would ask for is refused.
   */
  checkNet(hostname: string | null, port: number): void;
  /**
   * Throws the same where that address was forbidden. For one that a name stands for, when the name
   * itself was granted: a grant by name covers its addresses, a denied address goes first.
   */
  checkNotDenied(hostname: string, port: number): void;
  /** True if the runtime's resolver may be given that name. It wants more than one port of it. */
  mayResolve(hostname: string): boolean;
  /** Throws the same unless the program may use a Unix socket at that path. */
  checkUnix(path: string): void;
  /**
   * A Unix socket's path as the sandbox reads it, for the kernel to use: where one takes ".." by the
   * text and the other follows links first, they mean different files.
   */
  plainPath(path: string): string;
  /** Throws the same where the runtime would ask its user before it reads a file. */
  checkRead(path: string): void;
  /** Throws the same where it would ask before it writes one. */
  checkWrite(path: string): void;
  /** Throws where the runtime would ask its user before a Worker imports a module. */
  checkModule(url: string): void;
  /** True if a Worker may be given a copy of all environment variables, which is the default. */
  readonly mayCopyEnv: boolean;
}
