/**
 * Files of a path. It is the runtime that opens them, which alone knows what its sandbox lets be
 * opened.
 */
import { closeSync, constants, openSync } from "node:fs";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { SystemError } from "../core/errors.ts";
import { show } from "../core/options.ts";
import { isDescriptor } from "../net/descriptor.ts";

// O_NONBLOCK means nothing to files, and keeps a FIFO without another end from blocking the thread
// (open(2)).
const { O_NONBLOCK, O_NOCTTY } = constants;
/** The permissions of a new file, from which the process's umask takes some (open(2)). */
const NEW_FILE_MODE = 0o666;

/** A use of files. */
export interface FileUse {
  /** The call that it is for, as errors name it: "send". */
  readonly call: string;
  /** Flags of open(2), besides those that every file gets. */
  readonly flags: number;
  /** Throws where the runtime would stop the program and ask its user. */
  permit(path: string): void;
}

/** A file that is open for itself, and its name for errors. */
export interface OpenedFile {
  readonly fd: number;
  readonly name: string;
}

function openByRuntime(path: string, flags: number): number {
  try {
    return openSync(path, flags | O_NONBLOCK | O_NOCTTY, NEW_FILE_MODE);
  } catch (error) {
    const { errno } = error as { errno?: unknown };
    // An error that is not the kernel's is the sandbox's, or about the path.
    throw typeof errno === "number" ? new SystemError("open", Math.abs(errno), path) : error;
  }
}

function openPath(path: string, { call, flags, permit }: FileUse): number {
  if (path === "") throw new TypeError(`Cannot ${call} a file: its path is empty`);
  if (path.includes("\0")) throw new TypeError(`Cannot ${call} a file: its path has a zero byte`);
  permit(path);
  const theirs = openByRuntime(path, flags);
  try {
    return check("open", native.dup(theirs), path);
  } finally {
    closeSync(theirs);
  }
}

/**
 * Opens a file by its path, or again by a descriptor, which stays the caller's: by the time that it
 * is used, its number may be another file's.
 */
export function openFile(source: string | number, use: FileUse): OpenedFile {
  if (typeof source === "string") return { fd: openPath(source, use), name: source };
  if (!isDescriptor(source)) {
    throw new TypeError(
      `Cannot ${use.call} a file: ${show(source)} is neither a path nor a descriptor`,
    );
  }
  const name = `descriptor ${source}`;
  return { fd: check(use.call, native.dup(source), name), name };
}

/** Throws unless it is a number of bytes. `what` says of what. */
export function checkFileBytes(call: string, what: string, bytes: number): void {
  if (Number.isSafeInteger(bytes) && bytes >= 0) return;
  throw new RangeError(
    `Cannot ${call} a file with ${what} ${show(bytes)}: it is a whole number from 0 on`,
  );
}
