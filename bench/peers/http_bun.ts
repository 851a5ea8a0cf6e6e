/** Bun's own HTTP server, in the thread of whoever imports this. */
declare const Bun: {
  serve(
    options: { hostname: string; port: number; fetch: () => Response },
  ): { readonly port: number };
};

/** Answers every request with a text, "ok" unless given. The port. */
export function serveHttp(text = "ok"): Promise<number> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response(text) });
  return Promise.resolve(server.port);
}
