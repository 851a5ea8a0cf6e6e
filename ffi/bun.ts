/**
 * Bun: `bun:ffi`, and what netpoll needs of its event loop.
 */
import process from "node:process";
import type { AdoptedSocket, Host } from "./host.ts";
import type { Pointer } from "./symbols.ts";
import type { NativeType, Signature } from "./symbols.ts";

/** The part of `Bun.connect` that netpoll uses, written out so that Deno's checker knows it too. */
interface BunSocket {
  ref(): void;
  unref(): void;
  terminate(): void;
}
interface BunSocketHandlers {
  open(socket: BunSocket): void;
  data(): void;
  error(): void;
  close(): void;
}
interface BunNamespace {
  connect(options: { fd: number; socket: BunSocketHandlers }): Promise<BunSocket>;
}
interface BunFfi {
  dlopen(
    path: string,
    symbols: Record<string, { args: readonly string[]; returns: string }>,
  ): { symbols: Record<string, unknown> };
  toArrayBuffer(address: number, offset: number, bytes: number): ArrayBuffer;
}

/**
 * A module of the runtime. Not imported, so that one file serves both runtimes: a static `import`
 * of "bun:" fails under Deno, and a dynamic one has to be awaited, which Bun 1.3 does in the wrong
 * order (modules that need this one run before it).
 */
function builtin<T>(name: string): T {
  return process.getBuiltinModule(name) as T;
}

const Bun = (globalThis as unknown as { Bun?: BunNamespace }).Bun;
const ffi = Bun ? builtin<BunFfi>("bun:ffi") : null;
const jsc = Bun ? builtin<{ drainMicrotasks?: () => void }>("bun:jsc") : null;

const TYPES: Readonly<Record<NativeType, string>> = {
  i32: "i32",
  u32: "u32",
  f64: "f64",
  buffer: "ptr",
  pointer: "ptr",
};

function open<T>(path: string, symbols: Readonly<Record<keyof T, Signature>>): T {
  const entries = Object.entries(symbols) as [keyof T, Signature][];
  const table: Record<string, { args: string[]; returns: string }> = {};
  for (const [, [name, parameters, result]] of entries) {
    table[name] = { args: parameters.map((type) => TYPES[type]), returns: TYPES[result] };
  }
  const { symbols: bound } = ffi!.dlopen(path, table);
  const native: Partial<Record<keyof T, unknown>> = {};
  for (const [key, [name]] of entries) native[key] = bound[name];
  return native as T;
}

function wrap(address: Pointer, bytes: number): ArrayBuffer {
  return ffi!.toArrayBuffer(address as number, 0, bytes);
}

/** The socket opens a moment later than it is asked for: until then, remember what was asked. */
function adopt(fd: number, onReadable: () => void): AdoptedSocket {
  let socket: BunSocket | null = null;
  let isRef = false;
  let isClosed = false;
  const apply = () => {
    if (isClosed) socket?.terminate();
    else if (isRef) socket?.ref();
    else socket?.unref();
  };
  void Bun!.connect({
    fd,
    socket: {
      open(opened) {
        socket = opened;
        apply();
      },
      data: onReadable,
      // Our other end never resets and never sends a FIN before this end is terminated.
      error() {},
      close() {},
    },
  });
  const set = (ref: boolean) => {
    isRef = ref;
    apply();
  };
  return {
    ref: () => set(true),
    unref: () => set(false),
    close() {
      isClosed = true;
      apply();
    },
  };
}

/**
 * The key under which a module that is evaluated again (`bun --hot`) finds the duties of its
 * predecessor. Another copy of netpoll in the same program has another URL.
 */
const UNLOAD = Symbol.for(`netpoll.unload ${import.meta.url}`);

function onUnload(run: (isOver: boolean) => void): void {
  const hooks = globalThis as unknown as Record<symbol, (() => void) | undefined>;
  hooks[UNLOAD]?.();
  hooks[UNLOAD] = () => run(false);
}

/** Bun, where this is Bun. */
export const bunHost: Host | null = Bun
  ? {
    name: "bun",
    version: process.versions["bun"]!,
    ticksToPollSockets: 0,
    pausesTls: true,
    idOf: Number,
    contexts: null,
    drainMicrotasks: jsc?.drainMicrotasks ?? null,
    open,
    refusal: () => null,
    wrap,
    adopt,
    onUnload,
    env: (name) => process.env[name],
    checkNet() {},
    checkNotDenied() {},
    mayResolve: () => true,
    checkUnix() {},
    plainPath: (path) => path,
    checkRead() {},
    checkWrite() {},
    checkModule() {},
    mayCopyEnv: true,
  }
  : null;
