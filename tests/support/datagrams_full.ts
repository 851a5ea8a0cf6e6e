/**
 * A cluster that binds datagrams while no descriptor is left for its Workers, and then some are: what
 * came meanwhile is answered, and no Worker has ended.
 */
import { native } from "../../ffi/load.ts";
import { Cluster, createDatagramSocket, dialDatagram } from "../../mod.ts";
import { bytes, texts } from "./datagrams.ts";

const POLLERS = 2;
const ended: string[] = [];
const cluster = new Cluster(new URL("./datagram_handler.ts", import.meta.url), {
  pollerCount: POLLERS,
  onWorkerError: (error) => ended.push(error.message),
});
const first = await cluster.bindDatagram("udp4", "127.0.0.1:0"); // they have begun
const free = createDatagramSocket("udp4", "127.0.0.1:0");
const at = free.localAddress;
const client = await dialDatagram(at, { readTimeoutMs: 10_000 });
await free.close();
await askEach(first);

/** Asks each poller, so that all of them serve. */
async function askEach(at: typeof first): Promise<void> {
  for (const seen = new Set<string>(); seen.size < POLLERS;) {
    await using one = await dialDatagram(at, { readTimeoutMs: 10_000 });
    one.write(bytes("who"));
    await one.flush();
    seen.add((await texts(one, 1))[0]!);
  }
}

const held: number[] = [];
for (let next = native.eventfd(); next >= 0; next = native.eventfd()) held.push(next);
for (const each of held.splice(0, POLLERS)) native.close(each); // for the group itself
await cluster.bindDatagram("udp4", at);
client.write(bytes("early"));
await client.flush();
await cluster.metrics(); // the Workers have obeyed
for (const each of held) native.close(each);
const [answer] = await texts(client, 1);
await askEach(at);
await askEach(first);
console.log(`${answer}, ended ${ended.length}`);
await client.close();
await cluster.shutdown({ timeoutMs: 1000 });
