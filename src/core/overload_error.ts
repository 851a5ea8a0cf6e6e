/**
 * The error of a connection that was closed so that its server can go on.
 */
import { NetpollError } from "./errors.ts";

/**
 * A connection was closed so that its server can go on: all connections together held more than
 * `memoryBytesMax`, it held the most, and not reading from it had not helped. `closed` rejects with it.
 *
 * @example
 * ```ts
 * import { type Connection, OverloadError } from "@netpoll/netpoll";
 *
 * export function watch(connection: Connection): void {
 *   connection.closed.catch((error) => {
 *     if (error instanceof OverloadError) console.error(`it held ${error.heldBytes} bytes`);
 *   });
 * }
 * ```
 */
export class OverloadError extends NetpollError {
  /** The name of the class. */
  override name = "OverloadError";
  /** The bytes that it held: received and not released, flushed and not sent. */
  readonly heldBytes: number;

  /** An error that says how much the connection held, and what is the bound of all. */
  constructor(heldBytes: number, bytesMax: number, options?: ErrorOptions) {
    super(
      `Cannot keep the connection: it held ${heldBytes} bytes when all together held more than ` +
        `memoryBytesMax, which is ${bytesMax}`,
      options,
    );
    this.heldBytes = heldBytes;
  }
}
