/**
 * The error of a header that is none.
 */
import { NetpollError } from "./errors.ts";

/** The fault of a PROXY header. */
export type ProxyFault =
  | "signature"
  | "version"
  | "command"
  | "family"
  | "address"
  | "length"
  | "too-long"
  | "truncated"
  | "value"
  | "checksum";

/**
 * A peer sent what is no header of the PROXY protocol: it begins otherwise (`"signature"`), has another
 * version, command or family of addresses, an address that is none, a length below that of its
 * addresses (`"length"`), more bytes than it may have (`"too-long"`), an end within it
 * (`"truncated"`), a value of the wrong form, or a checksum that does not fit. Nothing that it said was
 * used, and the connection was reset.
 *
 * @example
 * ```ts
 * import { ProxyHeaderError } from "@netpoll/netpoll";
 * import { decodeProxyHeader } from "@netpoll/netpoll/operations";
 *
 * try {
 *   decodeProxyHeader(new TextEncoder().encode("GET / HTTP/1.1\r\n"));
 * } catch (error) {
 *   if (!(error instanceof ProxyHeaderError)) throw error;
 *   console.log(error.fault); // "signature"
 * }
 * ```
 */
export class ProxyHeaderError extends NetpollError {
  /** The name of the class. */
  override name = "ProxyHeaderError";
  /** The fault. */
  readonly fault: ProxyFault;

  /** An error that says what is wrong. */
  constructor(fault: ProxyFault, why: string) {
    super(`Cannot read the PROXY header: ${why}`);
    this.fault = fault;
  }
}
