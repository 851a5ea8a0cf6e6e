/**
 * A connection's figures as a plain object, and its picture for `console.log`.
 */
import { chainOf } from "../buffer/chained.ts";
import { describeChain, drawNodes, nodeCount } from "../buffer/drawing.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { describeAddress, type StreamAddress } from "../net/address.ts";
import type { TcpMetrics } from "../net/tcp_info.ts";
import { type ConnectionReader, readSide } from "./connection_reader.ts";
import { type ConnectionWriter, writeSide } from "./connection_writer.ts";
import type { State } from "./lifecycle.ts";
import type { Transport } from "../transport/transport.ts";
import type { ZeroCopy, ZeroCopyCounts } from "../transport/zero_copy.ts";

/** Where a connection is in its life. */
export type ConnectionState =
  /** `onPrepare` runs, or it was not watched yet. */
  | "preparing"
  /** It is watched; also while `startTls` runs. */
  | "open"
  /** It was closed, and what was flushed still leaves. */
  | "draining"
  /** Its descriptor is gone. */
  | "closed";

/** Bytes that are held on one side of a connection. */
export interface QueueMetrics {
  /** Bytes that wait: to be read, or to be sent. */
  bytes: number;
  /** Memory that is held for them, and for what was lent. */
  heldBytes: number;
  /** Nodes of the chain that they lie in. */
  nodeCount: number;
}

/** Figures of a connection, so far and now. A snapshot; known after close, too. */
export interface ConnectionMetrics {
  /** The descriptor; -1 once it is closed, and of what has none. */
  fd: number;
  /** Where it is in its life. */
  state: ConnectionState;
  /** Where this end is. */
  localAddress: StreamAddress;
  /** Where the other end is. */
  remoteAddress: StreamAddress;
  /** Bytes that were received, read or not, and however they were moved on. */
  receivedBytes: number;
  /** Bytes that the kernel took to send: written ones, those of files, and those of a pipe. */
  sentBytes: number;
  /** Bytes that were received and not read. */
  unread: QueueMetrics;
  /** Bytes that were flushed and not sent, without files; after close those that were dropped. */
  unsent: QueueMetrics;
  /** Flushes that wait for the kernel. */
  flushCount: number;
  /** Whether somebody waits for bytes. */
  isWaiting: boolean;
  /** Whether nothing is read: after `pauseRead()`, or while a bound is exceeded. */
  isReadPaused: boolean;
  /** Whether so little is unsent that more may be written. */
  isWritable: boolean;
  /** Whether `pipe` moves its bytes. */
  isPiped: boolean;
  /** Counts of zero copy; null when nobody asked for it. */
  zeroCopy: ZeroCopyCounts | null;
  /** The kernel's view of it; null for what is no TCP socket, and after close. */
  tcp: TcpMetrics | null;
}

/** A connection, as far as it is looked at here. */
export interface Measured {
  readonly fd: number;
  readonly io: Transport;
  readonly isOpen: boolean;
  readonly state: State;
  readonly localAddress: StreamAddress;
  readonly remoteAddress: StreamAddress;
  readonly reader: ConnectionReader;
  readonly writer: ConnectionWriter;
  readonly isReadPaused: boolean;
  readonly isPiped: boolean;
  readonly pinner: ZeroCopy | null;
  readonly droppedBytes: number;
}

function stateOf({ state }: Measured): ConnectionState {
  return state === "connecting" ? "open" : state;
}

/** Bytes that came to a connection. */
export function receivedBytes({ total, length, bypassed }: LinkChain): number {
  return total + length + bypassed;
}

function queueMetrics(chain: LinkChain): QueueMetrics {
  return { bytes: chain.length, heldBytes: chain.heldBytes, nodeCount: nodeCount(chain) };
}

/** The figures of a connection. */
export function connectionMetrics(of: Measured): ConnectionMetrics {
  const { fd, localAddress, remoteAddress, reader, writer, isReadPaused, isPiped } = of;
  const input = chainOf(reader);
  const output = chainOf(writer);
  return {
    fd,
    state: stateOf(of),
    localAddress,
    remoteAddress,
    receivedBytes: receivedBytes(input),
    sentBytes: writeSide.sentBytes(writer),
    unread: queueMetrics(input),
    unsent: { ...queueMetrics(output), ...(of.isOpen ? {} : { bytes: of.droppedBytes }) },
    flushCount: writeSide.flushCount(writer),
    isWaiting: readSide.isWaiting(reader),
    isReadPaused,
    isWritable: writer.isWritable,
    isPiped,
    zeroCopy: of.pinner?.counts() ?? null,
    tcp: of.isOpen ? of.io.tcp(fd) : null,
  };
}

/** A connection in a few lines: its state, its ends, and both of its chains. */
export function drawConnection(of: Measured): string {
  const { reader, writer } = of;
  const input = chainOf(reader);
  const output = chainOf(writer);
  const ends = `${describeAddress(of.localAddress)} ↔ ${describeAddress(of.remoteAddress)}`;
  const marks = [
    of.isPiped ? "piped" : "",
    of.isReadPaused ? "reading paused" : "",
    readSide.isWaiting(reader) ? "somebody waits for bytes" : "",
    writeSide.flushCount(writer) > 0 ? `flushes that wait: ${writeSide.flushCount(writer)}` : "",
    writeSide.isChoked(writer) ? "too much unsent" : "",
  ].filter((mark) => mark !== "").map((mark) => `; ${mark}`);
  const at = of.fd < 0 ? "" : ` at descriptor ${of.fd}`;
  return `Connection ${stateOf(of)}${at}: ${ends}${marks.join("")}\n` +
    `  input: ${input.total} read, ${describeChain(input)}` +
    `${drawNodes(input, "    ")}\n` +
    `  output: ${writeSide.sentBytes(writer)} sent, ` +
    `${describeChain(output).replace("to read", "to send")}${drawNodes(output, "    ")}`;
}
