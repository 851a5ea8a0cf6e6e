/**
 * What a connection of a server that is attacked may hold.
 */

const KIB = 1024;

/** `readBufferBytesMax` and `writeBufferBytesMax` there: little, so that little reaches them. */
export const BUFFER_BYTES_MAX: number = 256 * KIB;
/** A connection at its bounds: its input, its output, and the answers to one input of that size. */
export const FULL_BYTES: number = 4 * BUFFER_BYTES_MAX;
/** A message in part: one block of the smallest read. */
export const PART_BYTES: number = 16 * KIB;
