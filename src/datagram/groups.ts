/**
 * Groups: multicast addresses that a socket hears, from anybody or from one source (RFC 3678).
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { type Known, readOptions, show } from "../core/options.ts";
import { Family, interfaceNumber, isNumeric, rawFromNumeric } from "../net/address.ts";

/** The options of `joinGroup` and `leaveGroup`. */
export interface GroupOptions {
  /** The interface to hear the group on, by its name or its number. The kernel chooses unless given. */
  interface?: string | number;
  /** The only address that is heard: source-specific multicast (RFC 4607). Any unless given. */
  source?: string;
}

const GROUP_OPTIONS: Known<GroupOptions> = { interface: 1, source: 1 };

/** The options of the kernel that take an address of either family (linux/in.h). */
const Membership = { JOIN: 42, LEAVE: 45, JOIN_SOURCE: 46, LEAVE_SOURCE: 47 } as const;

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
/** `struct group_source_req`: an interface, and two addresses of 128 bytes. */
const INTERFACE_BYTES = 8;
const STORAGE_BYTES = 128;
const REQUEST_BYTES = INTERFACE_BYTES + 2 * STORAGE_BYTES;

/** Writes `struct sockaddr_in` or `sockaddr_in6` of a raw address, without a port. */
function putAddress(view: DataView, at: number, raw: Uint32Array): void {
  const bytes = new Uint8Array(raw.buffer, raw.byteOffset + 16, raw[3]);
  view.setUint16(at, raw[0]!, true);
  const address = new Uint8Array(view.buffer, at + (raw[0] === Family.IPV4 ? 4 : 8));
  address.set(bytes);
}

function isGroup(raw: Uint32Array): boolean {
  const first = raw[4]! & 0xff;
  return raw[0] === Family.IPV4 ? first >= 224 && first <= 239 : first === 0xff;
}

function numericRaw(what: string, address: string): Uint32Array {
  const [host] = String(address).split("%");
  if (typeof address === "string" && isNumeric(host!)) return rawFromNumeric(host!, 0);
  throw new TypeError(`Cannot use ${show(address)} as ${what}: it is no IP address`);
}

/** A group, and how a socket hears it. */
interface Request {
  readonly level: number;
  readonly hasSource: boolean;
  readonly values: Int32Array;
}

function readGroup(action: string, family: number, group: string, options: GroupOptions): Request {
  const read = readOptions(action, options, GROUP_OPTIONS);
  const raw = numericRaw("a group", group);
  if (!isGroup(raw)) {
    throw new TypeError(`Cannot use ${show(group)} as a group: it is no multicast address`);
  }
  if (family === Family.IPV4 && raw[0] !== Family.IPV4) {
    throw new TypeError(`Cannot use ${show(group)} as a group: the socket is one of IPv4`);
  }
  const view = new DataView(new ArrayBuffer(REQUEST_BYTES));
  const zone = group.split("%")[1];
  const number = read.interface ?? zone;
  view.setUint32(0, number === undefined ? 0 : interfaceNumber(number), true);
  putAddress(view, INTERFACE_BYTES, raw);
  if (read.source !== undefined) {
    const source = numericRaw("a source", read.source);
    if (source[0] !== raw[0]) {
      throw new TypeError(`Cannot hear ${group} from ${read.source}: they are of two families`);
    }
    putAddress(view, INTERFACE_BYTES + STORAGE_BYTES, source);
  }
  return {
    level: raw[0] === Family.IPV4 ? IPPROTO_IP : IPPROTO_IPV6,
    hasSource: read.source !== undefined,
    values: new Int32Array(view.buffer),
  };
}

function request(
  fd: number,
  name: number,
  { level, hasSource, values }: Request,
  about: string,
): void {
  const bytes = hasSource ? REQUEST_BYTES : REQUEST_BYTES - STORAGE_BYTES;
  check(about, native.setsockopt(fd, level, name, values, bytes));
}

/** Hears a group from now on. */
export function joinGroup(fd: number, family: number, group: string, options: GroupOptions): void {
  const read = readGroup("joinGroup", family, group, options);
  request(fd, read.hasSource ? Membership.JOIN_SOURCE : Membership.JOIN, read, `join ${group}`);
}

/** Hears it no more. */
export function leaveGroup(fd: number, family: number, group: string, options: GroupOptions): void {
  const read = readGroup("leaveGroup", family, group, options);
  request(fd, read.hasSource ? Membership.LEAVE_SOURCE : Membership.LEAVE, read, `leave ${group}`);
}
