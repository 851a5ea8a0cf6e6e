/**
 * What a connection of a server that is attacked may hold.
 */
import { BYTES_PER_EVENT_MAX } from "../../src/core/limits.ts";

const KIB = 1024;

/** `readBufferBytesMax` and `writeBufferBytesMax` there: little, so that little reaches them. */
export const BUFFER_BYTES_MAX: number = 256 * KIB;
/**
 * A connection at its bounds: its input, its output, the answers to one input of that size, and what
 * one event brings above the bound.
 */
export const FULL_BYTES: number = 4 * BUFFER_BYTES_MAX + BYTES_PER_EVENT_MAX;
/** A message in part: one block of the smallest read. */
export const PART_BYTES: number = 16 * KIB;
