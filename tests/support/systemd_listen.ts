/**
 * Says what systemd has passed on, and answers one connection to each listener.
 */
import process from "node:process";
import { dial, EventLoop, listenersFromSystemd, notifySystemd } from "../../mod.ts";
import { receive, send } from "./pair.ts";

const passed = listenersFromSystemd({
  onOther: ({ name, fd, kind }) => console.log(`${name} ${fd} ${kind}`),
});
console.log(`again ${listenersFromSystemd().length}, ${"LISTEN_FDS" in process.env}`);
for (const { name, listener } of passed) {
  const loop = new EventLoop(({ reader, writer }) => {
    writer.writeString(reader.readString(reader.length).toUpperCase());
    void writer.flush();
  });
  void loop.serve(listener);
  const client = await dial(listener.address);
  await send(client, "hello");
  console.log(`${name} ${listener.fd} ${listener.address.transport} ${await receive(client, 5)}`);
  await client.close();
  await loop.shutdown();
}
notifySystemd("READY=1");
