/**
 * Descriptors as numbers of a user's, and those that are taken over from somebody else.
 */
import { closeSync } from "node:fs";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { INT_MAX } from "./socket.ts";

/** Standard input, output and errors: a number of theirs that is free would be the next file's. */
const STANDARD_MAX = 2;

const TYPE_MASK = 0o170_000;
const TWO_32 = 2 ** 32;

/** The types of files that are told apart (stat(2)). The kernel gives epoll sets and the like none. */
export const FileType = {
  NONE: 0,
  /** A device that is read and written as it comes: /dev/null. */
  DEVICE: 0o020_000,
  DIRECTORY: 0o040_000,
  /** A device of blocks: a disk. */
  BLOCKS: 0o060_000,
  REGULAR: 0o100_000,
} as const;

/** {mode, size low, size high}. */
const about = new Uint32Array(3);

/**
 * The type and the size of the file behind a descriptor.
 *
 * @throws {SystemError} It is not open. `syscall` and `subject` say what it was looked at for.
 */
export function statOf(
  fd: number,
  syscall: string,
  subject = "",
): { readonly type: number; readonly bytes: number } {
  check(syscall, native.stat(fd, about), subject);
  return { type: about[0]! & TYPE_MASK, bytes: about[2]! * TWO_32 + about[1]! };
}

/** Whether a value can be the number of a descriptor: the kernel's are 31 bits long. */
export function isDescriptor(value: unknown): value is number {
  return Number.isInteger(value) && value as number >= 0 && value as number <= INT_MAX;
}

/**
 * Closes a descriptor of which we have a duplicate: by the runtime's own means, since Deno notes
 * which numbers its file system has opened, and would close somebody else's file later (and panic
 * when it ends). Standard input, output and errors stay open.
 */
export function closeOriginal(fd: number): void {
  if (fd <= STANDARD_MAX) return;
  native.disown(fd); // one of netpoll's, which somebody had detached or opened
  try {
    closeSync(fd);
  } catch (error) {
    // Deno did not open it. After any other error it is closed all the same (close(2)).
    if ((error as { code?: string }).code === "EBADF") native.close(fd);
  }
}
