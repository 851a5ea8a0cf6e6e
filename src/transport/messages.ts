/**
 * The channel that tells of TLS handshakes, and its message (docs/SIGHT.md).
 */
import { Channel } from "../core/channel.ts";
import type { StreamAddress } from "../net/address.ts";

/** The message of `netpoll:tls:handshake`: it has succeeded, or failed. */
export interface TlsHandshakeMessage {
  /** Where this end is. */
  localAddress: StreamAddress;
  /** Where the peer is. */
  remoteAddress: StreamAddress;
  /** The version, like `"TLSv1.3"`; null where it failed. */
  protocol: string | null;
  /** The cipher, like `"TLS_AES_256_GCM_SHA384"`; null where it failed. */
  cipher: string | null;
  /** The server name that the client asked for; null for none, and where it failed. */
  serverName: string | null;
  /** Whether it went on with an earlier session. */
  isResumed: boolean;
  /** The error that it failed with; undefined unless it has. */
  error?: unknown;
  /** The time that it took, in milliseconds. */
  durationMs: number;
}

/** A handshake is over. */
export const tlsHandshake: Channel<TlsHandshakeMessage> = new Channel("netpoll:tls:handshake");
