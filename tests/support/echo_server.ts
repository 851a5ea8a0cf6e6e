/**
 * A server on a port of its own, for as long as a test needs it.
 */
import {
  type ConnectionOptions,
  createListener,
  EventLoop,
  type EventLoopOptions,
  type Listener,
  type RequestHandler,
} from "../../mod.ts";
import { soon } from "./until.ts";

/** A server that runs. */
export interface TestServer<C> extends AsyncDisposable {
  readonly loop: EventLoop<C>;
  readonly listener: Listener;
  /** "127.0.0.1:port". */
  readonly at: string;
  readonly port: number;
}

/** Starts a server of a handler on 127.0.0.1. Disposing of it cuts what is left. */
export function serveHandler<C = undefined>(
  onRequest: RequestHandler<C> | null,
  options: EventLoopOptions<C> = {},
): TestServer<C> {
  const listener = createListener("tcp", "127.0.0.1:0");
  const { address } = listener;
  if (address.transport !== "tcp") throw new Error("a TCP listener has a TCP address");
  const loop = new EventLoop<C>(onRequest, options);
  const served = loop.serve(listener);
  return {
    loop,
    listener,
    at: `127.0.0.1:${address.port}`,
    port: address.port,
    async [Symbol.asyncDispose]() {
      await soon(loop.shutdown({ timeoutMs: 100 }), "the server shuts down");
      await soon(served, "serve() settles");
    },
  };
}

/** Starts a server that sends everything back. */
export function echoServer(options: ConnectionOptions = {}): TestServer<undefined> {
  return serveHandler(({ reader, writer }) => {
    writer.writeBinary(reader.next(reader.length));
    writer.flush();
    reader.release();
  }, options);
}
