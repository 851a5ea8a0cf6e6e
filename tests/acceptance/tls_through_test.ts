/**
 * A proxy of ours that ends TLS on both of its sides, between a client and a server in Go.
 */
import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { startServer } from "../../bench/harness/child.ts";
import { dial, pipe } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { pemFolder, shown } from "../support/outside.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { serveSecure } from "../support/secure.ts";
import { commandOf, GO, runPeer, strictTls } from "../support/tls_peers.ts";
import { lacks, TOOL_MS_MAX } from "../support/tool.ts";

for (const version of ["TLSv1.2", "TLSv1.3"]) {
  test(`pipe() passes ${version} of Go on to TLS of Go, and each end as an end`, {
    skip: NO_TLS || lacks(GO.tool),
  }, () =>
    leaks(async () => {
      const [program, ...more] = await commandOf(GO);
      const argv = [program, ...more, GO.server, pemFolder()];
      const upstream = await startServer({ argv, cwd: root, timeoutMs: TOOL_MS_MAX });
      try {
        const tls = { authorities: authority().certificate, ...shown(identity("client")) };
        const errors: unknown[] = [];
        await using proxy = serveSecure(null, strictTls(), {
          onConnect: async (client) => {
            const server = await dial("tcp", `localhost:${upstream.port}`, { tls });
            await pipe(client, server);
            return undefined;
          },
          onError: (error) => errors.push(error),
        });
        const args = [GO.client, `${proxy.port}`, pemFolder(), version, "12000007"];
        const { equal, clean } = JSON.parse(await runPeer(GO, ...args));
        assertEquals([equal, clean, errors], [3, 3, []]);
        for (let n = 0; n < 3; n++) assertEquals(await upstream.line(), "clean client");
      } finally {
        await upstream.stop();
      }
    }));
}
