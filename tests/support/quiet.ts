/**
 * A program: uses what netpoll has, at the one port of its argument, and prints how each call ended.
 * It is run with less than it asks for, where the runtime would stop it to ask its user.
 */
import process from "node:process";
import {
  Connection,
  createListener,
  dial,
  EventLoop,
  LinkBuffer,
  metrics,
  prometheus,
  shutdownOnSignals,
  socketPair,
} from "../../mod.ts";

const port = process.argv[2];
const loop = new EventLoop(({ reader, writer }) => {
  writer.writeString(reader.readString(reader.length));
  writer.flush();
  reader.release();
});

async function echo(address: string): Promise<void> {
  const connection = await dial("tcp", address, { timeoutMs: 5000 });
  connection.writer.writeString("hello");
  await connection.writer.flush();
  await connection.reader.wait(5);
  await connection.close();
}

function buffer(): void {
  const chain = new LinkBuffer();
  chain.writeString("x".repeat(8 << 20));
  chain.flush();
  chain.close();
}

function fromFd(): void {
  const [a, b] = socketPair();
  Connection.fromFd(a.detach()).reset();
  b.reset();
}

const calls: Record<string, () => unknown> = {
  "listen at all": () => createListener("tcp", `:${port}`).close(),
  "listen by name": () => void loop.serve(createListener("tcp", `localhost:${port}`)),
  "echo by name": () => echo(`localhost:${port}`),
  "dial a number": () => dial("tcp", `127.0.0.1:${port}`),
  "dial from": () => dial("tcp", `localhost:${port}`, { localAddress: "127.0.0.1:0" }),
  "dial another": () => dial("tcp", "host.invalid:80"),
  "dial a path": () => dial("unix", "./none.sock"),
  "dial a name": () => dial("unix", "@none"),
  "listen at a path": () => createListener("unix", "./none.sock"),
  "send a file": () => socketPair()[0].sendFile("LICENSE"),
  "receive a file": () => socketPair()[0].receiveFile("/dev/shm/netpoll-quiet", 0),
  "send a special file": () => socketPair()[0].sendFile("/proc/self/environ"),
  "a large buffer": buffer,
  "a descriptor": fromFd,
  "metrics": () => prometheus(metrics()),
  "signals": () => shutdownOnSignals(loop)(),
  "shutdown": () => loop.shutdown(),
};
for (const [name, call] of Object.entries(calls)) {
  try {
    await call();
    console.log(`${name}: done`);
  } catch (error) {
    console.log(`${name}: ${(error as Error).name}`);
  }
}
process.exit(0);
