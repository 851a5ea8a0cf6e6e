/**
 * A source of connections: an acceptor, or an inbox in a Worker.
 */
import type { EndpointAddresses } from "../transport/endpoint.ts";
import type { SystemError } from "../core/errors.ts";

/** The loop that takes the connections. */
export interface SourceOwner {
  /** A connection, where it arrived and who it is from. */
  onAccept(fd: number, ends: EndpointAddresses): void;
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
