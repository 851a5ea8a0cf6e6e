/**
 * Sends every frame that comes to all connections except its sender.
 */
import { type Connection, EventLoop } from "../../mod.ts";
import { newSession, PAYLOAD_BYTES_MAX, type Session, takePayload, waitPayload } from "./frame.ts";

const members = new Set<Connection>();

function ignore(): void {}

function join(connection: Connection): Session {
  members.add(connection);
  connection.addCloseCallback(() => members.delete(connection));
  return newSession();
}

/**
 * Sends a payload to all others. Returns a promise when some of them have not taken much of theirs:
 * the sender waits until they have.
 */
function relay(from: Connection, payload: Uint8Array): Promise<unknown> | null {
  let slow: Promise<void>[] | null = null;
  for (const member of members) {
    if (member === from || !member.isActive) continue;
    const { writer } = member;
    writer.writeUint32BE(payload.length);
    writer.writeBinary(payload); // a large one is linked, one memory for all
    const flushed = writer.flush();
    if (!writer.isWritable) (slow ??= []).push(flushed.catch(ignore)); // a member that goes removes itself
  }
  return slow && Promise.all(slow);
}

async function relayMessage(connection: Connection, session: Session): Promise<void> {
  const payload = takePayload(connection, session) ?? await waitPayload(connection, session);
  await relay(connection, payload);
  connection.reader.release();
}

/** Relays all payloads that are there, without a promise unless somebody is slow. */
function relayThere(connection: Connection, session: Session): void | Promise<void> {
  for (;;) {
    const payload = takePayload(connection, session);
    if (payload === null) break;
    const slow = relay(connection, payload);
    if (slow !== null) return slow.then(() => connection.reader.release());
  }
  connection.reader.release();
}

/** A server of mode broadcast. */
export function broadcastLoop(style: string): EventLoop<Session> {
  // A synchronous handler leaves a frame where it is until all of it has come: that must fit.
  return new EventLoop(style === "async" ? relayMessage : relayThere, {
    onPrepare: join,
    readBufferBytesMax: 2 * PAYLOAD_BYTES_MAX,
  });
}
