/**
 * Servers and clients with TLS.
 */
import {
  type Connection,
  dial,
  type EventLoop,
  type EventLoopOptions,
  type RequestHandler,
  type TlsClientOptions,
  type TlsServerOptions,
} from "../../mod.ts";
import { authority, serverIdentity } from "./pki.ts";
import { serve } from "./serve.ts";

/** A server with TLS at 127.0.0.1, shut down with `using`. */
export interface Secure extends AsyncDisposable {
  /** The address of its listener. */
  readonly at: string;
  readonly port: number;
  readonly listener: ReturnType<typeof serve>["listener"];
  readonly loop: EventLoop<undefined>;
  /** A client that trusts it. */
  dial(options?: TlsClientOptions): Promise<Connection>;
}

/** Sends everything back. */
export function echoBack({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}

let trusting: TlsClientOptions | null = null;

/** The options of a client that trusts these tests' authority; one object, as users are told. */
export function trust(): TlsClientOptions {
  return trusting ??= { authorities: authority().certificate };
}

/** Serves with TLS. */
export function serveSecure(
  onRequest: RequestHandler<undefined> | null = echoBack,
  tls: Partial<TlsServerOptions> = {},
  options: EventLoopOptions<undefined> = {},
): Secure {
  const given = { tls: { ...serverIdentity(), ...tls } };
  const { loop, listener, served } = serve(onRequest, options, given);
  const { address } = listener;
  const port = address.transport === "tcp" ? address.port : 0;
  const at = `127.0.0.1:${port}`;
  return {
    at,
    port,
    listener,
    loop,
    dial: (more) => dial("tcp", at, { tls: more ?? trust(), timeoutMs: 10_000 }),
    async [Symbol.asyncDispose]() {
      await loop.shutdown({ timeoutMs: 0 });
      await served;
    },
  };
}
