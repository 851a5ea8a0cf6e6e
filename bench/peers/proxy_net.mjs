/**
 * A TCP proxy on node:net, in Node, Bun and Deno: `proxy_net.mjs UPSTREAM_PORT`.
 */
import net from "node:net";
import process from "node:process";

const options = { host: "127.0.0.1", port: Number(process.argv[2]), allowHalfOpen: true };
const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const upstream = net.connect({ ...options, noDelay: true });
  client.pipe(upstream).pipe(client);
  client.on("error", () => upstream.destroy());
  upstream.on("error", () => client.destroy());
});
server.listen({ host: "127.0.0.1", port: 0 }, () => {
  console.log(`listening ${server.address().port}`);
});
