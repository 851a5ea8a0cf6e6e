/**
 * Version 2 of the PROXY protocol: a binary header (the specification, §2.2).
 */
import { Buffer } from "node:buffer";
import { ProxyHeaderError } from "../core/proxy_header_error.ts";
import { type Address, Family, formatAddress, rawFromBytes, udpAddress } from "./address.ts";
import { crc32c } from "./crc32c.ts";
import { type ProxyHeader, ProxyType } from "./proxy_contract.ts";
import { noValues, readValues } from "./proxy_values.ts";

/** The first bytes of every header. */
export const BINARY_SIGNATURE: Uint8Array = Buffer.from("\r\n\r\n\0\r\nQUIT\n");

/** The bytes before the addresses. */
const FIXED_BYTES = 16;
const VERSION = 2;
const Command = { LOCAL: 0, PROXY: 1 } as const;
const Protocol = { UNSPECIFIED: 0, STREAM: 1, DATAGRAM: 2 } as const;
/** The bytes of an address of each family: of none, IPv4, IPv6 and Unix. */
const ADDRESS_BYTES = [0, 4, 16, 108] as const;
const FAMILIES: readonly number[] = [Family.UNSPECIFIED, Family.IPV4, Family.IPV6, Family.UNIX];
const UNIX = 3;
/** The value with the checksum: type, length, and 4 bytes. */
const CHECKSUM_BYTES = 7;

/** The bytes of both addresses of a family, and of their ports. */
function addressesBytes(family: number): number {
  return 2 * ADDRESS_BYTES[family]! + (family === 1 || family === 2 ? 4 : 0);
}

/** A path as the kernel has it: up to the first 0 byte, or a name that begins with one. */
function pathBytes(bytes: Uint8Array): Uint8Array {
  const end = bytes[0] === 0 ? bytes.findLastIndex((byte) => byte !== 0) + 1 : bytes.indexOf(0);
  return bytes.subarray(0, end < 0 ? bytes.length : end);
}

function addressAt(block: Uint8Array, family: number, protocol: number, place: 0 | 1): Address {
  const length = ADDRESS_BYTES[family]!;
  const bytes = block.subarray(place * length, (place + 1) * length);
  if (family === UNIX) return formatAddress(rawFromBytes(Family.UNIX, 0, pathBytes(bytes)));
  const at = 2 * length + 2 * place;
  const raw = rawFromBytes(FAMILIES[family]!, block[at]! << 8 | block[at + 1]!, bytes);
  return protocol === Protocol.DATAGRAM ? udpAddress(raw) : formatAddress(raw);
}

/** Throws unless the checksum is right, where there is one. */
function verify(header: Uint8Array, valuesAt: number): void {
  for (let at = valuesAt; at < header.length;) {
    const length = header[at + 1]! << 8 | header[at + 2]!;
    if (header[at] === ProxyType.CRC32C) {
      if (length !== 4) {
        throw new ProxyHeaderError("value", `the checksum has ${length} bytes, not 4`);
      }
      const copy = header.slice();
      const told = new DataView(copy.buffer).getUint32(at + 3);
      copy.fill(0, at + 3, at + CHECKSUM_BYTES);
      // A second one would be summed up as it is here, and fail.
      if (crc32c(copy) !== told) {
        throw new ProxyHeaderError(
          "checksum",
          "its checksum does not fit: it was changed on its way",
        );
      }
    }
    at += 3 + length;
  }
}

/**
 * Reads a header from its first bytes, which are its signature as far as they are there. Null while
 * it is not whole.
 *
 * @throws {ProxyHeaderError} It is none, or longer than `bytesMax`.
 */
export function readBinary(bytes: Uint8Array, bytesMax: number): ProxyHeader | null {
  const at = BINARY_SIGNATURE.length;
  const [kind, ends, high, low] = bytes.subarray(at, FIXED_BYTES);
  if (kind === undefined) return null;
  const [version, command] = [kind >> 4, kind & 15];
  if (version !== VERSION) {
    throw new ProxyHeaderError("version", `it has version ${version}, not 2`);
  }
  if (command > Command.PROXY) {
    throw new ProxyHeaderError("command", `it has command ${command}: LOCAL is 0, PROXY is 1`);
  }
  if (ends === undefined) return null;
  const isLocal = command === Command.LOCAL;
  // A proxy may say anything of its own connection: that is ignored, the family as well.
  const [family, protocol] = isLocal ? [0, 0] : [ends >> 4, ends & 15];
  if (family > UNIX || protocol > Protocol.DATAGRAM) {
    throw new ProxyHeaderError("family", `it has family ${family} and protocol ${protocol}`);
  }
  if (low === undefined) return null;
  const headerBytes = FIXED_BYTES + (high! << 8 | low);
  if (headerBytes > bytesMax) {
    throw new ProxyHeaderError("too-long", `it has ${headerBytes} bytes, and may have ${bytesMax}`);
  }
  const valuesAt = FIXED_BYTES + addressesBytes(family);
  if (headerBytes < valuesAt) {
    const why = `it has ${headerBytes - FIXED_BYTES} bytes for its addresses`;
    throw new ProxyHeaderError("length", `${why}, which need ${valuesAt - FIXED_BYTES}`);
  }
  if (bytes.length < headerBytes) return null;
  const header = { version: VERSION, headerBytes, source: null, destination: null } as const;
  if (isLocal) return { ...header, command: "LOCAL", ...noValues() };
  // A copy, and no Buffer, whose slices would be views.
  const whole = new Uint8Array(bytes.subarray(0, headerBytes));
  const values = readValues(whole.subarray(valuesAt));
  verify(whole, valuesAt);
  if (family === 0 || protocol === Protocol.UNSPECIFIED) {
    return { ...header, command: "PROXY", ...values };
  }
  const block = whole.subarray(FIXED_BYTES, valuesAt);
  const [source, destination] = [0, 1].map((place) =>
    addressAt(block, family, protocol, place as 0 | 1)
  );
  return { ...header, command: "PROXY", ...values, source: source!, destination: destination! };
}

/** The two ends of a header: raw addresses of one family, and whether datagrams go between them. */
export interface BinaryEnds {
  readonly raws: readonly [source: Uint32Array, destination: Uint32Array];
  readonly isDatagram: boolean;
}

function writeEnds({ raws }: BinaryEnds, family: number): Uint8Array {
  const length = ADDRESS_BYTES[family]!;
  const block = Buffer.alloc(addressesBytes(family));
  for (const [place, raw] of raws.entries()) {
    block.set(new Uint8Array(raw.buffer, raw.byteOffset + 16, raw[3]!), place * length);
    if (family !== UNIX) block.writeUInt16BE(raw[1]!, 2 * length + 2 * place);
  }
  return block;
}

/**
 * The header of two ends, or of the sender's own connection, with values that were written.
 *
 * @throws {RangeError} They are too many.
 */
export function writeBinary(
  ends: BinaryEnds | null,
  values: Uint8Array,
  hasChecksum: boolean,
): Uint8Array {
  const family = ends === null ? 0 : FAMILIES.indexOf(ends.raws[0][0]!);
  const protocol = ends === null ? 0 : ends.isDatagram ? Protocol.DATAGRAM : Protocol.STREAM;
  const command = ends === null ? Command.LOCAL : Command.PROXY;
  const block = ends === null ? new Uint8Array(0) : writeEnds(ends, family);
  const checksum = new Uint8Array(hasChecksum ? CHECKSUM_BYTES : 0);
  checksum.set([ProxyType.CRC32C, 0, 4].slice(0, checksum.length));
  const length = block.length + values.length + checksum.length;
  if (length > 0xffff) {
    throw new RangeError(
      `Cannot write a PROXY header of ${length} bytes after its first 16: 65535 at most`,
    );
  }
  const head = [VERSION << 4 | command, family << 4 | protocol, length >> 8, length & 0xff];
  const header = Buffer.concat([BINARY_SIGNATURE, Uint8Array.from(head), block, values, checksum]);
  if (hasChecksum) header.writeUInt32BE(crc32c(header), header.length - 4);
  return header;
}
