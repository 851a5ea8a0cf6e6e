/**
 * From HTTP to WebSocket, on the same connection (RFC 6455, section 4).
 */
import { createHash } from "node:crypto";
import { HttpError } from "../http/error.ts";
import { Fields } from "../http/head.ts";
import type { HttpRequest } from "../http/request.ts";

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION = "13";

/** Sent with 426 to clients of another version. */
export const VERSIONS: Fields = new Fields({
  "Sec-WebSocket-Version": VERSION,
  Connection: "Upgrade",
  Upgrade: "websocket",
});

function has(request: HttpRequest, name: string, token: string): boolean {
  const words = (request.field(name) ?? "").toLowerCase().split(",");
  return words.some((word) => word.trim() === token);
}

/** True for a request that asks for WebSocket, well or not. */
export function isUpgrade(request: HttpRequest): boolean {
  return has(request, "Upgrade", "websocket");
}

/** True when a client speaks the version of RFC 6455. */
export function isVersionKnown(request: HttpRequest): boolean {
  return request.field("Sec-WebSocket-Version") === VERSION;
}

/**
 * A browser tells whose page it is that connects. Any page of the world can connect to this machine, so
 * only those that came from this server may.
 */
function isSameOrigin(request: HttpRequest): boolean {
  const origin = request.field("Origin");
  return origin === null || origin.replace(/^https?:\/\//, "") === request.field("Host");
}

/**
 * The fields of the answer to a request that asks for WebSocket.
 *
 * @throws {HttpError} It does so in a wrong way.
 */
export function upgradeFields(request: HttpRequest): Fields {
  const key = request.field("Sec-WebSocket-Key") ?? "";
  const isFine = request.method === "GET" && !request.isOld && request.bodyBytes === 0 &&
    has(request, "Connection", "upgrade") && /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key);
  if (!isFine) throw new HttpError(400, "This is no request for WebSocket");
  if (!isSameOrigin(request)) throw new HttpError(403, "Pages of others may not connect");
  const accept = createHash("sha1").update(key + MAGIC).digest("base64");
  return new Fields({
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Accept": accept,
  });
}
