import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { dial } from "../../mod.ts";
import { getOption, Option } from "../../src/net/socket.ts";
import { serveHandler } from "../support/echo_server.ts";
import { leaks } from "../support/leaks.ts";

test("EventLoop gives its connections noDelay and keepAlive, whatever the listener had", () =>
  leaks(async () => {
    const seen: Record<string, number> = {};
    await using server = serveHandler(null, {
      noDelay: false,
      keepAlive: { idleMs: 61_000, count: 5 },
      onConnect({ fd }) {
        seen["noDelay"] = getOption(fd, Option.NO_DELAY);
        seen["keepAlive"] = getOption(fd, Option.KEEP_ALIVE);
        seen["idle"] = getOption(fd, Option.KEEP_IDLE);
        seen["count"] = getOption(fd, Option.KEEP_COUNT);
      },
    });
    const peer = await dial("tcp", server.at);
    await peer.closeWrite();
    await peer.reader.wait(1).catch(() => {});
    assertEquals(seen, { noDelay: 0, keepAlive: 1, idle: 61, count: 5 });
    await peer.close();
  }));
