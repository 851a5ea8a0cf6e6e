/**
 * The servers that ours is measured beside.
 */

/** A server of this folder. */
export interface Peer {
  /** What it runs on. */
  readonly runtime: "bun" | "deno" | "node";
  /** What the options call it. */
  readonly name: string;
  /** What the tables call it. */
  readonly title: string;
  /** Its file, beside this one. */
  readonly file: string;
}

/** All of them. */
export const PEERS: readonly Peer[] = [
  { runtime: "bun", name: "bun-listen", title: "Bun.listen", file: "bun_listen.ts" },
  {
    runtime: "deno",
    name: "deno-listen",
    title: "Deno.listen, read/write",
    file: "deno_listen.ts",
  },
  { runtime: "deno", name: "deno-streams", title: "Deno.listen, streams", file: "deno_streams.ts" },
  { runtime: "bun", name: "bun-net", title: "node:net in Bun", file: "node_net.mjs" },
  { runtime: "deno", name: "deno-net", title: "node:net in Deno", file: "node_net.mjs" },
  { runtime: "node", name: "node-net", title: "node:net in Node", file: "node_net.mjs" },
];
