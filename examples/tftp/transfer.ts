/**
 * One transfer of TFTP: a file that goes to one client, block after block.
 */
import { type FileHandle, open } from "node:fs/promises";
import { type DatagramSocket, dialDatagram, TimeoutError, type UdpAddress } from "../../mod.ts";
import {
  dataPacket,
  errorPacket,
  Fault,
  headOf,
  Op,
  optionsPacket,
  type ReadRequest,
} from "./packet.ts";

const BLOCK_BYTES = 512;
const BLOCK_BYTES_MAX = 1428; // fits an Ethernet packet
/** A block is sent again when no answer has come for so long, and so many times. */
const ANSWER_MS = 250;
const TRIES_MAX = 20;

/** The client has ended it, with words of its own. */
export class EndedByClient extends Error {}

/** The options that we grant of those that a client asks for (RFC 2348, 2349). */
function grant(asked: ReadonlyMap<string, string>, size: number): Map<string, string> {
  const granted = new Map<string, string>();
  const bytes = Number(asked.get("blksize"));
  if (bytes >= 8 && bytes <= 65_464) granted.set("blksize", `${Math.min(bytes, BLOCK_BYTES_MAX)}`);
  if (asked.has("tsize")) granted.set("tsize", `${size}`);
  return granted;
}

/** Sends a packet until it is acknowledged: all of TFTP's way through a network that loses. */
async function send(client: DatagramSocket, packet: Uint8Array, block: number): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    client.write(packet);
    await client.flush();
    if (await isAcknowledged(client, block)) return;
  }
  throw new EndedByClient(`no answer to block ${block}`);
}

/** Waits for the acknowledgement of a block. False when the time is over. */
async function isAcknowledged(client: DatagramSocket, block: number): Promise<boolean> {
  for (;;) {
    try {
      await client.wait(); // its deadline is the socket's readTimeoutMs
    } catch (error) {
      if (error instanceof TimeoutError) return false;
      throw error;
    }
    let isHere = false;
    for (const { bytes } of client.datagrams) {
      const { op, number } = headOf(bytes);
      if (op === Op.ERROR) throw new EndedByClient(new TextDecoder().decode(bytes.subarray(4)));
      // Answers to earlier blocks are late, or there twice: a block sent for each of them would
      // double the traffic for ever (RFC 1123 §4.2.3.1).
      if (op === Op.ACK && number === (block & 0xffff)) isHere = true;
    }
    client.release();
    if (isHere) return true;
  }
}

async function sendBlocks(client: DatagramSocket, file: FileHandle, blockBytes: number) {
  const buffer = new Uint8Array(blockBytes);
  let sent = 0;
  for (let block = 1;; block++) {
    const { bytesRead } = await file.read(buffer, 0, blockBytes, sent);
    await send(client, dataPacket(block, buffer.subarray(0, bytesRead)), block);
    sent += bytesRead;
    if (bytesRead < blockBytes) return sent;
  }
}

/**
 * Sends the file of a request, from a port of its own, as the protocol wants it. The number of bytes.
 */
export async function transfer(
  to: UdpAddress,
  from: UdpAddress,
  { options }: ReadRequest,
  path: string,
  signal: AbortSignal,
): Promise<number> {
  const host = (address: UdpAddress) =>
    address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  await using client = await dialDatagram("udp", `${host(to)}:${to.port}`, {
    localAddress: `${host(from)}:0`,
    readTimeoutMs: ANSWER_MS,
    signal,
  });
  const stop = () => void client.close({ timeoutMs: 0 });
  signal.addEventListener("abort", stop);
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    const granted = grant(options, size);
    if (granted.size > 0) await send(client, optionsPacket(granted), 0);
    return await sendBlocks(client, file, Number(granted.get("blksize") ?? BLOCK_BYTES));
  } catch (error) {
    if (!(error instanceof EndedByClient) && client.fd >= 0) {
      client.write(errorPacket(Fault.NOT_FOUND, "the file cannot be read"));
      await client.flush();
    }
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
