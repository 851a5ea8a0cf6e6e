/**
 * examples/command_line.ts, as the servers use it.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { run, start } from "../support/child.ts";

const STREAMS = ["ingest", "memcached_server", "mqtt_broker", "socks5_proxy", "websocket_server"];
const DATAGRAMS = ["dns_server", "tftp_server", "collector", "ntp_server", "connection_ids"];

/** Takes a port of 127.0.0.1, for streams or for datagrams. */
async function takePort(
  isStream: boolean,
): Promise<{ port: number } & Pick<AsyncDisposable, typeof Symbol.asyncDispose>> {
  const taken = isStream
    ? createServer().listen(0, "127.0.0.1")
    : createSocket("udp4").bind(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  return { port, [Symbol.asyncDispose]: async () => void await taken.close() };
}

for (const name of [...STREAMS, ...DATAGRAMS]) {
  const file = `examples/${name}.ts`;

  test(`${name} says in one line that its port is in use, and what it does not understand`, async () => {
    await using taken = await takePort(STREAMS.includes(name));
    const inUse = await run(file, { args: ["--host", "127.0.0.1", "--port", `${taken.port}`] });
    assertEquals([inUse.code, inUse.stdout], [1, ""]);
    assertMatch(
      inUse.stderr,
      /^Cannot (listen on|bind) 127\.0\.0\.1:\d+: .*EADDRINUSE\); another program .*\n$/,
    );
    for (
      const args of [["--nonsense"], ["localhost:99999"], ["--port", "http"], ["a:1", "b", "c"]]
    ) {
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
