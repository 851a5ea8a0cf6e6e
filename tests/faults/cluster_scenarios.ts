/**
 * What users do with several pollers, each as a function: with right bytes at its end, or a typed
 * error.
 */
import { assertEquals } from "@std/assert";
import {
  Cluster,
  type ClusterOptions,
  createListener,
  type DatagramSocket,
  dial,
  dialDatagram,
  TimeoutError,
} from "../../mod.ts";
import { bytes, texts } from "../support/datagrams.ts";
import { closing, exchange, type Note, portOf, type Scenario } from "./stage.ts";

const HANDLER = new URL("../support/cluster_handler.ts", import.meta.url);
const DATAGRAM_HANDLER = new URL("../support/datagram_handler.ts", import.meta.url);

/** A cluster of two, for as long as `use` runs. */
async function withCluster(
  note: Note,
  options: ClusterOptions,
  use: (port: number, cluster: Cluster) => Promise<void>,
): Promise<void> {
  const reusePort = options.acceptMode === "reuseport";
  const listener = createListener("tcp", "127.0.0.1:0", { reusePort });
  const port = portOf(listener);
  const cluster = new Cluster(HANDLER, { pollerCount: 2, onWorkerError: note, ...options });
  const served = cluster.serve(listener);
  served.catch(note);
  try {
    await use(port, cluster);
  } finally {
    await cluster.shutdown({ timeoutMs: 100 });
  }
  await served;
}

/** Some connections, one after the other, each of which is served by somebody. */
async function ask(note: Note, port: number): Promise<void> {
  for (let n = 0; n < 3; n++) {
    await closing(await dial("tcp", `127.0.0.1:${port}`), note, async (client) => {
      await exchange(client, 20);
      client.writer.writeString("who");
      await client.writer.flush();
      await client.reader.wait(1);
      // A handler that receives less than the whole word sends it back, as it does with all else.
      const answer = client.reader.readString(1);
      if (answer === "w") await client.reader.wait(2);
      else assertEquals(/^\d$/.test(answer), true, answer);
      client.reader.release();
    });
  }
}

function serving(options: ClusterOptions): Scenario {
  return (note) => withCluster(note, options, (port) => ask(note, port));
}

async function resize(note: Note): Promise<void> {
  await withCluster(note, {}, async (port, cluster) => {
    await ask(note, port);
    await cluster.resize(3);
    await ask(note, port);
    await cluster.resize(1);
    await ask(note, port);
  });
}

/** A group of datagram sockets; what is lost on the way is asked again. */
async function datagrams(note: Note): Promise<void> {
  const cluster = new Cluster(DATAGRAM_HANDLER, { pollerCount: 2, onWorkerError: note });
  try {
    const { port } = await cluster.bindDatagram("udp4", "127.0.0.1:0", { steerOffset: 0 });
    for (let n = 0; n < 4; n++) {
      const options = { readTimeoutMs: 200, onError: note };
      const client = await dialDatagram("udp4", `127.0.0.1:${port}`, options);
      try {
        assertEquals(await askUntil(client, bytes(`${n} who`)), `${n % 2}`);
      } finally {
        await client.close({ timeoutMs: 0 });
      }
    }
  } finally {
    await cluster.shutdown({ timeoutMs: 100 });
  }
}

async function askUntil(client: DatagramSocket, question: Uint8Array): Promise<string> {
  for (let n = 0;; n++) {
    client.write(question);
    await client.flush();
    try {
      return (await texts(client, 1))[0]!;
    } catch (error) {
      if (n === 10 || !(error instanceof TimeoutError)) throw error;
    }
  }
}

/**
 * Those that start Workers: each takes a hundred times as long as the others, and errors there may be
 * told there.
 */
export const CLUSTER_SCENARIOS: Readonly<Record<string, Scenario>> = {
  clusterHandOver: serving({}),
  clusterReusePort: serving({ acceptMode: "reuseport" }),
  clusterResize: resize,
  clusterDatagrams: datagrams,
};
