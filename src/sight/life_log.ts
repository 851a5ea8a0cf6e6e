/**
 * The life of connections as log lines: with `configure({ logLevel: "info" })` or `"debug"` the log
 * subscribes to the channels, as anybody could.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { DialMessage } from "../client/messages.ts";
import type {
  ConnectionCloseMessage,
  ConnectionMessage,
  ConnectionOpenMessage,
  RequestMessage,
  TimeoutMessage,
} from "../connection/messages.ts";
import { followers, isLogged, type LogLevel, say } from "../core/config.ts";
import { describeAddress } from "../net/address.ts";
import type { AcceptRefusedMessage, ListenerMessage } from "../net/messages.ts";
import type { TlsHandshakeMessage } from "../transport/messages.ts";

type Subscriber = (message: unknown) => void;

/** A level, and the lines of one channel that have it. */
type Line = readonly [level: LogLevel, channel: string, text: Subscriber];

/** The text of an error, without the stack. */
function reason(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function ms(duration: number | null): string {
  return `${(duration ?? 0).toFixed(duration! < 10 ? 2 : 0)} ms`;
}

function ends({ connection }: ConnectionMessage): string {
  const { localAddress, remoteAddress } = connection;
  return `${describeAddress(localAddress)} ↔ ${describeAddress(remoteAddress)}`;
}

function line<M>(level: LogLevel, channel: string, text: (message: M) => string | null): Line {
  const subscriber = (message: unknown) => {
    const written = text(message as M);
    if (written === null) return;
    try {
      say(level, written);
    } catch {
      // A log that fails has nowhere to say so.
    }
  };
  return [level, `netpoll:${channel}`, subscriber];
}

function opened(message: ConnectionOpenMessage): string {
  return `connection ${message.id} open, ${message.isDialled ? "dialled" : "accepted"}: ${
    ends(message)
  }`;
}

function closed(message: ConnectionCloseMessage): string {
  const { id, reason: why, receivedBytes, sentBytes, unsentBytes, requestCount } = message;
  return `connection ${id} closed after ${ms(message.durationMs)}: ${why}` +
    ("error" in message ? ` (${reason(message.error)})` : "") +
    `; ${receivedBytes} bytes received, ${sentBytes} sent` +
    (unsentBytes > 0 ? `, ${unsentBytes} not delivered` : "") +
    `, ${requestCount} requests; ${ends(message)}`;
}

function refused(of: AcceptRefusedMessage): string {
  const why = {
    header: `its PROXY header (${reason(of.error)})`,
    untrusted: "it is no trusted proxy",
    "per-address": "too many connections from its address",
  }[of.reason];
  return `refused, ${why}: ${describeAddress(of.localAddress)} ↔ ${
    describeAddress(of.remoteAddress)
  }`;
}

function settled({ id, request, durationMs, waitMs, readBytes, ...rest }: RequestMessage): string {
  return `connection ${id}, request ${request} ` +
    ("error" in rest ? `failed (${reason(rest.error)})` : "served") +
    ` after ${ms(durationMs)}, waited ${ms(waitMs)}, ${readBytes} bytes read`;
}

function handshake(message: TlsHandshakeMessage): string {
  const { localAddress, remoteAddress, protocol, cipher, durationMs } = message;
  const how = "error" in message
    ? `failed (${reason(message.error)})`
    : `done, ${protocol}, ${cipher}${message.isResumed ? ", resumed" : ""}`;
  return `TLS handshake ${how} after ${ms(durationMs)}: ${describeAddress(localAddress)} ↔ ${
    describeAddress(remoteAddress)
  }`;
}

const LINES: readonly Line[] = [
  line<ListenerMessage>(
    "info",
    "listener:open",
    (of) => `listens on ${describeAddress(of.address)}`,
  ),
  line<ListenerMessage>(
    "info",
    "listener:close",
    (of) => `listens no more on ${describeAddress(of.address)}`,
  ),
  line("info", "accept:refused", refused),
  line("info", "connection:open", opened),
  line("info", "connection:close", closed),
  line<TimeoutMessage>(
    "info",
    "timeout",
    (of) => `connection ${of.id}, ${of.operation} timeout: ${of.timeoutMs} ms have passed`,
  ),
  line<TlsHandshakeMessage>("info", "tls:handshake", (of) => "error" in of ? handshake(of) : null),
  line<TlsHandshakeMessage>("debug", "tls:handshake", (of) => "error" in of ? null : handshake(of)),
  line<DialMessage>(
    "info",
    "dial:error",
    (of) => `dial ${of.address} failed after ${ms(of.durationMs)}: ${reason(of.error)}`,
  ),
  line<DialMessage>("debug", "dial:start", (of) => `dial ${of.address}`),
  line("debug", "request:end", settled),
];

/** The lines that are subscribed. */
const subscribed = new Set<Line>();

/** Subscribes to what is logged now, and to nothing else. */
function follow(): void {
  for (const each of LINES) {
    const [level, channel, subscriber] = each;
    if (isLogged(level) === subscribed.has(each)) continue;
    if (subscribed.delete(each)) unsubscribe(channel, subscriber);
    else {
      subscribed.add(each);
      subscribe(channel, subscriber);
    }
  }
}

followers.add(follow);
