/**
 * TLS in the middle of a connection: what protocols call STARTTLS.
 */
import { check } from "../core/check.ts";
import { BusyError, ClosedError, NetpollError } from "../core/errors.ts";
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

/**
 * Throws unless all bytes so far are accounted for. Bytes that came before the handshake were not
 * protected: who puts some of his own there must not have them taken for what came after.
 */
function checkAccounted(owner: SecureOwner): void {
  const { input, output } = owner;
  if (!owner.isActive) throw new ClosedError("Cannot start TLS: the connection is closed");
  if (owner.isAwaited || input.readBan !== null || output.writeBan !== null) {
    throw new BusyError("Cannot start TLS: somebody waits for bytes or a flush, or it is ending");
  }
  if (!owner.isWatched) throw new TypeError("Cannot start TLS before onPrepare has returned");
  if (!owner.isSocket || !owner.io.isPlain) {
    throw new TypeError("Cannot start TLS: it is no plain socket");
  }
  if (input.length > 0) {
    throw new NetpollError(
      `Cannot start TLS: ${input.length} bytes that came without it are unread; read them first, ` +
        "and close the connection if none may come there",
    );
  }
  if (output.pending > 0 || output.length > 0) {
    throw new BusyError("Cannot start TLS: await flush() of what was written without it first");
  }
}

/**
 * Begins TLS on a connection. The function that chooses certificates, where there is one.
 *
 * @throws {TypeError} The role or an option is wrong, or it is no socket.
 * @throws {BusyError} Bytes wait to be sent, or somebody waits for some.
 * @throws {NetpollError} Unread bytes are there.
 */
export function beginTls(
  owner: SecureOwner,
  role: TlsRole,
  options: TlsServerOptions | TlsClientOptions | true,
): Choose | null {
  if (role !== "client" && role !== "server") {
    throw new TypeError(`Cannot start TLS as ${show(role)}: it is "client" or "server"`);
  }
  checkAccounted(owner);
  if (role === "server") {
    const credentials = credentialsOf(options as TlsServerOptions);
    check("begin TLS", beginServer(owner.fd, credentials.id));
    return (name) => credentials.choose(name);
  }
  const tls = clientTlsOf(options as TlsClientOptions | true);
  if (tls.isVerified && tls.serverName === undefined) {
    throw new TypeError("Cannot start TLS as a client: serverName must say who the server is");
  }
  tls.begin(owner.fd, tls.serverName ?? "", describeAddress(owner.remoteAddress));
  return null;
}
