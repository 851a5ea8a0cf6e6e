/**
 * Files of one directory, by names that strangers choose.
 */
import { constants } from "node:fs";
import { type FileHandle, open, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { TransferError } from "./client.ts";
import { Fault } from "./packet.ts";

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Errors of files by their code, as TFTP tells them. */
const FAULTS: Readonly<Record<string, readonly [code: number, text: string]>> = {
  ENOENT: [Fault.NOT_FOUND, "there is no such file"],
  ENOTDIR: [Fault.NOT_FOUND, "there is no such file"],
  ENAMETOOLONG: [Fault.NOT_FOUND, "there is no such file"],
  EACCES: [Fault.REFUSED, "the server may not"],
  EPERM: [Fault.REFUSED, "the server may not"],
  EROFS: [Fault.REFUSED, "the server may not"],
  EISDIR: [Fault.REFUSED, "it is no file"],
  ELOOP: [Fault.REFUSED, "it is no file"],
  EEXIST: [Fault.EXISTS, "the file is there already"],
  ENOSPC: [Fault.NO_ROOM, "the disk is full"],
  EDQUOT: [Fault.NO_ROOM, "the disk is full"],
  EFBIG: [Fault.NO_ROOM, "the file is too large"],
};

/** An error as the client is told of it. */
export function toTransferError(error: unknown): TransferError {
  if (error instanceof TransferError) return error;
  const { code = "" } = error as { code?: string };
  const [fault, text] = FAULTS[code] ?? [Fault.OTHER, "the server cannot"];
  return new TransferError(fault, text, error);
}

function checkBelow(directory: string, path: string): void {
  const [first] = relative(directory, path).split(sep);
  if (first === "..") throw new TransferError(Fault.REFUSED, "it is not below the directory");
}

/**
 * Opens a file below the directory, to be read. Links lead to files below it, too, or nowhere.
 *
 * @throws {TransferError} There is none.
 */
export async function openToRead(directory: string, name: string): Promise<FileHandle> {
  const asked = join(directory, name);
  checkBelow(directory, asked);
  const path = await realpath(asked);
  checkBelow(await realpath(directory), path);
  // To open a pipe would wait for its other end.
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new TransferError(Fault.REFUSED, "it is no file");
}

/**
 * Makes a file below the directory, and opens it to be written. What is there already stays.
 *
 * @throws {TransferError} There is one, or there cannot be one.
 */
export async function makeToWrite(
  directory: string,
  name: string,
): Promise<{ file: FileHandle; path: string }> {
  const asked = join(directory, name);
  checkBelow(directory, asked);
  const parent = await realpath(dirname(asked));
  checkBelow(await realpath(directory), parent);
  const path = join(parent, basename(asked));
  return { file: await open(path, "wx"), path };
}
