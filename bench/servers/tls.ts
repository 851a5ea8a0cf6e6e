/**
 * netpoll's echo over TLS, as the benches run it: `tls.ts KEY CERTIFICATE`.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { createListener, EventLoop } from "../../mod.ts";
import "../peers/late_timers.mjs";

const [key, certificate] = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const listener = createListener("tcp", "127.0.0.1:0", {
  tls: { key: key!, certificate: certificate! },
});
const loop = new EventLoop(({ reader, writer }) => {
  writer.writeBinary(reader.next(reader.length));
  writer.flush();
  reader.release();
});
void loop.serve(listener);
if (listener.address.transport === "tcp") console.log(`listening ${listener.address.port}`);
