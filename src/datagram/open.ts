/**
 * Open sockets: what those have in common that are bound, that are dialled, and that are a pair.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { placed } from "../core/place.ts";
import {
  describeAddress,
  Family,
  packAddress,
  type PackedAddress,
  rawAddress,
  type UdpAddress,
  udpAddress,
} from "../net/address.ts";
import { getOption, Option, setOption } from "../net/socket.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import type { DatagramSocket } from "./contract.ts";
import { DatagramCore } from "./core.ts";
import { UserDatagramSocket } from "./face.ts";
import { applyKernelOptions, type DatagramSocketOptions, takeTrains } from "./kernel_options.ts";
import type { DatagramCallbacks, DatagramSettings } from "./options.ts";

const scratch = rawAddress();

/** The address of a socket. */
export function nameOf(fd: number): PackedAddress {
  check("learn the address of a socket", native.name(fd, 0, scratch));
  return packAddress(scratch);
}

/**
 * A descriptor for a raw address, with its options. `place` binds or connects it, and is told the
 * address in words. The descriptor is closed when any of that fails.
 */
export function openSocket(
  raw: Uint32Array,
  options: DatagramSocketOptions,
  place: (fd: number, subject: string) => void,
): number {
  const family = raw[0]!;
  const address = udpAddress(raw);
  const subject = describeAddress(address);
  let fd = -1;
  try {
    fd = check("open a socket for", native.datagramSocket(family), subject);
    const { v6Only } = options;
    if (family === Family.IPV6 && v6Only !== undefined) {
      setOption(fd, Option.V6_ONLY, v6Only ? 1 : 0);
    }
    applyKernelOptions(fd, family, options);
    takeTrains(fd);
    place(fd, subject);
    return fd;
  } catch (error) {
    if (fd >= 0) native.close(fd);
    throw placed(error, address);
  }
}

/** A socket over a descriptor that is bound or connected, and still the caller's when this throws. */
export function datagramsOver(
  fd: number,
  callbacks: DatagramCallbacks,
  settings: DatagramSettings,
  remoteAddress: UdpAddress | null = null,
): DatagramSocket {
  const local = nameOf(fd);
  const family = typeof local === "number" ? Family.IPV4 : Family.IPV6;
  // One that is connected writes to its peer alone.
  const mayBeIPv6Only = family === Family.IPV6 && remoteAddress === null;
  const core = new DatagramCore(fd, {
    poller: threadPoller(),
    callbacks,
    settings,
    family,
    isIPv6Only: mayBeIPv6Only && getOption(fd, Option.V6_ONLY) !== 0,
    local,
    remoteAddress,
  });
  return new UserDatagramSocket(core);
}
