/**
 * netpoll for Deno and Bun: TCP and Unix sockets on Linux, over epoll. This module has every public
 * name; as a package it is `@netpoll/netpoll/all`. Programs import from the entries that they use:
 * `@netpoll/netpoll` is the core, `@netpoll/netpoll/codec` and others stand beside it, and no name
 * stands in two of them.
 *
 * @example An echo of messages of 512 bytes
 * ```ts
 * import { createListener, EventLoop } from "@netpoll/netpoll/all";
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
export * from "./src/entries/core.ts";
export * from "./src/entries/codec.ts";
export * from "./src/entries/resp.ts";
export * from "./src/entries/mux.ts";
export * from "./src/entries/adapter.ts";
export * from "./src/entries/metrics.ts";
export * from "./src/entries/udp.ts";
export * from "./src/entries/client.ts";
export * from "./src/entries/operations.ts";
export * from "./src/entries/testing.ts";
