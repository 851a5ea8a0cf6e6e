/**
 * examples/command_line.ts, as the servers use it.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { createServer } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { run, start } from "../support/child.ts";

const SERVERS = ["ingest", "memcached_server", "mqtt_broker", "socks5_proxy", "websocket_server"];

for (const name of SERVERS) {
  const file = `examples/${name}.ts`;

  test(`${name} says in one line that its port is in use, and what it does not understand`, async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    try {
      const inUse = await run(file, { args: ["--host", "127.0.0.1", "--port", `${port}`] });
      assertEquals([inUse.code, inUse.stdout], [1, ""]);
      assertMatch(
        inUse.stderr,
        /^Cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE\); another program .*\n$/,
      );
    } finally {
      taken.close();
    }
    for (const args of [["--nonsense"], ["localhost:99999"], ["--port", "http"], ["a:1", "b:2"]]) {
      const { code, stdout, stderr } = await run(file, { args });
      assertEquals([code, stdout], [2, ""], args.join(" "));
      assertMatch(stderr, /^.+\n$/);
    }
    const help = await run(file, { args: ["--help"] });
    assertEquals([help.code, help.stderr], [0, ""]);
    assertMatch(help.stdout, new RegExp(`^Usage: ${name}.ts [^]*--host HOST [^]*--port PORT`));
  });

  test(`${name} listens on this machine alone, says how to try it, and ends in order`, async () => {
    const server = start(file, { args: ["--port", "0"] });
    try {
      await server.find(/^Listening on (127\.0\.0\.1|\[::1\]):\d+; Ctrl-C .*\nTry: .+\n/);
    } finally {
      await server.stop("SIGINT");
    }
    const { code, stdout, stderr } = await server.ended;
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /\nStopped\n$/);
  });
}
