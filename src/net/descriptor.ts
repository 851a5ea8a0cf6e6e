/**
 * Descriptors as numbers of a user's, and those that are taken over from somebody else.
 */
import { closeSync } from "node:fs";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { Family, rawAddress } from "./address.ts";
import { getOption, INT_MAX, Option } from "./socket.ts";

/** Standard input, output and errors: a number of theirs that is free would be the next file's. */
export const STANDARD_MAX = 2;

const TYPE_MASK = 0o170_000;
const TWO_32 = 2 ** 32;

/** The types of files that are told apart (stat(2)). The kernel gives epoll sets and the like none. */
export const FileType = {
  NONE: 0,
  PIPE: 0o010_000,
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

const FILES: Readonly<Record<number, string>> = {
  [FileType.NONE]: "a descriptor of the kernel's own, such as an epoll set",
  [FileType.PIPE]: "a pipe",
  [FileType.DEVICE]: "a terminal or a device",
  [FileType.DIRECTORY]: "a directory",
  [FileType.BLOCKS]: "a disk",
  [FileType.REGULAR]: "a file",
};
const SOCKETS: Readonly<Record<number, string>> = {
  2: "a datagram socket",
  3: "a raw socket",
  5: "a socket of packets in order",
};
const SOCK_STREAM = 1;

/**
 * The kind of a descriptor: `"listener"`, or what else it is, in words.
 *
 * @throws {SystemError} It is not open.
 */
export function kindOf(fd: number): string {
  let type: number;
  try {
    type = getOption(fd, Option.TYPE);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOTSOCK") throw error;
    return FILES[statOf(fd, "look at a descriptor").type] ?? "no socket";
  }
  if (type !== SOCK_STREAM) return SOCKETS[type] ?? `a socket of type ${type}`;
  const family = getOption(fd, Option.DOMAIN);
  if (family !== Family.UNIX && family !== Family.IPV4 && family !== Family.IPV6) {
    return `a socket of the family ${family}`;
  }
  if (getOption(fd, Option.ACCEPTS) !== 0) return "listener";
  return native.name(fd, 1, rawAddress()) < 0
    ? "a stream socket that does not listen"
    : "a connection";
}

/** Whether a value can be the number of a descriptor: the kernel's are 31 bits long. */
export function isDescriptor(value: unknown): value is number {
  return Number.isInteger(value) && value as number >= 0 && value as number <= INT_MAX;
}

/** Refuses options that are given behind `{ fd }`, where nobody would look at them. */
export function refuseSecond(call: string, second: unknown): void {
  if (second === undefined) return;
  throw new TypeError(`Cannot use a second argument of ${call}({ fd }): options go beside fd`);
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
