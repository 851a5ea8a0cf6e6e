/**
 * A program: writes to many peers, and prints of how many addresses the sandbox was asked.
 */
const hosts = new Set<string>();
const query = Deno.permissions.querySync.bind(Deno.permissions);
Deno.permissions.querySync = (descriptor) => {
  if (descriptor.name === "net" && descriptor.host !== undefined) hosts.add(descriptor.host);
  return query(descriptor);
};

const { createDatagramSocket, packPeer } = await import("../../mod.ts");
const socket = createDatagramSocket("udp4", "127.0.0.1:0");
for (let port = 1; port <= 1000; port++) {
  try {
    socket.writeTo(packPeer({ transport: "udp", hostname: "127.0.0.2", port }), new Uint8Array(0));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
  }
}
await socket.close({ timeoutMs: 0 });
console.log(`asked of ${hosts.size}`);
