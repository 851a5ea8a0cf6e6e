/**
 * Endpoints whose peer is a proxy: what the proxy has said of the client.
 */
import type { StreamAddress } from "../net/address.ts";
import type { ProxyHeader } from "../net/proxy_contract.ts";

/** The proxy of a connection, and its header. */
export interface ProxyInfo extends ProxyHeader {
  /** The address of the proxy itself. */
  readonly peer: StreamAddress;
  /** The address that the proxy has connected to. */
  readonly local: StreamAddress;
}

/** Beside the endpoints, so that those without a proxy are no larger. */
const infos = new WeakMap<object, ProxyInfo>();
/** Whether this thread has ever had one. */
let isUsed = false;

/** The proxy of an endpoint; null where there is none. */
export function proxyOf(endpoint: object): ProxyInfo | null {
  return isUsed ? infos.get(endpoint) ?? null : null;
}

/** From now on these are what a proxy has said of an endpoint. */
export function setProxy(endpoint: object, info: ProxyInfo): void {
  isUsed = true;
  infos.set(endpoint, info);
}

/**
 * An address of the client's connection, where the header has one. A stream to us that carries
 * datagrams of others is from the proxy, as for other receivers (HAProxy, nginx).
 */
export function clientAddress(
  header: ProxyHeader | null,
  end: "source" | "destination",
): StreamAddress | null {
  const address = header?.[end] ?? null;
  return address === null || address.transport === "udp" ? null : { ...address };
}
