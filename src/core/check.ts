/**
 * The one place where the kernel's `-errno` becomes an exception.
 */
import { NOT_READY } from "./errno.ts";
import { SystemError } from "./errors.ts";

/**
 * Passes on what a native call returned, {@linkcode NOT_READY} included: that is an outcome, not an
 * error.
 *
 * @throws {SystemError} The call failed; it names the call and what it was about.
 */
export function check(syscall: string, result: number, subject = ""): number {
  if (result >= 0 || result === NOT_READY) return result;
  throw new SystemError(syscall, -result, subject);
}
