/**
 * systemd: the sockets that it passes on (sd_listen_fds(3)), and what it is told (sd_notify(3)).
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { say } from "../core/config.ts";
import { NOT_READY } from "../core/errno.ts";
import { NetpollError, SystemError } from "../core/errors.ts";
import { checkFunction, type Known, readOptions, show } from "../core/options.ts";
import { heed, synchronous } from "../core/promises.ts";
import { Family, parsePath } from "../net/address.ts";
import { kindOf, statOf } from "../net/descriptor.ts";
import { createListener } from "../net/listener.ts";
import type { InheritedOptions, Listener } from "../net/listener_contract.ts";
import { connect } from "../net/permitted.ts";

/** The first descriptor that is passed on. */
const FIRST_FD = 3;
const FDS_MAX = 0x7fff_ffff - FIRST_FD;

/** A listener that another program has opened. */
export interface NamedListener {
  /** Its name: `FileDescriptorName=` of the socket unit, else the name of the unit. */
  name: string;
  /** The listener, which is yours to serve and to close. */
  listener: Listener;
}

/** A descriptor that was passed on and is no listener. */
export interface OtherDescriptor {
  /** Its name, as that of a listener. */
  name: string;
  /** The descriptor, which is yours. */
  fd: number;
  /** The kind of it, in words: `"a datagram socket"`, `"a pipe"`, … */
  kind: string;
}

/** Options of {@linkcode listenersFromSystemd}. */
export interface SystemdOptions {
  /** The options of each listener, such as `tls`, by its name. None unless given. */
  optionsOf?: (name: string) => InheritedOptions;
  /**
   * Takes what is no listener: a UDP socket is for `createDatagramSocket({ fd })`. Without it that is
   * a `TypeError`.
   */
  onOther?: (other: OtherDescriptor) => void;
}

const SYSTEMD_OPTIONS: Known<SystemdOptions> = { optionsOf: 1, onOther: 1 };

function variable(name: string): string | undefined {
  return process.env[name];
}

/** A number in a variable; null where the variable is not set. */
function numberIn(name: string, most: number): number | null {
  const text = variable(name);
  if (text === undefined) return null;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= most) return value;
  throw new NetpollError(
    `Cannot take what systemd passes on: ${name} is ${
      show(text)
    }, and not a number from 1 to ${most}`,
  );
}

/** The names of the descriptors that are for this process. */
function passedNames(): string[] {
  const pid = numberIn("LISTEN_PID", 0x7fff_ffff);
  if (pid !== process.pid) return [];
  const count = numberIn("LISTEN_FDS", FDS_MAX);
  if (count === null) return [];
  const text = variable("LISTEN_FDNAMES");
  // A number from outside: nothing is made for each of them before they are seen.
  const names = text?.split(":");
  if (names !== undefined && names.length !== count) {
    throw new NetpollError(
      `Cannot take what systemd passes on: LISTEN_FDNAMES has ${names.length} names for ${count} descriptors`,
    );
  }
  if (names === undefined) statOf(FIRST_FD + count - 1, "take the last descriptor of systemd");
  return names ?? Array.from({ length: count }, () => "unknown");
}

/**
 * The listeners that systemd has opened for this process (socket activation), in its order; none
 * where there are none, or they are another process's. Call it in the main thread, before children
 * are started: it takes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of the environment, so that no
 * child takes them for its own and a second call returns nothing.
 *
 * Under Deno the program needs `--allow-env` for these three.
 *
 * @throws {TypeError} One is no listener, and nobody takes it: the message names it and says what it
 * is.
 * @throws {NetpollError} The environment is malformed, as sd_listen_fds(3) would say.
 * @throws {SystemError} A descriptor is not open. After any error all that were there are as before,
 * but for listeners made before it, which are closed.
 *
 * @example
 * ```ts
 * import { createListener } from "@netpoll/netpoll";
 * import { listenersFromSystemd } from "@netpoll/netpoll/operations";
 *
 * const [activated] = listenersFromSystemd();
 * using listener = activated?.listener ?? createListener("tcp", "127.0.0.1:0");
 * console.log(listener.address.transport); // "tcp"
 * ```
 */
export function listenersFromSystemd(options: SystemdOptions = {}): NamedListener[] {
  const { optionsOf, onOther } = readOptions("listenersFromSystemd", options, SYSTEMD_OPTIONS);
  if (optionsOf !== undefined) checkFunction("optionsOf", optionsOf);
  if (onOther !== undefined) checkFunction("onOther", onOther);
  const listeners: NamedListener[] = [];
  try {
    const passed = passedNames().map((name, i) => {
      const fd = FIRST_FD + i;
      return { name, fd, kind: kindOf(fd) };
    });
    for (const other of passed) refuseOther(other, onOther);
    for (const { name, fd, kind } of passed) {
      if (kind !== "listener") continue;
      const given = synchronous("optionsOf", optionsOf?.(name));
      listeners.push({ name, listener: createListener({ ...given, fd }) });
    }
    for (const other of passed) if (other.kind !== "listener") hand(other, onOther!);
    return listeners;
  } catch (error) {
    for (const { listener } of listeners) listener.close();
    throw error;
  } finally {
    for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete process.env[name];
  }
}

function refuseOther({ name, fd, kind }: OtherDescriptor, onOther: unknown): void {
  if (kind === "listener" || onOther !== undefined) return;
  throw new TypeError(
    `Cannot listen at descriptor ${fd} of systemd, "${name}": it is ${kind}; onOther takes it`,
  );
}

/** Makes a descriptor ours, close-on-exec, and gives it away. */
function hand(other: OtherDescriptor, onOther: (other: OtherDescriptor) => void): void {
  check("take descriptor", native.adopt(other.fd), `${other.fd}`);
  native.disown(other.fd);
  heed(onOther(other), (error) => say("error", `onOther of listenersFromSystemd failed: ${error}`));
}

/** The raw address that a variable of the environment names. */
function notifyAddress(path: string): Uint32Array {
  if (path.startsWith("/") || (path.startsWith("@") && path.length > 1)) return parsePath(path);
  throw new NetpollError(
    `Cannot tell systemd anything: NOTIFY_SOCKET is ${show(path)}, and no path and no "@name"`,
  );
}

/**
 * Tells systemd about this service, as sd_notify(3) does: `"READY=1"`, `"STOPPING=1"`, `"WATCHDOG=1"`,
 * `"RELOADING=1"` (to which the time is added that systemd wants), `"STATUS=…"`; several are lines of
 * one text. False where nobody wants to hear: NOTIFY_SOCKET is not set.
 *
 * The unit says `Type=notify`, and for `RELOADING=1` `Type=notify-reload`. Under Deno the program needs
 * `--allow-env=NOTIFY_SOCKET`, and `--allow-net`, `--allow-read` and `--allow-write` for that path.
 *
 * @throws {TypeError} The text is none, or has no `=` in a line.
 * @throws {NetpollError} NOTIFY_SOCKET is malformed, or of a machine that is not this one (vsock).
 * @throws {SystemError} Nobody is there.
 *
 * @example
 * ```ts
 * import { notifySystemd } from "@netpoll/netpoll/operations";
 *
 * notifySystemd("READY=1\nSTATUS=Serving");
 * ```
 */
export function notifySystemd(state: string): boolean {
  if (typeof state !== "string" || !/^[A-Z][A-Z0-9_]*=.*(\n[A-Z][A-Z0-9_]*=.*)*\n?$/.test(state)) {
    throw new TypeError(
      `Cannot tell systemd ${show(state)}: each line is a name, "=" and a value, like "READY=1"`,
    );
  }
  const path = variable("NOTIFY_SOCKET");
  if (path === undefined || path === "") return false;
  const isTimed = /^RELOADING=1$/m.test(state) && !/^MONOTONIC_USEC=/m.test(state);
  const time = isTimed ? `\nMONOTONIC_USEC=${Math.floor(native.now())}` : "";
  const bytes = Buffer.from(state.replace(/\n$/, "") + time);
  const raw = notifyAddress(path);
  const fd = check("open a socket", native.datagramSocket(Family.UNIX));
  try {
    check("tell systemd at", connect(fd, raw, "written"), path);
    const sent = native.sendBorrowed(fd, bytes, bytes.byteLength, 0, bytes.byteLength, 0);
    if (sent === NOT_READY) throw new SystemError("tell systemd at", -sent, path);
    check("tell systemd at", sent, path);
  } finally {
    native.close(fd);
  }
  return true;
}

/**
 * The interval in milliseconds at which systemd wants to hear `"WATCHDOG=1"`: half of `WatchdogSec=`,
 * as sd_watchdog_enabled(3) advises. 0 where it does not watch this process.
 *
 * @throws {NetpollError} WATCHDOG_USEC or WATCHDOG_PID is malformed.
 *
 * @example
 * ```ts
 * import { notifySystemd, systemdWatchdogMs } from "@netpoll/netpoll/operations";
 *
 * const everyMs = systemdWatchdogMs();
 * if (everyMs > 0) setInterval(() => notifySystemd("WATCHDOG=1"), everyMs);
 * ```
 */
export function systemdWatchdogMs(): number {
  const micros = numberIn("WATCHDOG_USEC", Number.MAX_SAFE_INTEGER);
  const pid = numberIn("WATCHDOG_PID", 0x7fff_ffff);
  if (micros === null || (pid !== null && pid !== process.pid)) return 0;
  return Math.max(1, Math.floor(micros / 2000));
}
