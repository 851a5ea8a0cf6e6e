/**
 * Deno: `Deno.dlopen`, and what netpoll needs of its event loop.
 */
import process from "node:process";
import type { AdoptedSocket, Host } from "./host.ts";
import type { Pointer } from "./native.ts";
import type { Signature } from "./symbols.ts";

/** `onread` is documented for net.connect only; the constructor takes it as well. */
type SocketOptions = ConstructorParameters<typeof import("node:net").Socket>[0];

/**
 * The part of Deno's internals that is used where it is there: it drains microtasks within a
 * macrotask.
 */
interface Internals {
  core?: { runMicrotasks?: () => void };
}

const isDeno = "Deno" in globalThis;
// Not imported: it costs milliseconds that Bun's way does not need.
const net = isDeno ? process.getBuiltinModule("node:net") : null;

function findDrain(): (() => void) | null {
  const internals = (Deno as unknown as Record<symbol, Internals>)[
    (Deno as unknown as { internal: symbol }).internal
  ];
  const drain = internals?.core?.runMicrotasks;
  return typeof drain === "function" ? drain : null;
}

function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  // "prompt" counts as denied: a library must not stop a server to ask.
  return Deno.permissions.querySync(descriptor).state === "granted";
}

function open<T>(path: string, symbols: Readonly<Record<keyof T, Signature>>): T {
  const interfaces: Deno.ForeignLibraryInterface = {};
  const entries = Object.entries(symbols) as [keyof T, Signature][];
  for (const [, [name, parameters, result]] of entries) interfaces[name] = { parameters, result };
  const { symbols: bound } = Deno.dlopen(path, interfaces);
  const native: Partial<Record<keyof T, unknown>> = {};
  for (const [key, [name]] of entries) native[key] = bound[name];
  return native as T;
}

function refusal(path: string): string | null {
  if (isGranted({ name: "ffi", path })) return null;
  return 'Deno may not load native code; run it again with "--allow-ffi"';
}

function wrap(address: Pointer, bytes: number): ArrayBuffer | null {
  try {
    return new Deno.UnsafePointerView(address as Deno.PointerObject).getArrayBuffer(bytes);
  } catch (error) {
    // --allow-ffi=PATH opens the library and calls it, but makes no views of memory
    // (denoland/deno#15511).
    if (error instanceof Deno.errors.NotCapable) return null;
    throw error;
  }
}

function adopt(fd: number, onReadable: () => void): AdoptedSocket {
  // With a buffer of its own a wake-up costs 4 µs instead of 6.4, and leaves no garbage of 7 KB.
  const onread = { buffer: new Uint8Array(64), callback: () => (onReadable(), true) };
  const socket = new net!.Socket({ fd, readable: true, writable: false, onread } as SocketOptions);
  socket.resume();
  // Our other end never resets and never sends a FIN before this end is destroyed.
  socket.on("error", () => {});
  socket.unref();
  return {
    ref: () => void socket.ref(),
    unref: () => void socket.unref(),
    close: () => void socket.destroy(),
  };
}

function env(name: string): string | undefined {
  return isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
}

function checkNet(hostname: string | null, port: number): void {
  const bracketed = hostname?.includes(":") ? `[${hostname}]` : hostname;
  const at = bracketed === null ? undefined : `${bracketed}:${port}`;
  if (isGranted({ name: "net", host: at })) return;
  throw new Deno.errors.NotCapable(
    `Requires net access${at ? ` to "${at}"` : ""}, run again with the --allow-net flag`,
  );
}

function checkFile(name: "read" | "write", path: string): void {
  if (isGranted({ name, path })) return;
  throw new Deno.errors.NotCapable(
    `Requires ${name} access to "${path}", run again with the --allow-${name} flag`,
  );
}

function checkRead(path: string): void {
  checkFile("read", path);
}

function checkPath(path: string): void {
  checkFile("read", path);
  checkFile("write", path);
}

/** Deno, where this is Deno. */
export const denoHost: Host | null = isDeno
  ? {
    name: "deno",
    version: Deno.version.deno,
    ticksToPollSockets: 3,
    drainMicrotasks: findDrain(),
    idOf: (immediate) => (immediate as { asyncId?: number }).asyncId ?? NaN,
    open,
    refusal,
    wrap,
    adopt,
    env,
    checkNet,
    checkPath,
    checkRead,
  }
  : null;
