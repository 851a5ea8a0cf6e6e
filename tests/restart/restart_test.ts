import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { buildChurn, NativeLoad } from "./native_load.ts";
import { type Connection, createListener, EventLoop, type TcpAddress } from "../../mod.ts";
import { until } from "../support/until.ts";
import type { Counts } from "./load.ts";
import { restarts, SERVERS } from "./restarts.ts";

const failure = buildChurn();
const NOTHING = { refused: 0, reset: 0, lost: 0 };

for (const [file, ...args] of SERVERS) {
  const name = [file, ...args].join(" ");
  test(`${name} is restarted three times under load, and nothing is refused, reset or lost`, async () => {
    const outcome = await restarts({ file, args, times: 3, shortCount: 8, keptCount: 40 });
    const { refused, reset, lost, told, requests } = outcome.counts;
    assertEquals([{ refused, reset, lost }, outcome.errors], [NOTHING, []]);
    assertEquals(outcome.statuses, [0, 0, 0]);
    assertEquals(outcome.servers, 4);
    assert(told >= 3 * 40 && requests > 3 * 40, `${told} told, ${requests} requests`);
  });
}

test("the load of bench/native/churn.c finds nothing refused, reset or lost either", {
  skip: failure ?? false,
}, async () => {
  const plan = { file: "examples/hot_restart.ts", times: 2, shortCount: 16, keptCount: 100 };
  const { counts, servers, errors } = await restarts({ ...plan, isNative: true });
  const { refused, reset, lost, told, connections } = counts;
  assertEquals([{ refused, reset, lost }, servers, errors], [NOTHING, 3, []]);
  assert(told > 0 && connections > 100, `${told} told, ${connections} connections`);
});

test(
  "the load of bench/native/churn.c counts what is refused, reset or lost, so that the tests can fail",
  { skip: failure ?? false },
  async () => {
    const ways: [keyof Counts, (connection: Connection) => void][] = [
      ["reset", (connection) => connection.reset()],
      ["lost", (connection) => void connection.close()],
      ["lost", ({ writer }) => {
        writer.writeString("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n12\n!");
        void writer.flush();
      }],
    ];
    for (const [way, answer] of ways) {
      const loop = new EventLoop((connection) => {
        connection.reader.skip(connection.reader.length);
        answer(connection);
      });
      const listener = createListener("tcp", "127.0.0.1:0");
      const served = loop.serve(listener);
      const load = new NativeLoad((listener.address as TcpAddress).port, {
        shortCount: 2,
        keptCount: 1,
      });
      await until(() => loop.metrics().accepted > 20, "some have come");
      await loop.shutdown({ timeoutMs: 1000 });
      await served;
      const counts = await load.stop();
      assert(counts[way] > 0, `${way}: ${JSON.stringify(counts)}`);
      assertEquals(counts.requests, 0);
    }
  },
);
