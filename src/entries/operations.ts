/**
 * How a server lives on its machine: sockets from systemd, restarts that lose nothing, descriptors
 * that pass between processes, and the PROXY protocol written by hand.
 *
 * @example The socket that systemd listens on, or one of our own
 * ```ts
 * import { createListener } from "@netpoll/netpoll";
 * import { listenersFromSystemd, notifySystemd } from "@netpoll/netpoll/operations";
 *
 * const [activated] = listenersFromSystemd();
 * using listener = activated?.listener ?? createListener("tcp", "127.0.0.1:0");
 * notifySystemd("READY=1");
 * console.log(listener.address.transport); // "tcp"
 * ```
 *
 * @module
 */
export {
  closeDescriptor,
  type PeerCredentials,
  peerCredentials,
  receiveDescriptors,
  sendDescriptors,
} from "../client/descriptors.ts";
export { type Offer, offerListeners, type OfferOptions } from "../restart/offer.ts";
export { takeListeners, type Taken, type TakeOptions } from "../restart/take.ts";
export {
  listenersFromSystemd,
  type NamedListener,
  notifySystemd,
  type OtherDescriptor,
  type SystemdOptions,
  systemdWatchdogMs,
} from "../server/systemd.ts";
export {
  decodeProxyHeader,
  type DecodeProxyHeaderOptions,
  encodeProxyHeader,
} from "../net/proxy_header.ts";
export type { ProxyHeaderOptions, ProxyTlsOptions } from "../net/proxy_contract.ts";
