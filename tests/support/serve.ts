/**
 * A loop of its own for a test that shuts it down itself, and the shortest handler.
 */
import {
  type Connection,
  createListener,
  EventLoop,
  type EventLoopOptions,
  type Listener,
  type ListenerOptions,
  type RequestHandler,
} from "../../mod.ts";

/** A loop that serves a listener on 127.0.0.1. */
export function serve<C = undefined>(
  onRequest: RequestHandler<C> | null,
  options?: EventLoopOptions<C>,
  listenOptions?: ListenerOptions,
): { loop: EventLoop<C>; listener: Listener; served: Promise<void> } {
  const loop = new EventLoop<C>(onRequest, options);
  const listener = createListener("tcp", "127.0.0.1:0", listenOptions);
  return { loop, listener, served: loop.serve(listener) };
}

/** Sends everything back at once. */
export function echo({ reader, writer }: Connection): void {
  writer.writeString(reader.readString(reader.length));
  void writer.flush();
  reader.release();
}
