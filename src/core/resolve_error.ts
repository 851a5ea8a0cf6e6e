/**
 * The error of a host name that has no address.
 */
import { NetpollError } from "./errors.ts";

/** Names that resolvers have for one and the same: the host is unknown, or has no fitting address. */
const UNKNOWN = /^(DNS_)?(ENOTFOUND|ENODATA|EAI_NONAME|EAI_NODATA|EAI_ADDRFAMILY)$/;

/**
 * The addresses of a host name could not be found: it is unknown (`"ENOTFOUND"`), or nobody could say
 * (`"EAI_AGAIN"` when no name server answers). The codes are those of `node:dns`, in both runtimes,
 * whether the runtime's resolver or the system's was asked.
 *
 * @example
 * ```ts
 * import { dial, ResolveError } from "@netpoll/netpoll";
 *
 * const error = await dial("tcp", "no-such-host.invalid:80").catch((error) => error);
 * console.log(error instanceof ResolveError); // true
 * console.log(error.hostname); // "no-such-host.invalid"
 * ```
 */
export class ResolveError extends NetpollError {
  /** The name of the class. */
  override name = "ResolveError";
  /** The function that failed: the resolver. */
  readonly syscall = "getaddrinfo";
  /** `"ENOTFOUND"` for a host that is unknown, or another code of getaddrinfo's. */
  readonly code: string;
  /** The name that was looked up. */
  readonly hostname: string;

  /** An error that says which name was looked up, and what the resolver said. */
  constructor(hostname: string, code: string, why: string, options?: ErrorOptions) {
    const name = UNKNOWN.test(code) ? "ENOTFOUND" : code;
    super(`Cannot resolve "${hostname}": ${why} (${name})`, options);
    this.code = name;
    this.hostname = hostname;
  }
}
