/**
 * A Worker of a cluster has channels and a log of its own; the thread that accepts hears of none of
 * its connections.
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { Cluster, type ConnectionMessage, createListener, dial } from "../../mod.ts";
import { Listening } from "../support/heard.ts";
import type { Heard } from "../support/sight_handler.ts";
import { soon } from "../support/until.ts";

async function ask(at: ReturnType<typeof createListener>): Promise<Heard> {
  const client = await dial(at.address);
  client.writer.writeString("?");
  await client.writer.flush();
  const end = await soon(client.reader.waitUntil("\n"));
  const heard = JSON.parse(client.reader.readString(end)) as Heard;
  await client.close();
  return heard;
}

test("the channels and the log of a Worker have its connections, by ids that no other thread has", async () => {
  using listening = new Listening<ConnectionMessage & { isDialled?: boolean }>(
    "connection:open",
    "connection:close",
  );
  const cluster = new Cluster(new URL("../support/sight_handler.ts", import.meta.url), {
    pollerCount: 2,
  });
  const listener = createListener("tcp", "127.0.0.1:0");
  const served = cluster.serve(listener);
  const all: Heard[] = [];
  for (let n = 0; n < 6; n++) all.push(await ask(listener));
  await soon(cluster.shutdown({ timeoutMs: 1000 }));
  await soon(served);
  const ids = all.map(({ id }) => id);
  assertEquals(new Set(ids).size, 6, ids.join(" "));
  const threads = new Set(ids.map((id) => id.split("-")[0]));
  assertEquals([threads.size, threads.has("0")], [2, false], ids.join(" "));
  for (const { id, news, lines } of all) {
    const [thread] = id.split("-");
    assert(news.every(([, other]) => other.startsWith(`${thread}-`)), JSON.stringify(news));
    assertEquals(
      news.filter(([channel, of]) => channel === "connection:open" && of === id).length,
      1,
    );
    const opened = lines.filter((line) => line.includes(`connection ${id} open, accepted: `));
    assertEquals(opened.length, 1, lines.join("\n"));
    assert(lines.every((line) => line.startsWith("info netpoll: ")), lines.join("\n"));
  }
  // Here are those that were dialled alone.
  const here = listening.heard.filter(({ channel }) => channel === "connection:open");
  assertEquals(here.map(({ message }) => message.isDialled), new Array(6).fill(true));
  assert(here.every(({ message }) => !message.id.includes("-")));
});
