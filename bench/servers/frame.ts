/**
 * The protocol of the framed modes: four bytes of length, high byte first, and so many bytes of
 * payload.
 */
import type { Connection } from "../../mod.ts";

/** The size of a length. */
export const HEADER_BYTES = 4;
/** The largest payload; a client that announces a larger one is disconnected. */
export const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;

/** The length when no header was read yet. */
const UNKNOWN = -1;

/** The state of a connection between two looks at it. */
export interface Session {
  /** The length in the last header; -1 when the next bytes are a header. */
  payloadBytes: number;
}

/** The state of a connection that has just come. */
export function newSession(): Session {
  return { payloadBytes: UNKNOWN };
}

/** Reads a header that is there. A throw closes its connection. */
function readHeader({ reader }: Connection): number {
  const count = reader.readUint32BE();
  if (count > PAYLOAD_BYTES_MAX) throw new RangeError(`A payload of ${count} bytes is too long`);
  return count;
}

/** The next payload, lent, when all of it is there; null otherwise. */
export function takePayload(connection: Connection, session: Session): Uint8Array | null {
  const { reader } = connection;
  if (session.payloadBytes === UNKNOWN) {
    if (reader.length < HEADER_BYTES) return null;
    session.payloadBytes = readHeader(connection);
  }
  const count = session.payloadBytes;
  if (reader.length < count) return null;
  session.payloadBytes = UNKNOWN;
  return reader.next(count);
}

/**
 * Waits for a payload that is not there in full, and lends it. Answers that were written go out
 * first: the client may wait for them.
 */
export async function waitPayload(connection: Connection, session: Session): Promise<Uint8Array> {
  const { reader, writer } = connection;
  if (writer.mallocLength > 0) await writer.flush();
  if (session.payloadBytes === UNKNOWN) {
    await reader.wait(HEADER_BYTES);
    session.payloadBytes = readHeader(connection);
  }
  await reader.wait(session.payloadBytes);
  return takePayload(connection, session)!;
}
