/**
 * TLS in the middle of a connection: what protocols call STARTTLS.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { BusyError, ClosedError } from "../core/errors.ts";
import { show } from "../core/options.ts";
import { describeAddress } from "../net/address.ts";
import { beginServer, onceFor } from "../tls/context.ts";
import { Credentials } from "../tls/credentials.ts";
import type { TlsClientOptions, TlsServerOptions } from "../tls/options.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { clientTlsOf } from "./client_tls.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Choose } from "./handshake.ts";

/** The sides of TLS. */
export type TlsRole = "client" | "server";

/** The connection that gets TLS. */
export interface SecureOwner extends Endpoint {
  readonly isActive: boolean;
  /** Whether somebody waits for something of it. */
  readonly isAwaited: boolean;
  /** Received bytes. */
  readonly input: LinkChain;
  /** Bytes to be sent. */
  readonly output: LinkChain;
}

const credentialsOf = onceFor((options: TlsServerOptions) => new Credentials(options));

/** Throws unless TLS may begin: nobody moves bytes, and none wait to be sent. */
function checkQuiet(owner: SecureOwner): void {
  const { input, output } = owner;
  if (!owner.isActive) throw new ClosedError("Cannot start TLS: the connection is closed");
  if (owner.isAwaited || input.readBan !== null || output.writeBan !== null) {
    throw new BusyError("Cannot start TLS: somebody waits for bytes or a flush, or it is ending");
  }
  if (!owner.isWatched) throw new TypeError("Cannot start TLS before onPrepare has returned");
  if (!owner.isSocket || !owner.io.isPlain) {
    throw new TypeError("Cannot start TLS: it is no plain socket");
  }
  if (output.pending > 0 || output.length > 0) {
    throw new BusyError("Cannot start TLS: await flush() of what was written without it first");
  }
}

/**
 * Unread bytes are the first ones of TLS: a peer may begin at once, and its first message may be
 * here before ours is asked for. They are never read as bytes that TLS has protected: if somebody
 * has put a command of his own there, the handshake fails.
 */
function feed({ fd, input }: SecureOwner): void {
  const { length } = input;
  if (length === 0) return;
  const early = new Uint8Array(length);
  input.copyOut(early, 0, length);
  check("begin TLS", native.tlsFeed(fd, early, length));
  input.consume(length);
  input.total -= length; // they are no bytes of the connection, but of TLS
}

/**
 * Begins TLS on a connection. The function that chooses certificates, where there is one.
 *
 * @throws {TypeError} The role or an option is wrong, or it is no socket.
 * @throws {BusyError} Bytes wait to be sent, or somebody waits for some.
 */
export function beginTls(
  owner: SecureOwner,
  role: TlsRole,
  options: TlsServerOptions | TlsClientOptions | true,
): Choose | null {
  if (role !== "client" && role !== "server") {
    throw new TypeError(`Cannot start TLS as ${show(role)}: it is "client" or "server"`);
  }
  checkQuiet(owner);
  if (role === "server") {
    const credentials = credentialsOf(options as TlsServerOptions);
    check("begin TLS", beginServer(owner.fd, credentials.id));
    feed(owner);
    return (name) => credentials.choose(name);
  }
  const tls = clientTlsOf(options as TlsClientOptions | true);
  if (tls.isVerified && tls.serverName === undefined) {
    throw new TypeError("Cannot start TLS as a client: serverName must say who the server is");
  }
  tls.begin(owner.fd, tls.serverName ?? "", describeAddress(owner.remoteAddress));
  feed(owner);
  return null;
}
