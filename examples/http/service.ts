/**
 * HTTP/1.1 over a connection: one request after the other, and what may go wrong.
 */
import { ClosedError, type Connection, TimeoutError } from "../../mod.ts";
import { Body } from "./body.ts";
import { HttpError } from "./error.ts";
import { HttpRequest } from "./request.ts";
import { HttpResponse, writeRefusal } from "./response.ts";

/** Answers a request; synchronously if it can. */
export type Answer = (request: HttpRequest, response: HttpResponse) => void | Promise<void>;

/** The bounds of a client. */
export interface HttpLimits {
  /** The longest head of a request; 16 KiB unless given. */
  readonly headBytesMax?: number;
  /** The longest body; 1 MiB unless given. */
  readonly bodyBytesMax?: number;
}

const LF = 10;
const END_OF_HEAD = new TextEncoder().encode("\r\n\r\n");
/** The time that a client which is sent away has to read why. */
const LINGER_MS = 2000;

/** A handler that answers the requests of a connection in turn. */
export function http(
  answer: Answer,
  limits: HttpLimits = {},
): (connection: Connection) => void | Promise<void> {
  const service = { answer, headBytesMax: 16 * 1024, bodyBytesMax: 1024 * 1024, ...limits };
  return (connection) => serve(service, connection);
}

/** The parts that all connections share. */
interface Service extends Required<HttpLimits> {
  readonly answer: Answer;
}

/** Answers what is there in full. A promise only when something has to be waited for. */
function serve(service: Service, connection: Connection): void | Promise<void> {
  const { reader, writer } = connection;
  let pending: Promise<void> | undefined;
  while (pending === undefined && reader.length > 0 && writer.isWritable) {
    const at = reader.indexOf(END_OF_HEAD);
    pending = at < 0
      ? waitForHead(service, connection)
      : exchange(service, connection, at + END_OF_HEAD.length);
  }
  void writer.flush(); // one call for all answers
  return pending;
}

/** Waits for the rest of a head; it is answered when we are called again. */
async function waitForHead(service: Service, connection: Connection): Promise<void> {
  try {
    await connection.reader.waitUntil(END_OF_HEAD, { maxBytes: service.headBytesMax });
  } catch (error) {
    const isLong = error instanceof RangeError;
    await refuse(connection, null, isLong ? tooLong(service, connection) : error);
  }
}

/** The head is too long; of one line there is another word (RFC 9112 §3). */
function tooLong({ headBytesMax }: Service, { reader }: Connection): HttpError {
  const at = reader.indexOf(LF);
  if (at >= 0 && at < headBytesMax) return new HttpError(431, "The head is too long");
  return new HttpError(414, "The target is too long");
}

/** Answers one request, whose head is there. */
function exchange(
  service: Service,
  connection: Connection,
  headBytes: number,
): Promise<void> | undefined {
  const { reader } = connection;
  let response: HttpResponse | null = null;
  try {
    if (headBytes > service.headBytesMax) throw tooLong(service, connection);
    const request = new HttpRequest(reader.readString(headBytes, "latin1"));
    reader.release();
    if (request.bodyBytes !== 0) request.body = new Body(connection, request, service.bodyBytesMax);
    response = new HttpResponse(connection, request);
    if (request.bodyBytes > service.bodyBytesMax) throw new HttpError(413, "The body is too large");
    const answering = service.answer(request, response);
    const isDone = answering === undefined && request.body.isEnded && response.isEnded;
    // Bytes behind a switch are no request: they are left to the new handler.
    if (isDone && response.keepsAlive && !response.isSwitched) return undefined;
    return finish(connection, request, response, answering);
  } catch (error) {
    return refuse(connection, response, error);
  }
}

/** The rest of an exchange that was not over at once. */
async function finish(
  connection: Connection,
  { body }: HttpRequest,
  response: HttpResponse,
  answering: void | Promise<void>,
): Promise<void> {
  try {
    await answering;
    if (!response.isBegun) throw new Error("Cannot go on: a request was not answered");
    if (!response.isEnded) response.end();
    if (response.keepsAlive && !body.isHeldBack) await body.drop();
    await connection.writer.flush();
  } catch (error) {
    return refuse(connection, response, error);
  }
  if (response.keepsAlive) return;
  if (body.isEnded && connection.reader.length === 0) await connection.close();
  else await sendAway(connection);
}

/** Says what was wrong, if that can still be said, and closes. */
async function refuse(
  connection: Connection,
  response: HttpResponse | null,
  error: unknown,
): Promise<void> {
  const isCut = response !== null && response.isBegun && !response.isEnded;
  // The part of the answer that has left must not look like all of it.
  if (isCut) connection.reset();
  if (error instanceof ClosedError) return; // nobody is there to be told
  const known = reasonOf(error);
  if (!isCut) {
    const { status, message } = known ?? new HttpError(500, "This went wrong");
    if (!response?.isEnded) writeRefusal(connection.writer, status, message);
    await sendAway(connection);
  }
  if (known === null) throw error;
}

/** The mistake of a client; null when it was not the client's. */
function reasonOf(error: unknown): HttpError | null {
  if (error instanceof HttpError) return error;
  if (error instanceof TimeoutError) return new HttpError(408, "The request took too long");
  return null;
}

/**
 * Closes behind the answer. Were bytes of the client still unread, the kernel would end the
 * connection by a reset, which may overtake the answer: they are dropped until the client has ended
 * its side.
 */
export async function sendAway(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  const signal = AbortSignal.timeout(LINGER_MS);
  try {
    await writer.flush({ signal });
    await connection.closeWrite();
    for (;;) {
      reader.skip(reader.length);
      reader.release();
      await reader.wait(1, { signal });
    }
  } catch {
    await connection.close(); // the client has ended its side, or had its time
  }
}
