/**
 * The servers that ours is measured beside.
 */
import { fileURLToPath } from "node:url";

/**
 * The work of a server with bytes that it reads: it sends them back; answers each frame (4 bytes of length, high
 * byte first, and the payload) with one of the same payload; the same, one in 100 10 ms late;
 * sends each frame to all others.
 */
export type Mode = "echo" | "framed" | "tail" | "broadcast";

/** All of them. */
export const MODES: readonly Mode[] = ["echo", "framed", "tail", "broadcast"];

/** Settings that make a program print a line for each of its garbage collections. */
export interface CollectionTrace {
  /** The words before its command. */
  readonly prefix?: readonly string[];
  /** The variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Options of the runtime. */
  readonly flags?: readonly string[];
  /** Matches such a line, and no other. */
  readonly pattern: RegExp;
}

/** The properties of every server. */
interface Server {
  /** Its name in options. */
  readonly name: string;
  /** Its name in tables. */
  readonly title: string;
  /** Its modes. */
  readonly modes: readonly Mode[];
  /**
   * True when it reads on from a client that does not take its answers, and keeps them in memory: its library
   * has no way to stop.
   */
  readonly isUnbounded?: boolean;
  /** Its trace of collections; null when it has none. */
  readonly collections: CollectionTrace | null;
}

/** A file of this folder that a runtime runs, with the arguments PORT MESSAGE_BYTES MODE. */
export interface ScriptPeer extends Server {
  readonly runtime: "bun" | "deno" | "node";
  /** Its file, beside this one. */
  readonly file: string;
}

/** A program that is built. */
export interface BuiltPeer extends Server {
  readonly runtime: null;
  /** The command that starts it, on a port that the kernel chooses. */
  argv(messageBytes: number, mode: Mode): string[];
  /** The toolchain that builds it. */
  readonly needs: "go" | "cargo";
  /** The target of bench/Makefile. */
  readonly build: string;
}

/** A server of this folder. */
export type Peer = ScriptPeer | BuiltPeer;

// V8 prints on standard output, beside what the program says, and into a pipe only every 4096
// bytes, wherever a line is then; stdbuf makes that every line. The others use standard error.
const V8 = {
  prefix: ["stdbuf", "-oL"],
  pattern: /^\[\d+:0x[0-9a-f]+\] +\d+ ms: (Scavenge|Mark-Compact|Minor)/,
};

/** The trace of collections of each runtime. */
export const COLLECTIONS: Readonly<Record<"bun" | "deno" | "node" | "go", CollectionTrace>> = {
  bun: {
    env: { BUN_JSC_logGC: "1" },
    pattern: /^\[GC<0x[0-9a-f]+>: START .*=> (Eden|Full)Collection/,
  },
  deno: { ...V8, flags: ["--v8-flags=--trace-gc"] },
  node: { ...V8, flags: ["--trace-gc"] },
  go: { env: { GODEBUG: "gctrace=1" }, pattern: /^gc \d+ @/ },
};

function script(
  runtime: ScriptPeer["runtime"],
  name: string,
  title: string,
  file: string,
): ScriptPeer {
  return { runtime, name, title, file, modes: MODES, collections: COLLECTIONS[runtime] };
}

type Build = Omit<BuiltPeer, "runtime" | "modes" | "argv">;

function built(peer: Build): BuiltPeer {
  const program = fileURLToPath(new URL(`../build/${peer.name}`, import.meta.url).href);
  const argv = (bytes: number, mode: Mode) => [program, "0", String(bytes), mode];
  return { ...peer, runtime: null, modes: MODES, argv };
}

const GO = { needs: "go", build: "go-peers", collections: COLLECTIONS.go } as const;

/** All of them. */
export const PEERS: readonly Peer[] = [
  script("bun", "bun-listen", "Bun.listen", "bun_listen.ts"),
  script("deno", "deno-listen", "Deno.listen, read/write", "deno_listen.ts"),
  script("deno", "deno-streams", "Deno.listen, streams", "deno_streams.ts"),
  script("bun", "bun-net", "node:net in Bun", "node_net.mjs"),
  script("deno", "deno-net", "node:net in Deno", "node_net.mjs"),
  script("node", "node-net", "node:net in Node", "node_net.mjs"),
  built({ name: "go-net", title: "net in Go", ...GO }),
  // Both read into memory for as long as bytes come: there is no call that stops it.
  built({ name: "go-netpoll", title: "netpoll in Go", isUnbounded: true, ...GO }),
  built({ name: "go-gnet", title: "gnet in Go", isUnbounded: true, ...GO }),
  built({
    name: "rust-tokio",
    title: "tokio in Rust",
    needs: "cargo",
    build: "rust-peers",
    collections: null,
  }),
];
