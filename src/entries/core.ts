/**
 * Servers, connections and the memory between them: what most programs need and nothing else.
 * Codecs, adapters, datagrams, pools and the rest have entries of their own, as
 * `@netpoll/netpoll/codec`; `@netpoll/netpoll/all` has every name.
 *
 * Two verbs wait, `reader.wait` (with `waitUntil`) and `writer.flush`; everything else works on
 * memory and returns at once. What a reader **lends** is valid until `release()`.
 *
 * @example An echo of messages of 512 bytes
 * ```ts
 * import { createListener, EventLoop } from "@netpoll/netpoll";
 *
 * const listener = createListener("tcp", "localhost:6382");
 * const loop = new EventLoop(async ({ reader, writer }) => {
 *   await reader.wait(512);
 *   const message = reader.next(512); // a view of the socket's memory, not a copy
 *   writer.writeBinary(message);
 *   await writer.flush();
 *   reader.release(); // gives the memory back
 * });
 * await loop.serve(listener);
 * ```
 *
 * @module
 */
import "../sight/life_log.ts"; // it waits for configure({ logLevel })

export { createListener } from "../net/listener.ts";
export type {
  InheritedOptions,
  Listener,
  ListenerFromFdOptions,
  ListenerOptions,
} from "../net/listener_contract.ts";
export { EventLoop, type EventLoopOptions, type LoopMetricsOptions } from "../server/event_loop.ts";
export type { LoopLimits, MemoryPolicy } from "../server/loop_limits.ts";
export type { ShutdownOptions, ShutdownResult } from "../server/shutdown.ts";
export { shutdownOnSignals, type SignalOptions, type Stoppable } from "../server/signals.ts";
export { serve } from "../server/serve.ts";
export { Cluster } from "../server/cluster.ts";
export type { ClusterOptions, MeasureOptions, ServeOptions } from "../server/cluster_options.ts";
export type { HandlerModule, PollerContext, Teardown } from "../server/handler_module.ts";
export type { Choose, LoadBalance, PollerLoad } from "../server/load_balance.ts";
export { dial, type DialOptions } from "../client/dial.ts";
export { socketPair } from "../client/from_fd.ts";
export {
  type Callbacks,
  type CloseCallback,
  Connection,
  type FromFdOptions,
  type RequestHandler,
} from "../connection/connection.ts";
export type {
  CloseOptions,
  CloseReason,
  CloseResult,
  ConnectionEnd,
  ConnectionOptions,
  Unread,
} from "../connection/settings.ts";
export type { ConnectionLimits } from "../connection/connection_limits.ts";
export { pipe, type PipeOptions, type PipeResult } from "../connection/pipe.ts";
export type { ReceiveFileOptions } from "../transport/receive_file.ts";
export type { SendFileOptions } from "../transport/send_file.ts";
export type { ZeroCopyCounts, ZeroCopyMode, ZeroCopyObstacle } from "../transport/zero_copy.ts";
export { LinkBuffer } from "../buffer/link_buffer.ts";
export type { BufferReader, Delimiter, Reader, TextEncoding } from "../buffer/reader.ts";
export type { Writer } from "../buffer/writer.ts";
export type { Address, Network, StreamAddress, TcpAddress, UnixAddress } from "../net/address.ts";
export type { AddressLike, NodeAddress, PathAddress, PlainAddress } from "../net/written.ts";
export type { KeepAliveOptions, SocketOptions } from "../net/socket.ts";
export type {
  Pem,
  TlsClientOptions,
  TlsCommonOptions,
  TlsIdentity,
  TlsServerOptions,
  TlsVersion,
} from "../tls/options.ts";
export type { PeerCertificate } from "../tls/certificate.ts";
export type { TlsInfo } from "../transport/tls_info.ts";
export type { ProxyProtocolOptions } from "../net/header_policy.ts";
export type { ProxyHeader, ProxyTls, ProxyValue } from "../net/proxy_contract.ts";
export type { ProxyInfo } from "../transport/proxied.ts";
export { type Configuration, configure, type LogLevel } from "../core/config.ts";
export { OverloadError } from "../core/overload_error.ts";
export { type ProxyFault, ProxyHeaderError } from "../core/proxy_header_error.ts";
export { ResolveError } from "../core/resolve_error.ts";
export {
  BusyError,
  ClosedError,
  EofError,
  FrameError,
  type FrameFault,
  LoadError,
  type LoadReason,
  NetpollError,
  ReceiveFileError,
  SendFileError,
  SystemError,
  TimeoutError,
  type TimeoutOperation,
  TlsError,
  type TlsReason,
  UnansweredError,
  UnsentError,
} from "../core/errors.ts";
