/**
 * The errors of a transport that has ended, as its users hear of them.
 */
import { describe, ERRNO } from "../core/errno.ts";
import { EofError, type NetpollError, SystemError } from "../core/errors.ts";
import type { Endpoint } from "./endpoint.ts";

/** The end that a receive has told of: null in order, and what broke the connection otherwise. */
export function endOf({ io, fd }: Endpoint, code: number): NetpollError | null {
  return code === 0 ? null : io.error(fd, "receive", -code);
}

/** Errors of this machine and of this process: no peer's doing, and no network's. */
const OURS: ReadonlySet<number> = new Set([
  ERRNO.EPERM,
  ERRNO.EINTR,
  ERRNO.EBADF,
  ERRNO.ENOMEM,
  ERRNO.EFAULT,
  ERRNO.EINVAL,
  ERRNO.ENOBUFS,
]);

/** Whether this machine is to blame, and neither the peer nor the way to it. */
export function isOurs(cause: NetpollError): boolean {
  return cause instanceof SystemError && OURS.has(cause.errno);
}

/** The error of whoever used a connection that is broken: by its peer, on the way, or here. */
export function lostError(cause: NetpollError): NetpollError {
  if (cause instanceof EofError) return cause;
  if (!(cause instanceof SystemError)) return new EofError(cause.message, { cause });
  if (isOurs(cause)) return cause;
  return new EofError(`Cannot go on: ${describe(cause.errno)}`, { cause });
}
