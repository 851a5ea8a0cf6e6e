/** Deno's own HTTP server, in the thread of whoever imports this. */

/** Answers every request with a text, "ok" unless given. The port. */
export function serveHttp(text = "ok"): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const onListen = ({ port }: { port: number }) => resolve(port);
  Deno.serve({ hostname: "127.0.0.1", port: 0, onListen }, () => new Response(text));
  return promise;
}
