/**
 * Datagrams in batches: one system call takes many, and one sends all answers.
 *
 * @example An echo and its client
 * ```ts
 * import { createDatagramSocket, dialDatagram } from "@netpoll/netpoll/udp";
 *
 * await using server = createDatagramSocket("udp", "127.0.0.1:0", {
 *   onDatagram: (datagram) => void datagram.reply(datagram.bytes),
 * });
 * await using client = await dialDatagram("udp", server.localAddress);
 * client.write(new TextEncoder().encode("hello"));
 * await client.flush();
 * await client.wait();
 * for (const { bytes } of client.datagrams) {
 *   console.log(new TextDecoder().decode(bytes)); // "hello"
 * }
 * client.release();
 * ```
 *
 * @module
 */
export type { ClusterDatagramOptions } from "../server/datagram_group.ts";
export { steeredIndex } from "../server/steering.ts";
export type { DatagramHandlers } from "../server/handler_module.ts";
export { createDatagramSocket } from "../datagram/create.ts";
export type { DatagramFromFdOptions } from "../datagram/inherited.ts";
export { dialDatagram, type DialDatagramOptions } from "../datagram/dial.ts";
export { packPeer, peerKey, unpackPeer } from "../datagram/peer.ts";
export type {
  Datagram,
  DatagramCloseOptions,
  DatagramCloseResult,
  DatagramReply,
  Datagrams,
  DatagramSocket,
  DatagramWaitOptions,
  DatagramWriteOptions,
} from "../datagram/contract.ts";
export type { DatagramMetrics } from "../datagram/metrics.ts";
export type { DatagramCallbacks, DatagramOptions } from "../datagram/options.ts";
export type { GroupOptions } from "../datagram/groups.ts";
export { datagramPair } from "../datagram/pair.ts";
export type { DatagramSocketOptions, PathMtu } from "../datagram/kernel_options.ts";
export type { DatagramNetwork, PackedAddress, UdpAddress } from "../net/address.ts";
