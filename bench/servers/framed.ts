/**
 * Answers every frame with one of the same payload; in mode tail one in 100 of them late.
 */
import { type Connection, EventLoop, type Writer } from "../../mod.ts";
import { isLate, LATE_MS } from "../peers/frames.mjs";
import {
  HEADER_BYTES,
  newSession,
  PAYLOAD_BYTES_MAX,
  type Session,
  takePayload,
  waitPayload,
} from "./frame.ts";

// An answer is never the memory of the request, however large it is.
const COPY = { copy: true };

function late(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LATE_MS));
}

function writeFrame(writer: Writer, payload: Uint8Array): void {
  writer.writeUint32BE(payload.length);
  writer.writeBinary(payload, COPY);
}

/** Answers frames that came together together. */
function answerMessages(isTail: boolean) {
  return async (connection: Connection, session: Session): Promise<void> => {
    const { reader, writer } = connection;
    do {
      // Most have come in full: no promise for those.
      const payload = takePayload(connection, session) ?? await waitPayload(connection, session);
      if (isTail && isLate()) {
        if (writer.mallocLength > 0) await writer.flush();
        await late();
      }
      writeFrame(writer, payload);
    } while (reader.length >= HEADER_BYTES);
    await writer.flush();
    reader.release();
  };
}

/** Answers all frames that are there, without a promise unless one is late. */
function answerThere(isTail: boolean) {
  return (connection: Connection, session: Session): void | Promise<void> => {
    const { reader, writer } = connection;
    for (;;) {
      const payload = takePayload(connection, session);
      if (payload === null) break;
      if (isTail && isLate()) return answerLate(connection, payload);
      writeFrame(writer, payload);
    }
    writer.flush();
    reader.release();
  };
}

/** Answers late. Frames behind it on the same connection wait: the handler is not called meanwhile. */
async function answerLate({ reader, writer }: Connection, payload: Uint8Array): Promise<void> {
  if (writer.mallocLength > 0) writer.flush();
  await late();
  writeFrame(writer, payload);
  writer.flush();
  reader.release();
}

/** A server of modes framed and tail. */
export function framedLoop(isTail: boolean, style: string): EventLoop<Session> {
  const handler = style === "async" ? answerMessages(isTail) : answerThere(isTail);
  // A synchronous handler leaves a frame where it is until all of it has come: that must fit.
  return new EventLoop(handler, {
    onPrepare: newSession,
    readBufferBytesMax: 2 * PAYLOAD_BYTES_MAX,
  });
}
