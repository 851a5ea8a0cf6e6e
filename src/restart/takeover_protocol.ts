/**
 * The bytes between an old process and a new one, with which the descriptors of listeners come.
 *
 * The old one begins with a version. In version 1 each listener has one socket, and all come in one
 * message: the number of listeners, and the flags of each. Version 2 gives a listener any number of
 * sockets, and the descriptors come in as many messages as they need, those after the first with a
 * byte each. Version 1 is spoken wherever it can say it all, so that a program may be restarted as an
 * older one of itself.
 */
import { native } from "../../ffi/load.ts";
import { closeDescriptor, receiveDescriptors, sendDescriptors } from "../client/descriptors.ts";
import type { Connection } from "../connection/connection.ts";
import { check } from "../core/check.ts";
import { EofError, NetpollError } from "../core/errors.ts";
import { DESCRIPTORS_PER_MESSAGE_MAX, DESCRIPTORS_UNCLAIMED_MAX } from "../core/limits.ts";
import { Option } from "../net/socket.ts";

/** The words that tell of the next step: the new process is ready; the old one has closed, or not. */
export const Word = { READY: 0x52, GO: 0x47, NO: 0x4e } as const;

/** Flags of a listener: the file of a Unix socket goes with it; it begins with TLS. */
export const Flag = { OWNS_FILE: 1, HAS_TLS: 2 } as const;

/** A listener that passes from one process to the other. */
export interface Passed {
  /** Of {@linkcode Flag}. */
  readonly flags: number;
  /** The descriptors of its sockets, in the order in which they began to listen. */
  readonly fds: readonly number[];
}

const VERSION_MAX = 2;
/** The bytes of a listener in version 2: its flags, and the number of its sockets in two bytes. */
const ENTRY_BYTES = 3;

/** The user that this process runs as, without asking the runtime for a permission. */
export function ownUid(): number {
  const pair = new Int32Array(2);
  const credentials = new Int32Array(3);
  check("open a pair of sockets", native.socketpair(pair));
  const [level, name] = Option.PEER_CREDENTIALS;
  const code = native.getsockopt(pair[0]!, level, name, credentials, 12);
  for (const fd of pair) native.close(fd);
  check("learn who this process is", code);
  return credentials[1]! >>> 0;
}

/** True when so many sockets pass on: no more than may wait to be taken. */
export function fits(listeners: readonly Pick<Passed, "fds">[]): boolean {
  return countOf(listeners) <= DESCRIPTORS_UNCLAIMED_MAX;
}

function countOf(listeners: readonly Pick<Passed, "fds">[]): number {
  return listeners.reduce((sum, { fds }) => sum + fds.length, 0);
}

function headerOf(listeners: readonly Passed[]): Uint8Array {
  const { length } = listeners;
  if (countOf(listeners) === length) {
    return Uint8Array.of(1, length, ...listeners.map(({ flags }) => flags));
  }
  const entries = listeners.flatMap(({ flags, fds }) => [flags, fds.length >> 8, fds.length & 255]);
  return Uint8Array.of(2, length, ...entries);
}

/** Sends listeners, no more than 253; their descriptors stay the caller's. */
export async function passOn(to: Connection, listeners: readonly Passed[]): Promise<void> {
  let bytes = headerOf(listeners);
  const fds = listeners.flatMap(({ fds }) => fds);
  for (let n = 0; n < fds.length; n += DESCRIPTORS_PER_MESSAGE_MAX) {
    await sendDescriptors(to, fds.slice(n, n + DESCRIPTORS_PER_MESSAGE_MAX), bytes);
    bytes = new Uint8Array(1);
  }
}

/** The next byte that the other process says; null where it has ended. */
export async function nextWord({ reader }: Connection): Promise<number | null> {
  try {
    await reader.wait(1);
    return reader.readByte();
  } catch (error) {
    if (error instanceof EofError) return null;
    throw error;
  }
}

/** Receives the listeners whose version was read already. The descriptors are the caller's. */
export async function receiveListeners(from: Connection, version: number): Promise<Passed[]> {
  if (version < 1 || version > VERSION_MAX) {
    throw otherWay(`it speaks version ${version}, and this one up to ${VERSION_MAX}`);
  }
  const fds: number[] = [];
  try {
    fds.push(...await receiveDescriptors(from));
    const { reader } = from;
    await reader.wait(1);
    const entryBytes = version === 1 ? 1 : ENTRY_BYTES;
    const length = reader.readByte();
    await reader.wait(length * entryBytes);
    const shapes = Array.from({ length }, () => ({
      flags: reader.readByte(),
      count: version === 1 ? 1 : reader.readUint16BE(),
    }));
    const count = shapes.reduce((sum, one) => sum + one.count, 0);
    while (fds.length < count) {
      fds.push(...await receiveDescriptors(from));
      await reader.wait(1);
      reader.skip(1);
    }
    if (fds.length !== count || length === 0 || shapes.some((one) => one.count === 0)) {
      throw otherWay("the sockets are not those of its listeners");
    }
    let n = 0;
    return shapes.map((one) => ({ flags: one.flags, fds: fds.slice(n, n += one.count) }));
  } catch (error) {
    for (const fd of fds) closeDescriptor(fd);
    throw error;
  }
}

function otherWay(why: string): NetpollError {
  return new NetpollError(`Cannot take listeners: who offers them speaks in another way: ${why}`);
}
