import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  Cluster,
  type ClusterOptions,
  createListener,
  dial,
  type ListenerOptions,
  TlsError,
} from "../../mod.ts";
import { TestCluster } from "../support/cluster.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, identity, serverIdentity, tlsTest } from "../support/pki.ts";

const MODES: readonly [ClusterOptions["acceptMode"] & string, ListenerOptions][] = [
  ["handover", {}],
  ["reuseport", { reusePort: true }],
];

/** Runs a Worker: what a runtime opens for its first one, it keeps. */
async function warmUp(): Promise<void> {
  await using test = new TestCluster();
  assertEquals((await test.askMany(1)).length, 1);
}

for (const [acceptMode, more] of MODES) {
  tlsTest(
    `a cluster serves TLS, goes on with sessions of other Workers, and reloads: ${acceptMode}`,
    async () => {
      await warmUp();
      await leaks(async () => {
        await using server = new TestCluster({ acceptMode }, { ...more, tls: serverIdentity() });
        const { address } = server.listener;
        const at = `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`;
        const tls = { authorities: authority().certificate };
        const ask = async () => {
          const client = await dial("tcp", at, { tls, timeoutMs: 20_000 });
          await send(client, "who");
          const answer = [await receive(client, 1), client.tls!.isResumed] as const;
          await client.close();
          return answer;
        };
        const answers = [];
        for (let n = 0; n < 12; n++) answers.push(await ask());
        assertEquals(answers.map(([, isResumed]) => isResumed), [false, ...Array(11).fill(true)]);
        const elsewhere = identity("elsewhere", { names: "DNS:elsewhere.example.org" });
        server.listener.reloadTls({ certificate: elsewhere.certificate, key: elsewhere.key });
        // Another object of options: a session would not ask for the certificate again.
        const strict = { authorities: authority().certificate };
        const error = await dial("tcp", at, { tls: strict, timeoutMs: 20_000 }).catch((error) =>
          error
        );
        assertInstanceOf(error, TlsError);
        assertEquals(error.reason, "hostname");
      });
    },
  );
}

tlsTest("a cluster refuses chooseIdentity: a Worker cannot call it", () =>
  leaks(async () => {
    const tls = { ...serverIdentity(), chooseIdentity: () => null };
    const listener = createListener("tcp", "127.0.0.1:0", { tls });
    const handler = new URL("../support/cluster_handler.ts", import.meta.url);
    const cluster = new Cluster(handler, { pollerCount: 1 });
    await assertRejects(() => cluster.serve(listener), TypeError, "chooseIdentity");
    listener.close();
    await cluster.shutdown();
  }));
