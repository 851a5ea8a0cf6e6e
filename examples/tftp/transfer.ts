/**
 * One transfer of TFTP: a file that goes to a client, or comes from one, block after block.
 */
import { Buffer } from "node:buffer";
import { type FileHandle, unlink } from "node:fs/promises";
import { type Client, TransferError } from "./client.ts";
import { makeToWrite, openToRead } from "./files.ts";
import { FromNetwork, toNetwork } from "./netascii.ts";
import { ackPacket, dataPacket, Fault, Op, optionsPacket, type Request } from "./packet.ts";

const BLOCK_BYTES = 512;
const BLOCK_BYTES_MIN = 8;
const BLOCK_BYTES_MAX = 65_464;
/** Longer blocks are granted as this: it fits an Ethernet packet. */
const BLOCK_BYTES_GRANTED = 1428;
const TIMEOUT_SECONDS_MAX = 5;
/** Strangers may not fill the disk with one file. */
const FILE_BYTES_MAX = 2 ** 30;
const READ_BYTES = 65_536;

/** The options that we grant of those that a client asks for (RFC 2348, 2349). */
export function grant({ options }: Request, bytes: number | null): Map<string, string> {
  const granted = new Map<string, string>();
  const numberOf = (name: string) =>
    /^\d+$/.test(options.get(name) ?? "") ? Number(options.get(name)) : NaN;
  const blockBytes = numberOf("blksize");
  if (blockBytes >= BLOCK_BYTES_MIN && blockBytes <= BLOCK_BYTES_MAX) {
    granted.set("blksize", `${Math.min(blockBytes, BLOCK_BYTES_GRANTED)}`);
  }
  const seconds = numberOf("timeout");
  if (seconds >= 1 && seconds <= TIMEOUT_SECONDS_MAX) granted.set("timeout", `${seconds}`);
  if (bytes !== null && numberOf("tsize") >= 0) granted.set("tsize", `${bytes}`);
  return granted;
}

/** Does as granted. The bytes of a block. */
function agree(client: Client, granted: ReadonlyMap<string, string>): number {
  const seconds = granted.get("timeout");
  if (seconds !== undefined) client.pauseMs = 1000 * Number(seconds);
  return Number(granted.get("blksize") ?? BLOCK_BYTES);
}

/** The blocks of a file; the last one is short, or empty. */
async function* blocksOf(file: FileHandle, blockBytes: number, isText: boolean) {
  const buffer = new Uint8Array(READ_BYTES);
  let rest: Uint8Array = new Uint8Array(0);
  let hasMore = true;
  while (hasMore) {
    const { bytesRead } = await file.read(buffer, 0, READ_BYTES, null);
    const bytes = buffer.subarray(0, bytesRead);
    rest = Buffer.concat([rest, isText ? toNetwork(bytes) : bytes]);
    hasMore = bytesRead > 0;
    for (; rest.length >= blockBytes; rest = rest.subarray(blockBytes)) {
      yield rest.subarray(0, blockBytes);
    }
  }
  yield rest;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) {
    const { bytesWritten } = await file.write(rest, 0, rest.length, null);
    rest = rest.subarray(bytesWritten);
  }
}

/** Sends a file. The number of bytes that have gone. */
export async function sendFile(
  client: Client,
  request: Request,
  directory: string,
): Promise<number> {
  await using file = await openToRead(directory, request.name);
  const isText = request.mode === "netascii";
  // The length that a text has on the network is known at its end alone; and curl takes 0 for a mistake.
  const { size } = await file.stat();
  const granted = grant(request, isText || size === 0 ? null : size);
  const blockBytes = agree(client, granted);
  if (granted.size > 0) await client.exchange(optionsPacket(granted), Op.ACK, 0);
  let block = 0;
  let sent = 0;
  for await (const bytes of blocksOf(file, blockBytes, isText)) {
    block += 1;
    await client.exchange(dataPacket(block, bytes), Op.ACK, block);
    sent += bytes.length;
  }
  return sent;
}

/** A file that has come. */
export interface Received {
  readonly bytes: number;
  /** The last block, and what acknowledges it: that may be lost. */
  readonly block: number;
  readonly ack: Uint8Array;
}

/** Receives a file. One that does not come to its end is removed. */
export async function receiveFile(
  client: Client,
  request: Request,
  directory: string,
): Promise<Received> {
  const asked = Number(request.options.get("tsize") ?? 0);
  if (asked > FILE_BYTES_MAX) throw tooLarge();
  const { file, path } = await makeToWrite(directory, request.name);
  try {
    const granted = grant(request, asked);
    const blockBytes = agree(client, granted);
    const first = granted.size > 0 ? optionsPacket(granted) : ackPacket(0);
    return await receiveBlocks(client, file, first, blockBytes, request.mode === "netascii");
  } catch (error) {
    await unlink(path).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
}

async function receiveBlocks(
  client: Client,
  file: FileHandle,
  first: Uint8Array,
  blockBytes: number,
  isText: boolean,
): Promise<Received> {
  const text = new FromNetwork();
  let ack = first;
  let bytes = 0;
  for (let block = 1;; block++) {
    const data = (await client.exchange(ack, Op.DATA, block)).subarray(4);
    bytes += data.length;
    if (data.length > blockBytes) throw new TransferError(Fault.ILLEGAL, "the block is too long");
    if (bytes > FILE_BYTES_MAX) throw tooLarge();
    await writeAll(file, isText ? text.next(data) : data);
    ack = ackPacket(block);
    if (data.length < blockBytes) {
      await writeAll(file, text.end());
      return { bytes, block, ack };
    }
  }
}

function tooLarge(): TransferError {
  return new TransferError(Fault.NO_ROOM, "the file is too large");
}
