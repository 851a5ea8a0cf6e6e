/**
 * netpoll for Deno and Bun.
 *
 * @module
 */
export { createListener, type Listener, type ListenerOptions } from "./src/net/listener.ts";
export {
  EventLoop,
  type EventLoopOptions,
  type ShutdownOptions,
  type ShutdownResult,
} from "./src/server/event_loop.ts";
export { Cluster, type ClusterOptions, serve, type ServeOptions } from "./src/server/cluster.ts";
export type { HandlerModule, PollerContext, Teardown } from "./src/server/handler_module.ts";
export type { Choose, LoadBalance, PollerLoad } from "./src/poll/load_balance.ts";
export {
  type CloseOptions,
  type CloseResult,
  Connection,
  type ConnectionFactory,
  type FromFdOptions,
  socketPair,
} from "./src/connection/connection.ts";
export type { Callbacks, CloseCallback, RequestHandler } from "./src/connection/callbacks.ts";
export type { SendFileOptions } from "./src/connection/send_file.ts";
export { pipe, type PipeOptions, type PipeResult } from "./src/connection/splice.ts";
export type { ConnectionOptions, ZeroCopyMode } from "./src/connection/settings.ts";
export type { ZeroCopyCounts, ZeroCopyObstacle } from "./src/connection/zero_copy.ts";
export { shutdownOnSignals, type SignalOptions, type Stoppable } from "./src/server/signals.ts";
export { dial, type DialOptions } from "./src/client/dial.ts";
export type { KeepAliveOptions, SocketOptions } from "./src/net/socket.ts";
export { bytesOf, readableOf } from "./src/adapter/readable.ts";
export { writableOf } from "./src/adapter/writable.ts";
export { type ByteSource, readerFrom, type SourceReader } from "./src/adapter/source_reader.ts";
export { type ByteSink, type SinkWriter, writerTo } from "./src/adapter/sink_writer.ts";
export { LinkBuffer, type LinkBufferConstructor } from "./src/buffer/link_buffer.ts";
export type { BufferReader, Delimiter, Reader, TextEncoding } from "./src/buffer/reader.ts";
export type { Writer } from "./src/buffer/writer.ts";
export type { Address, Network, TcpAddress, UnixAddress } from "./src/net/address.ts";
export { type Configuration, configure } from "./src/core/config.ts";
export {
  BusyError,
  ClosedError,
  EofError,
  NetpollError,
  SendFileError,
  SystemError,
  TimeoutError,
  type TimeoutOperation,
} from "./src/core/errors.ts";
