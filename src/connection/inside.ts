/**
 * The way from a connection of a user's to its inside. mod.ts exports nothing of it.
 */
import { show } from "../core/options.ts";
import { type Connection, insideIfAny } from "./connection.ts";
import type { SocketConnection } from "./socket_connection.ts";

/**
 * The inside of a connection that a user has given.
 *
 * @throws {TypeError} It is none. `action` says what it was given for.
 */
export function insideOf(connection: Connection, action: string): SocketConnection<unknown> {
  const inside = insideIfAny(connection);
  if (inside !== null) return inside as SocketConnection<unknown>;
  throw new TypeError(`Cannot ${action} ${show(connection)}: it is no Connection of this library`);
}
