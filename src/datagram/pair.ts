/**
 * Two datagram sockets, each the peer of the other.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { readOptions } from "../core/options.ts";
import { rawAddress, rawFromNumeric } from "../net/address.ts";
import { bind, connect } from "../net/permitted.ts";
import type { DatagramSocket } from "./contract.ts";
import { checkKernelOptions } from "./kernel_options.ts";
import { datagramsOver, nameOf, openSocket } from "./open.ts";
import { DATAGRAM_OPTIONS, type DatagramOptions, datagramSettings } from "./options.ts";
import { udpOf } from "./peer.ts";

/** Nobody else is reached: what holds for a pair is only that it was not forbidden. */
const ORIGIN = "stands for what was granted";

function open(options: DatagramOptions): number {
  const { reportUnreachable = true } = options;
  const raw = rawFromNumeric("127.0.0.1", 0);
  return openSocket(raw, { ...options, reportUnreachable }, (fd, subject) => {
    check("bind", bind(fd, raw, ORIGIN), subject);
  });
}

function connectTo(fd: number, other: number): void {
  const raw = rawAddress();
  check("learn the address of a socket", native.name(other, 0, raw));
  check("connect", connect(fd, raw, ORIGIN));
}

function socketOf(fd: number, remote: number, options: DatagramOptions): DatagramSocket {
  return datagramsOver(fd, options, datagramSettings(options), udpOf(nameOf(remote)));
}

/**
 * Two datagram sockets that are connected to each other, over loopback: for tests. Each has options
 * of its own.
 *
 * @throws {TypeError} An option is malformed.
 * @throws {RangeError} A number is out of range.
 * @throws {SystemError} No descriptor is left.
 *
 * @example
 * ```ts
 * import { datagramPair } from "@netpoll/netpoll/udp";
 *
 * const [a, b] = datagramPair({}, { readTimeoutMs: 1000 });
 * a.write(new TextEncoder().encode("ping"));
 * await a.flush();
 * await b.wait();
 * console.log(b.datagrams.count); // 1
 * b.release();
 * await a.close();
 * await b.close();
 * ```
 */
export function datagramPair(
  first: DatagramOptions = {},
  second: DatagramOptions = {},
): [DatagramSocket, DatagramSocket] {
  const reads = [first, second].map((each) => {
    const read = readOptions("datagramPair", each, DATAGRAM_OPTIONS);
    datagramSettings(read);
    checkKernelOptions(read);
    return read;
  }) as [DatagramOptions, DatagramOptions];
  const fds: number[] = [];
  const sockets: DatagramSocket[] = [];
  try {
    for (const read of reads) fds.push(open(read));
    connectTo(fds[0]!, fds[1]!);
    connectTo(fds[1]!, fds[0]!);
    for (const [i, read] of reads.entries()) sockets.push(socketOf(fds[i]!, fds[1 - i]!, read));
    return sockets as [DatagramSocket, DatagramSocket];
  } catch (error) {
    for (const fd of fds.slice(sockets.length)) native.close(fd);
    for (const socket of sockets) socket[Symbol.dispose]();
    throw error;
  }
}
