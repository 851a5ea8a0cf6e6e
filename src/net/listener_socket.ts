/**
 * The socket of a listener, for whoever accepts from it.
 */
import { lstatSync } from "node:fs";
import { resolve } from "node:path";
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { unloadables } from "../../ffi/unload.ts";
import { check } from "../core/check.ts";
import { beginServer } from "../tls/context.ts";
import type { Credentials } from "../tls/credentials.ts";
import type { TlsServerOptions } from "../tls/options.ts";
import {
  Family,
  formatAddress,
  isWildcard,
  packAddress,
  type PackedAddress,
  rawAddress,
  type StreamAddress,
} from "./address.ts";
import { HeaderPolicy, type ProxyProtocolOptions } from "./header_policy.ts";
import type { Listener, ListenerOptions } from "./listener_contract.ts";
import { open, removeFile } from "./listening.ts";
import { listenerClose, listenerOpen } from "./messages.ts";
import { applyOptions, getOption, Option } from "./socket.ts";

/** The numbers that listeners of this thread own. */
const taken = new Set<number>();

/** True when a listener of this thread owns a descriptor. */
export function isTaken(fd: number): boolean {
  return taken.has(fd);
}

/** A {@linkcode Listener}, with what the acceptor needs. */
export class ListenerSocket implements Listener {
  readonly address: StreamAddress;
  /**
   * Called before the descriptor is closed: whoever serves it stops watching, before this returns or
   * before its promise resolves.
   */
  onClose: (() => void | Promise<void>) | null = null;
  /** Resolves when the descriptor is closed; null if `close()` has closed it. */
  closing: Promise<void> | null = null;
  /**
   * More sockets with the same address, in the order in which they began to listen. They are served,
   * passed on and closed with this one.
   */
  siblings: readonly ListenerSocket[] = [];
  /** Called when it is not frozen any more. */
  onThaw: (() => void) | null = null;
  #isFrozen = false;
  #isHeld = false;
  #fd: number;
  /** The absolute path of a Unix socket's file, also after chdir; null of any other. */
  readonly #path: string | null;
  /** Identifies this socket's file: another server may have put its own in the place. */
  readonly #file: string | null;
  /** True when the file of a Unix socket goes with it. */
  ownsFile: boolean;
  /**
   * The address of this end of what is accepted: the listener's, unless that is every address of
   * the machine.
   */
  readonly localOfAccepted: PackedAddress | null;
  readonly #options: ListenerOptions;
  readonly #isBorrowed: boolean;
  /** The certificates that its clients are shown; null without TLS. */
  readonly credentials: Credentials | null;
  /** The context that handshakes begin with; -1 without TLS. */
  readonly tlsContext: number;
  /** Says which peers send a PROXY header; null where nobody does. */
  readonly headers: HeaderPolicy | null;

  /**
   * A listener over a socket that listens, with these options; without any it is borrowed, with the
   * TLS context and the policy of whoever lends it.
   */
  constructor(
    fd: number,
    options: ListenerOptions | null,
    credentials: Credentials | null = null,
    tlsContext: number = credentials?.id ?? -1,
    ownsFile = true,
    headers: ProxyProtocolOptions | undefined = options?.proxyProtocol,
  ) {
    this.headers = headers === undefined ? null : new HeaderPolicy(headers);
    this.credentials = credentials;
    this.tlsContext = tlsContext;
    this.#options = options ?? {};
    this.#isBorrowed = options === null;
    const raw = rawAddress();
    check("learn the address of a socket", native.name(fd, 0, raw));
    this.#fd = fd;
    this.address = formatAddress(raw);
    this.localOfAccepted = isWildcard(raw) ? null : packAddress(raw);
    const path = this.address.transport === "unix" ? this.address.path : "@";
    this.#path = path.startsWith("@") ? null : resolve(path);
    this.#file = this.#path === null ? null : identify(this.#path);
    this.ownsFile = ownsFile && !this.#isBorrowed && this.#file !== null;
    unloadables.add(this);
    taken.add(fd);
    if (listenerOpen.isHeard && !this.#isBorrowed) listenerOpen.publish({ address: this.address });
  }

  get fd(): number {
    return this.#fd;
  }

  /**
   * Whether another process has these sockets as well, until one of the two closes them: the other
   * goes on with those that both have, and so neither opens more.
   */
  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** True when the other process accepts, and this one does not yet. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Another process has it and its siblings as well; one of the two accepts. */
  freeze(accepting: "here" | "there"): void {
    for (const one of [this, ...this.siblings]) {
      one.#isFrozen = true;
      one.#isHeld = accepting === "there";
    }
  }

  /** No other process has it or its siblings any more. */
  thaw(): void {
    for (const one of [this, ...this.siblings]) {
      if (!one.#isFrozen) continue;
      one.#isFrozen = one.#isHeld = false;
      one.onThaw?.();
    }
  }

  close(): void {
    this.closeAlone();
    for (const sibling of this.siblings) sibling.closeAlone();
  }

  /** Closes it, and leaves its siblings open. */
  closeAlone(): void {
    const fd = this.#fd;
    if (fd < 0) return;
    const stopped = this.onClose?.();
    this.#fd = -1;
    // Before the descriptor is closed: until then the file's number cannot be another file's.
    if (this.ownsFile) this.removeFile();
    if (stopped === undefined) this.#end(fd);
    else this.closing = stopped.then(() => this.#end(fd));
  }

  /** Removes the file of a Unix socket, if it is there still. */
  removeFile(): void {
    if (this.#path !== null && this.#file !== null && identify(this.#path) === this.#file) {
      removeFile(this.#path);
    }
  }

  #end(fd: number): void {
    unloadables.delete(this);
    taken.delete(fd);
    if (this.#isBorrowed) return;
    native.close(fd);
    this.credentials?.close();
    if (listenerClose.isHeard) listenerClose.publish({ address: this.address });
  }

  reloadTls(options: TlsServerOptions): void {
    if (this.credentials === null) {
      throw new TypeError("Cannot reload TLS: the listener was made without the option tls");
    }
    this.credentials.reload(options);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Another socket that listens at the same address and shares what comes (SO_REUSEPORT).
   *
   * @throws {TypeError} This one does not share its address.
   * @throws {SystemError} The kernel refuses.
   */
  sibling(): ListenerSocket {
    this.checkShares();
    const raw = rawAddress();
    check("learn the address of a socket", native.name(this.#fd, 0, raw));
    const v6Only = raw[0] === Family.IPV6 && getOption(this.#fd, Option.V6_ONLY) !== 0;
    const fd = open(raw, this.#options, { v6Only, origin: "stands for what was granted" });
    return listenerOver(fd, () => new ListenerSocket(fd, this.#options, null, this.tlsContext));
  }

  /**
   * Makes siblings of sockets that another process has opened, and that are its own from now on.
   *
   * @throws {SystemError} The kernel refuses; they are closed then.
   */
  adopt(fds: readonly number[]): void {
    const siblings: ListenerSocket[] = [];
    try {
      for (const fd of fds) {
        applyOptions(fd, getOption(fd, Option.DOMAIN), this.#options);
        check("make a descriptor non-blocking", native.adopt(fd));
        siblings.push(new ListenerSocket(fd, this.#options, null, this.tlsContext));
      }
      this.siblings = siblings;
    } catch (error) {
      for (const sibling of siblings) sibling.close();
      for (const fd of fds.slice(siblings.length)) native.close(fd);
      throw error;
    }
  }

  /**
   * Throws unless several sockets can share its address.
   *
   * @throws {TypeError} They cannot.
   */
  checkShares(): void {
    if (this.address.transport !== "tcp" || !this.#options.reusePort) {
      throw new TypeError(
        'Cannot serve with acceptMode "reuseport": the listener needs "tcp" and reusePort: true',
      );
    }
  }

  /** Takes a connection and writes down who it is from: its descriptor, or `-errno`. */
  accept(peer: Uint32Array): number {
    const fd = native.accept(this.#fd, peer);
    return fd < 0 || this.tlsContext < 0 ? fd : this.#secure(fd);
  }

  /** Begins TLS: whoever gets the descriptor goes on with the handshake. */
  #secure(fd: number): number {
    const code = beginServer(fd, this.tlsContext);
    if (code >= 0) return fd;
    native.close(fd);
    return code;
  }
}

/** The identity of a file, which tells it from another at the same path; null where there is none. */
function identify(path: string): string | null {
  try {
    // Permission may have been taken back, and then the runtime would ask for it.
    host.checkUnix(path);
    const { dev, ino } = lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

/** A listener over a socket of ours. It is closed, and its file goes, when that fails. */
export function listenerOver(fd: number, make: () => ListenerSocket, path = "@"): ListenerSocket {
  try {
    return make();
  } catch (error) {
    native.close(fd);
    if (!path.startsWith("@")) removeFile(path);
    throw error;
  }
}
