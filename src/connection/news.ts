/**
 * News of a connection, for whoever subscribes to the channels of messages.ts.
 */
import type { Ban } from "../buffer/link_chain.ts";
import { EofError, SystemError, TimeoutError, UnsentError } from "../core/errors.ts";
import { clock } from "../poll/clock.ts";
import { writeSide } from "./connection_writer.ts";
import type { Ending } from "./ending.ts";
import type { Step } from "./lifecycle.ts";
import { connectionClose } from "./messages.ts";
import { receivedBytes } from "./connection_metrics.ts";
import type { CloseReason, ConnectionEnd } from "./settings.ts";
import { idOf, type WatchedCalls, type WatchedConnection } from "./watched_calls.ts";

/** A connection that has gone. */
export interface GoneConnection extends WatchedConnection {
  /** When it was opened, in microseconds. */
  readonly openedMicros: number;
  /** The step that has closed it. */
  readonly lastStep: Step | null;
  /** Flushed bytes that were dropped. */
  readonly droppedBytes: number;
  /** Why no more bytes came. */
  readonly readEnd: Ban | null;
}

/** Why a connection has ended. */
export function closeReason(
  { lastStep, readEnd }: Pick<GoneConnection, "lastStep" | "readEnd">,
  ending: Pick<Ending, "failure" | "leaving"> | null,
): CloseReason {
  if (lastStep === "detached") return "detached";
  const error = ending?.failure?.error;
  const leaving = ending?.leaving ?? null;
  if (error instanceof TimeoutError || leaving?.reason instanceof TimeoutError) return "timeout";
  if (leaving !== null) return "shutdown";
  if (lastStep === "lost" && (error instanceof EofError || error instanceof SystemError)) {
    return "lost";
  }
  if (error instanceof UnsentError) return "local";
  if (ending?.failure != null) return "error";
  if (lastStep === "lost") return "reset";
  return readEnd === null ? "local" : "peer";
}

/** The reason and the error of the end, so far. */
export function endOf(
  of: Pick<GoneConnection, "lastStep" | "readEnd">,
  ending: Pick<Ending, "failure" | "leaving"> | null,
): ConnectionEnd {
  const reason = closeReason(of, ending);
  const failure = ending?.failure ?? null;
  return failure === null ? { reason } : { reason, error: failure.error };
}

/** Tells that a connection has gone. */
export function tellClose(
  of: GoneConnection,
  ending: Ending | null,
  calls: WatchedCalls | null,
): void {
  connectionClose.publish({
    connection: of.face,
    id: idOf(of),
    ...endOf(of, ending),
    receivedBytes: receivedBytes(of.input),
    sentBytes: writeSide.sentBytes(of.writer),
    unsentBytes: of.droppedBytes,
    requestCount: calls?.count ?? 0,
    durationMs: (clock.now() - of.openedMicros) / 1000,
  });
}
