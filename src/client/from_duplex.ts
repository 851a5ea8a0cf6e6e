/**
 * Connections over streams of the runtime.
 */
import type { Duplex } from "node:stream";
import { currentScope } from "../../ffi/context.ts";
import { type Known, readOptions, show } from "../core/options.ts";
import { CALLBACKS, checkCallbacks } from "../connection/callbacks.ts";
import type { Connection, FromFdOptions } from "../connection/connection.ts";
import { DuplexConnection } from "../connection/duplex_connection.ts";
import { DEFAULTS, settings, type Unread } from "../connection/settings.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { DuplexTransport } from "../transport/duplex_transport.ts";

const { onPrepare: _, ...LATER_CALLBACKS } = CALLBACKS;
const FROM_DUPLEX_OPTIONS: Known<Omit<FromFdOptions, keyof Unread>> = {
  ...DEFAULTS,
  ...LATER_CALLBACKS,
};
const METHODS = ["on", "read", "pause", "resume", "write", "end", "destroy"] as const;

/** Streams that a connection has, or had. */
const taken = new WeakSet<Duplex>();

/** Throws unless bytes come and go through a stream that is nobody's. */
function checkDuplex(duplex: Duplex): void {
  const isDuplex = typeof duplex === "object" && duplex !== null &&
    METHODS.every((name) => typeof duplex[name] === "function");
  if (!isDuplex) {
    throw new TypeError(`Cannot make a connection of ${show(duplex)}: it is no Duplex`);
  }
  if (duplex.readableObjectMode || duplex.writableObjectMode) {
    throw new TypeError("Cannot make a connection of a stream of objects: it needs one of bytes");
  }
  if (duplex.readableEncoding != null) {
    throw new TypeError(
      "Cannot make a connection of a stream of text: it needs bytes, so do not call setEncoding()",
    );
  }
  if (taken.has(duplex)) {
    throw new TypeError("Cannot make a connection of a stream: a connection has it");
  }
}

/** {@linkcode Connection.fromDuplex}. */
export function fromDuplex<C = undefined>(
  duplex: Duplex,
  options: FromFdOptions<C> = {},
): Connection {
  const read = readOptions("Connection.fromDuplex", options, FROM_DUPLEX_OPTIONS);
  checkCallbacks(read);
  const bounds = settings(read);
  checkDuplex(duplex);
  const service = {
    poller: threadPoller(),
    callbacks: read,
    scope: currentScope(),
    settings: bounds,
    owner: null,
    io: new DuplexTransport(duplex),
    isDialled: false,
  };
  const connection = new DuplexConnection<C>(service, -1, { local: null, remote: null });
  connection.start();
  taken.add(duplex);
  return connection.face;
}
