/**
 * A source of connections: an acceptor, or an inbox in a Worker.
 */
import type { EndpointAddresses } from "../transport/endpoint.ts";
import type { SystemError } from "../core/errors.ts";
import type { HeaderBounds } from "../net/header_policy.ts";

/** A connection that comes: where it arrived, who it is from, and how it begins. */
export interface Arrival extends EndpointAddresses {
  /** The bounds of the PROXY header with which it begins; null where none does. */
  readonly header: HeaderBounds | null;
}

/** The loop that takes the connections. */
export interface SourceOwner {
  /** A connection. */
  onAccept(fd: number, arrival: Arrival): void;
  /** A connection that the listener refuses. */
  onRefuse(fd: number): void;
  /** Its listener was closed: nothing comes from it any more. */
  onStop(source: ConnectionSource): void;
  /** The source is broken: nothing comes any more. */
  onAcceptFailure(error: SystemError): void;
}

/** A source of connections. */
export interface ConnectionSource {
  /** Brings no connections until `resume`: they wait where they are. */
  pause(): void;
  /** Brings connections again. */
  resume(): void;
  /** A descriptor may be free again. */
  retry(): void;
  /** Brings what waits already: the source is about to close. */
  drain(): void;
  /** Keeps the process alive: the default. */
  ref(): void;
  /** Lets the process end although connections may still come. */
  unref(): void;
  /** Ends it. */
  close(): void;
}
