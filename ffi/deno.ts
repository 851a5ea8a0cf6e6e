/**
 * Deno: `Deno.dlopen`, and what netpoll needs of its event loop.
 */
import { resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { AdoptedSocket, Host } from "./host.ts";
import type { Pointer } from "./symbols.ts";
import type { Signature } from "./symbols.ts";

/** `onread` is documented for net.connect only; the constructor takes it as well. */
type SocketOptions = ConstructorParameters<typeof import("node:net").Socket>[0];

/**
 * The part of Deno's internals that is used where it is there: it drains microtasks within a
 * macrotask, and changes the async context for a hundredth of what `AsyncLocalStorage` takes.
 */
interface Internals {
  core?: {
    runMicrotasks?: () => void;
    getAsyncContext?: () => unknown;
    setAsyncContext?: (context: unknown) => void;
  };
}

const isDeno = "Deno" in globalThis;
// Not imported: it costs milliseconds that Bun's way does not need.
const net = isDeno ? process.getBuiltinModule("node:net") : null;

function findCore(): Internals["core"] {
  const internals = (Deno as unknown as Record<symbol, Internals>)[
    (Deno as unknown as { internal: symbol }).internal
  ];
  return internals?.core;
}

function findDrain(): (() => void) | null {
  const drain = findCore()?.runMicrotasks;
  return typeof drain === "function" ? drain : null;
}

function findContexts(): Host["contexts"] {
  const { getAsyncContext: get, setAsyncContext: set } = findCore() ?? {};
  return typeof get === "function" && typeof set === "function" ? { get, set } : null;
}

/** Taken when netpoll is imported: what is put in its place later does not decide for us. */
const query = isDeno ? Deno.permissions.querySync.bind(Deno.permissions) : null;

function stateOf(descriptor: Deno.PermissionDescriptor): Deno.PermissionState {
  return query!(descriptor).state;
}

function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  // "prompt" counts as denied: a library must not stop a server to ask.
  return stateOf(descriptor) === "granted";
}

/** Deno's own error, in its own words. */
function notCapable(name: "net" | "read" | "write" | "import", what: string): Error {
  return new Deno.errors.NotCapable(
    `Requires ${name} access${what}, run again with the --allow-${name} flag`,
  );
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
  // --allow-ffi=PATH opens the library and calls it, but makes no views of memory
  // (denoland/deno#15511): it would ask the user for more.
  if (!isGranted({ name: "ffi" })) return null;
  try {
    return new Deno.UnsafePointerView(address as Deno.PointerObject).getArrayBuffer(bytes);
  } catch (error) {
    // --deny-ffi=PATH of another library.
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

function onUnload(run: (isOver: boolean) => void): void {
  // The thread of a Worker ends with it, and gives everything back.
  if ("WorkerGlobalScope" in globalThis) return;
  globalThis.addEventListener("unload", () => run(true));
}

function env(name: string): string | undefined {
  return isGranted({ name: "env", variable: name }) ? Deno.env.get(name) : undefined;
}

/** A host and a port as Deno writes them. Of an IPv6 address it leaves the zone out ("%1"). */
function hostAndPort(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Whether all of the network is granted, and no part of it denied: then no address is asked about.
 * Deno keeps an object of each that ever was, which whoever floods us from many would make ours.
 */
function isNetGranted(): boolean {
  const { state, partial } = query!({ name: "net" });
  return state === "granted" && !partial;
}

function checkNet(hostname: string | null, port: number): void {
  if (isNetGranted()) return;
  const at = hostname === null ? undefined : hostAndPort(hostname, port);
  if (isGranted({ name: "net", host: at })) return;
  throw notCapable("net", at === undefined ? "" : ` to "${at}"`);
}

function checkNotDenied(hostname: string, port: number): void {
  const at = hostAndPort(hostname, port);
  if (stateOf({ name: "net", host: at }) === "denied") throw notCapable("net", ` to "${at}"`);
}

function mayResolve(hostname: string): boolean {
  const { state, partial } = query!({ name: "net", host: hostname });
  return state === "granted" && !partial;
}

function checkFile(name: "read" | "write", path: string): void {
  if (!isGranted({ name, path })) throw notCapable(name, ` to "${path}"`);
}

/** Deno does not ask for what was denied, and says so itself, or (--ignore-read) that it is not there. */
function checkUnasked(name: "read" | "write", path: string): void {
  if (stateOf({ name, path }) === "prompt") throw notCapable(name, ` to "${path}"`);
}

function checkRead(path: string): void {
  checkUnasked("read", path);
}

function checkWrite(path: string): void {
  checkUnasked("write", path);
}

function checkModule(url: string): void {
  // A file that is compiled into a program needs no permission.
  if (Deno.build.standalone) return;
  const { protocol, hostname, port } = new URL(url);
  if (protocol === "file:") return checkRead(fileURLToPath(url));
  if (protocol !== "https:" && protocol !== "http:") return;
  const at = `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
  if (!isGranted({ name: "import", host: at })) throw notCapable("import", ` to "${at}"`);
}

/** Returns the state of the permission for a Unix socket as net; null before 2.9, which takes no such descriptor. */
function unixState(path: string): Deno.PermissionState | null {
  try {
    return stateOf({ name: "net", host: `unix:${path}` });
  } catch {
    return null;
  }
}

function checkUnix(path: string): void {
  // An abstract name is no file, and Deno has no flag for a single one.
  if (path.startsWith("@")) {
    if (isGranted({ name: "net" })) return;
    throw notCapable("net", ` to "unix:${path}"`);
  }
  checkFile("read", path);
  checkFile("write", path);
  const absolute = resolve(path);
  if (unixState(absolute) === "granted" || unixState("/") === null) return;
  throw notCapable("net", ` to "unix:${absolute}"`);
}

function plainPath(path: string): string {
  return /(^|\/)\.\.(\/|$)/.test(path) ? resolve(path) : path;
}

/** Deno, where this is Deno. */
export const denoHost: Host | null = isDeno
  ? {
    name: "deno",
    version: Deno.version.deno,
    ticksToPollSockets: 3,
    pausesTls: false,
    drainMicrotasks: findDrain(),
    contexts: findContexts(),
    idOf: (immediate) => (immediate as { asyncId?: number }).asyncId ?? NaN,
    open,
    refusal,
    wrap,
    adopt,
    onUnload,
    env,
    checkNet,
    checkNotDenied,
    mayResolve,
    checkUnix,
    plainPath,
    checkRead,
    checkWrite,
    checkModule,
    get mayCopyEnv() {
      return isGranted({ name: "env" });
    },
  }
  : null;
