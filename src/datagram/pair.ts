/**
 * Two datagram sockets, each the peer of the other.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { readOptions } from "../core/options.ts";
import { Family, rawAddress, rawFromNumeric } from "../net/address.ts";
import { bind, connect } from "../net/permitted.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import type { DatagramSocket } from "./contract.ts";
import { DatagramCore } from "./core.ts";
import { nameOf } from "./create.ts";
import { UserDatagramSocket } from "./face.ts";
import { applyKernelOptions, checkKernelOptions } from "./kernel_options.ts";
import { DATAGRAM_OPTIONS, type DatagramOptions, datagramSettings } from "./options.ts";
import { udpOf } from "./peer.ts";

/** Nobody else is reached: what holds for a pair is only that it was not forbidden. */
const ORIGIN = "stands for what was granted";

function open(options: DatagramOptions): number {
  const fd = check("open a socket", native.datagramSocket(Family.IPV4));
  try {
    applyKernelOptions(fd, Family.IPV4, options, options.reportUnreachable !== false);
    check("bind", bind(fd, rawFromNumeric("127.0.0.1", 0), ORIGIN), "127.0.0.1:0");
    return fd;
  } catch (error) {
    native.close(fd);
    throw error;
  }
}

function connectTo(fd: number, other: number): void {
  const raw = rawAddress();
  check("learn the address of a socket", native.name(other, 0, raw));
  check("connect", connect(fd, raw, ORIGIN));
}

function socketOf(fd: number, remote: number, options: DatagramOptions): DatagramSocket {
  return new UserDatagramSocket(
    new DatagramCore(fd, {
      poller: threadPoller(),
      callbacks: options,
      settings: datagramSettings(options),
      family: Family.IPV4,
      isIPv6Only: false,
      local: nameOf(fd),
      remoteAddress: udpOf(nameOf(remote)),
    }),
  );
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
