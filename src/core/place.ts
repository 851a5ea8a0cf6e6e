/**
 * Errors say where they happened, as those of `node:net` do.
 */
import { NetpollError } from "./errors.ts";

/** An address of any transport. */
interface Place {
  readonly hostname?: string;
  readonly port?: number;
  readonly path?: string;
}

/**
 * Gives an error of ours the address that it is about, unless it has one: the attempt that failed knows
 * better than whoever passes its error on. Returns the error, whatever it is.
 */
export function placed<T>(error: T, at: Place | null): T {
  if (!(error instanceof NetpollError) || error.address !== undefined || at === null) return error;
  const { hostname, path, port } = at;
  const address = hostname ?? path ?? "";
  return address === "" ? error : Object.assign(
    error,
    port === undefined ? { address } : {
      address,
      port,
    },
  );
}
