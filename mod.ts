/**
 * netpoll for Deno and Bun: TCP and Unix sockets on Linux, over epoll.
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
import "./src/sight/life_log.ts"; // it waits for configure({ logLevel })

export {
  createListener,
  type InheritedOptions,
  type Listener,
  type ListenerFromFdOptions,
  type ListenerOptions,
} from "./src/net/listener.ts";
export {
  EventLoop,
  type EventLoopOptions,
  type LoopMetrics,
  type LoopMetricsOptions,
} from "./src/server/event_loop.ts";
export type { ListenerMetrics } from "./src/server/acceptor.ts";
export type { ShutdownOptions, ShutdownResult } from "./src/server/shutdown.ts";
export { Cluster } from "./src/server/cluster.ts";
export type { ClusterOptions, MeasureOptions, ServeOptions } from "./src/server/cluster_options.ts";
export type { ClusterDatagramOptions } from "./src/server/datagram_group.ts";
export { serve } from "./src/server/serve.ts";
export type {
  DatagramHandlers,
  HandlerModule,
  PollerContext,
  Teardown,
} from "./src/server/handler_module.ts";
export type { Choose, LoadBalance, PollerLoad } from "./src/server/load_balance.ts";
export {
  type Callbacks,
  type CloseCallback,
  Connection,
  type FromFdOptions,
  type RequestHandler,
} from "./src/connection/connection.ts";
export { socketPair } from "./src/client/from_fd.ts";
export {
  closeDescriptor,
  type PeerCredentials,
  peerCredentials,
  receiveDescriptors,
  sendDescriptors,
} from "./src/client/descriptors.ts";
export { memoryPair, type MemoryPairOptions } from "./src/client/memory_pair.ts";
export { FakeClock } from "./src/poll/fake_clock.ts";
export type { ReceiveFileOptions } from "./src/transport/receive_file.ts";
export type { SendFileOptions } from "./src/transport/send_file.ts";
export { pipe, type PipeOptions, type PipeResult } from "./src/connection/pipe.ts";
export type {
  CloseOptions,
  CloseResult,
  ConnectionOptions,
  Unread,
} from "./src/connection/settings.ts";
export type { ZeroCopyCounts, ZeroCopyMode, ZeroCopyObstacle } from "./src/transport/zero_copy.ts";
export {
  type Offer,
  offerListeners,
  type OfferOptions,
  takeListeners,
  type Taken,
  type TakeOptions,
} from "./src/restart/hot_restart.ts";
export {
  listenersFromSystemd,
  type NamedListener,
  notifySystemd,
  type OtherDescriptor,
  type SystemdOptions,
  systemdWatchdogMs,
} from "./src/server/systemd.ts";
export { shutdownOnSignals, type SignalOptions, type Stoppable } from "./src/server/signals.ts";
export { dial, type DialOptions } from "./src/client/dial.ts";
export type {
  Pem,
  TlsClientOptions,
  TlsCommonOptions,
  TlsIdentity,
  TlsServerOptions,
  TlsVersion,
} from "./src/tls/options.ts";
export type { PeerCertificate } from "./src/tls/certificate.ts";
export type { TlsInfo } from "./src/transport/tls_info.ts";
export type { ProxyProtocolOptions } from "./src/net/header_policy.ts";
export {
  decodeProxyHeader,
  type DecodeProxyHeaderOptions,
  encodeProxyHeader,
} from "./src/net/proxy_header.ts";
export type {
  ProxyHeader,
  ProxyHeaderOptions,
  ProxyTls,
  ProxyTlsOptions,
  ProxyValue,
} from "./src/net/proxy_contract.ts";
export type { ProxyInfo } from "./src/transport/proxied.ts";
export type { KeepAliveOptions, SocketOptions } from "./src/net/socket.ts";
export {
  type AcquireOptions,
  ConnectionPool,
  type Lease,
  type PoolDialOptions,
  type PoolDrainOptions,
  type PoolDrainResult,
  type PoolMetrics,
  type PoolOptions,
  type PoolSource,
  type Probe,
} from "./src/client/pool.ts";
export type { PoolAddressMetrics, PoolCloseReason } from "./src/client/pool/metrics.ts";
export {
  Reconnecting,
  reconnecting,
  type ReconnectingOptions,
  type ReconnectingRequestOptions,
  type ReconnectingState,
} from "./src/client/reconnecting.ts";
export { bytesOf, readableOf } from "./src/adapter/readable.ts";
export { writableOf } from "./src/adapter/writable.ts";
export {
  type ByteReader,
  type ByteSource,
  readerFrom,
  type SourceReader,
} from "./src/adapter/source_reader.ts";
export { type ByteSink, type SinkWriter, writerTo } from "./src/adapter/sink_writer.ts";
export type { ByteCodec, Codec, FrameInput, Piece } from "./src/codec/codec.ts";
export type { FrameOptions } from "./src/codec/byte_codec.ts";
export {
  delimited,
  type DelimitedOptions,
  lines,
  type LinesOptions,
} from "./src/codec/delimited.ts";
export { fixedLength } from "./src/codec/fixed_length.ts";
export { frames, type FramesOptions } from "./src/codec/frames.ts";
export { lengthPrefixed, type LengthPrefixedOptions } from "./src/codec/length_prefixed.ts";
export { varintPrefixed } from "./src/codec/varint_prefixed.ts";
export { resp, type RespCodec, type RespOptions } from "./src/codec/resp.ts";
export {
  type BulkKind,
  RespError,
  type RespInput,
  RespNullArray,
  RespPush,
  RespSimple,
  type RespValue,
  RespVerbatim,
} from "./src/codec/resp_value.ts";
export { ordered } from "./src/codec/ordered.ts";
export { type Tagged, tagged } from "./src/codec/tagged.ts";
export {
  Multiplexer,
  type MultiplexerDrainOptions,
  type MultiplexerDrainResult,
  type MultiplexerOptions,
  type RequestOptions,
} from "./src/mux/multiplexer.ts";
export {
  type RequestContext,
  type Respond,
  responder,
  type ResponderOptions,
} from "./src/mux/responder.ts";
export { ShardQueue, type WriterGetter } from "./src/mux/shard_queue.ts";
export { LinkBuffer, type LinkBufferConstructor } from "./src/buffer/link_buffer.ts";
export type { BufferReader, Delimiter, Reader, TextEncoding } from "./src/buffer/reader.ts";
export type { Writer } from "./src/buffer/writer.ts";
export { createDatagramSocket } from "./src/datagram/create.ts";
export { dialDatagram, type DialDatagramOptions } from "./src/datagram/dial.ts";
export { packPeer, unpackPeer } from "./src/datagram/peer.ts";
export type {
  Datagram,
  DatagramCloseOptions,
  DatagramCloseResult,
  Datagrams,
  DatagramSocket,
  DatagramWaitOptions,
  DatagramWriteOptions,
} from "./src/datagram/contract.ts";
export type { DatagramMetrics } from "./src/datagram/metrics.ts";
export type { DatagramCallbacks, DatagramOptions } from "./src/datagram/options.ts";
export type { GroupOptions } from "./src/datagram/groups.ts";
export { datagramPair } from "./src/datagram/pair.ts";
export type { DatagramSocketOptions, PathMtu } from "./src/datagram/kernel_options.ts";
export type {
  Address,
  DatagramNetwork,
  Network,
  PackedAddress,
  StreamAddress,
  TcpAddress,
  UdpAddress,
  UnixAddress,
} from "./src/net/address.ts";
export type { AddressLike, NodeAddress, PathAddress, PlainAddress } from "./src/net/written.ts";
export { metrics } from "./src/metrics/metrics.ts";
export type {
  ConnectionTotals,
  MemoryMetrics,
  Metrics,
  PollerMetrics,
  ProcessMetrics,
} from "./src/metrics/metrics.ts";
export type { CallCounts, CallName } from "./src/metrics/call_counts.ts";
export type { ClusterMetrics, ClusterPollerMetrics } from "./src/metrics/cluster_metrics.ts";
export { prometheus, type PrometheusOptions } from "./src/metrics/prometheus.ts";
export type {
  ConnectionMetrics,
  ConnectionState,
  QueueMetrics,
} from "./src/connection/connection_metrics.ts";
export type { TcpTotals } from "./src/net/tcp_totals.ts";
export type { AcceptQueue, TcpMetrics } from "./src/net/tcp_info.ts";
export type {
  ConnectionCounts,
  DatagramCounts,
  DatagramTotals,
  LimitCounts,
  ProxyHeaderCounts,
  TimeoutCounts,
  TlsCounts,
  ZeroCopyTotals,
} from "./src/core/counts.ts";
export { type Configuration, configure, type LogLevel } from "./src/core/config.ts";
export { type HistogramMetrics, percentileMicros } from "./src/core/histogram.ts";
export type { LatencyMetrics } from "./src/core/latency.ts";
export type { TraceMessage } from "./src/core/channel.ts";
export type {
  CloseReason,
  ConnectionCloseMessage,
  ConnectionErrorMessage,
  ConnectionMessage,
  ConnectionOpenMessage,
  RequestMessage,
  TimeoutMessage,
} from "./src/connection/messages.ts";
export type { AcceptErrorMessage, ListenerMessage } from "./src/net/messages.ts";
export type { TlsHandshakeMessage } from "./src/transport/messages.ts";
export type { DialMessage } from "./src/client/messages.ts";
export { OverloadError } from "./src/core/overload_error.ts";
export type { ConnectionLimits } from "./src/connection/connection_limits.ts";
export type { LoopLimits, MemoryPolicy } from "./src/server/loop_limits.ts";
export {
  BusyError,
  ClosedError,
  EofError,
  FrameError,
  type FrameFault,
  LoadError,
  type LoadReason,
  NetpollError,
  type ProxyFault,
  ProxyHeaderError,
  ReceiveFileError,
  SendFileError,
  SystemError,
  TimeoutError,
  type TimeoutOperation,
  TlsError,
  type TlsReason,
  UnansweredError,
  UnsentError,
} from "./src/core/errors.ts";
