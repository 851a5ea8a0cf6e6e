/**
 * Sockets as they begin to listen, before anybody serves them.
 */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { ERRNO } from "../core/errno.ts";
import { SystemError } from "../core/errors.ts";
import { placed } from "../core/place.ts";
import { BACKLOG } from "../core/limits.ts";
import { checkNumber } from "../core/options.ts";
import { describeAddress, Family, formatAddress, parsePath } from "./address.ts";
import type { Binding } from "./binding.ts";
import { bind, connect } from "./permitted.ts";
import { applyOptions, INT_MAX, Option, setOption, type SocketOptions } from "./socket.ts";

/** The options of a listener that the kernel hears of. */
export interface ListenOptions extends SocketOptions {
  readonly backlog?: number;
  readonly reusePort?: boolean;
  readonly deferAcceptMs?: number;
  readonly fastOpen?: number;
  readonly mode?: number;
}

/** Removes a file, if it is there. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody removed it, or may: the socket is closed either way.
  }
}

/** Sets what listeners have beside other sockets. */
export function applyListenerOptions(fd: number, options: ListenOptions): void {
  const { deferAcceptMs, fastOpen } = options;
  // The kernel counts in seconds, and rounds up to its own retries.
  if (deferAcceptMs !== undefined) {
    const ms = checkNumber("deferAcceptMs", deferAcceptMs, 0, INT_MAX);
    setOption(fd, Option.DEFER_ACCEPT, Math.max(1, Math.round(ms / 1000)));
  }
  if (fastOpen !== undefined) {
    setOption(fd, Option.FAST_OPEN, checkNumber("fastOpen", fastOpen, 0, INT_MAX));
  }
}

/** A bound and listening socket for one raw address. The descriptor is closed when that fails. */
export function open(raw: Uint32Array, options: ListenOptions, binding: Binding): number {
  const family = raw[0]!;
  const address = formatAddress(raw);
  const subject = describeAddress(address);
  let fd = -1;
  try {
    fd = check("open a socket for", native.socket(family), subject);
    // A server that restarts must not wait for the connections of its predecessor (TIME_WAIT).
    if (family !== Family.UNIX) setOption(fd, Option.REUSE_ADDRESS, 1);
    if (family === Family.IPV6) setOption(fd, Option.V6_ONLY, binding.v6Only ? 1 : 0);
    if (options.reusePort) setOption(fd, Option.REUSE_PORT, 1);
    applyOptions(fd, family, options);
    if (family !== Family.UNIX) applyListenerOptions(fd, options);
    check("listen", bind(fd, raw, binding.origin), `on ${subject}`);
    if (family === Family.UNIX) listenAtFile(fd, subject, options);
    else listen(fd, subject, options);
    return fd;
  } catch (error) {
    if (fd >= 0) native.close(fd);
    throw placed(error, address);
  }
}

/** Begins to take connections, or changes how many may wait. */
export function listen(fd: number, subject: string, options: ListenOptions): void {
  check("listen", native.listen(fd, options.backlog ?? BACKLOG), `on ${subject}`);
}

/**
 * Binding has made the file: it gets its permissions before anybody can connect, and goes if that
 * fails.
 */
function listenAtFile(fd: number, path: string, options: ListenOptions): void {
  const isFile = !path.startsWith("@");
  try {
    if (isFile && options.mode !== undefined) chmodSync(path, options.mode);
    listen(fd, path, options);
  } catch (error) {
    if (isFile) removeFile(path);
    throw error;
  }
}

/**
 * Whether a path is only left over from a server that died: a socket, and nobody accepts
 * connections there.
 */
function isStale(path: string, raw: Uint32Array): boolean {
  if (path.startsWith("@") || !lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return false;
  const fd = check("open a socket", native.socket(Family.UNIX));
  const code = connect(fd, raw, "written");
  native.close(fd);
  return code === -ERRNO.ECONNREFUSED;
}

/** A socket that listens at a path. The file of a server that died is replaced. */
export function listenUnix(address: string, options: ListenOptions): number {
  const raw = parsePath(address);
  const path = describeAddress(formatAddress(raw));
  const binding: Binding = { v6Only: false, origin: "written" };
  try {
    return open(raw, options, binding);
  } catch (error) {
    const isTaken = error instanceof SystemError && error.code === "EADDRINUSE";
    if (!isTaken || !isStale(path, raw)) throw error;
    unlinkSync(path);
    return open(raw, options, binding);
  }
}
