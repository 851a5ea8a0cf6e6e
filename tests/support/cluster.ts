/**
 * A cluster of the handler module for tests, on a port of its own.
 */
import {
  Cluster,
  type ClusterOptions,
  createListener,
  type Listener,
  type ListenerOptions,
} from "../../mod.ts";
import { RawPeer } from "./raw_peer.ts";
import { soon } from "./until.ts";

/** A cluster that serves. */
export class TestCluster {
  readonly cluster: Cluster;
  readonly listener: Listener;
  readonly served: Promise<void>;
  /** Errors that Workers ended with. */
  readonly errors: string[] = [];

  constructor(options: ClusterOptions = {}, listenerOptions: ListenerOptions = {}) {
    this.cluster = new Cluster(new URL("./cluster_handler.ts", import.meta.url), {
      pollerCount: 2,
      onWorkerError: (error) => this.errors.push(error.message),
      ...options,
    });
    this.listener = createListener("tcp", "127.0.0.1:0", listenerOptions);
    this.served = this.cluster.serve(this.listener);
  }

  /** A connection. */
  connect(from?: string): RawPeer {
    return new RawPeer(this.listener, from);
  }

  /** A connection, and the index of the poller that serves it. */
  async connectAndAsk(from?: string): Promise<[RawPeer, number]> {
    const peer = this.connect(from);
    peer.send("who");
    return [peer, Number(await peer.receive(1))];
  }

  /** Connects so many times at once, and tells the poller of each connection. */
  async askMany(count: number): Promise<number[]> {
    const indexes: number[] = [];
    for (let n = 0; n < count; n++) {
      const [peer, index] = await this.connectAndAsk();
      indexes.push(index);
      peer.close();
    }
    return indexes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await soon(this.cluster.shutdown({ timeoutMs: 100 }), "the cluster shuts down");
    await soon(this.served.catch(() => {}), "serve() settles");
  }
}
