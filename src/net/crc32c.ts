/**
 * CRC32c: the checksum of SCTP and of PROXY headers (RFC 4960, Appendix B).
 */

/** The polynomial of Castagnoli, its bits in reverse. */
const POLYNOMIAL = 0x82f6_3b78;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = (sum & 1) === 0 ? sum >>> 1 : sum >>> 1 ^ POLYNOMIAL;
  return sum;
});

/** The checksum of bytes, as a number of 32 bits. */
export function crc32c(bytes: Uint8Array): number {
  let sum = 0xffff_ffff;
  for (const byte of bytes) sum = table[(sum ^ byte) & 0xff]! ^ sum >>> 8;
  return ~sum >>> 0;
}
