/**
 * A program that does what its argument says, and then nothing more: does it end by itself?
 */
import process from "node:process";
import { createListener, EventLoop } from "../../mod.ts";
import { pairWith } from "./pair.ts";

const loop = new EventLoop(({ reader, writer }) => {
  writer.writeString(reader.readString(reader.length));
  void writer.flush();
  reader.release();
});

function serve(): void {
  const listener = createListener("tcp", "127.0.0.1:0");
  void loop.serve(listener);
  const { address } = listener;
  console.log(`port ${address.transport === "tcp" ? address.port : -1}`);
}

const acts: Record<string, () => unknown> = {
  nothing() {},
  listen: () => createListener("tcp", "127.0.0.1:0"),
  serve,
  "serve and shut down": () => (serve(), loop.shutdown()),
  "serve and unref": () => (serve(), loop.unref()),
  "serve, unref and ref": () => (serve(), loop.unref(), loop.ref()),
  "unref, serve and connect": async () => {
    loop.unref();
    serve();
    const [a, b] = pairWith();
    await Promise.all([a.close(), b.close()]);
  },
  "connect and close": async () => {
    const [a, b] = pairWith();
    a.writer.writeString("x");
    await a.writer.flush();
    await b.reader.wait(1);
    await Promise.all([a.close(), b.close()]);
  },
  "connect and wait": async () => {
    const [, b] = pairWith();
    console.log("port 0");
    await b.reader.wait(1);
  },
};

const act = acts[process.argv[2]!];
if (act === undefined) throw new Error("No such act");
await act();
