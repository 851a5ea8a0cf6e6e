/**
 * Lets netcat connect, takes the socket over from it, and speaks through it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { Connection, createListener, EventLoop, receiveDescriptors } from "../../mod.ts";
import { receive, send } from "./pair.ts";

// Python stands for ssh: it starts netcat with a Unix socket as its standard output.
const START = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("\\0" + sys.argv[1])
os.dup2(s.fileno(), 1, inheritable=True)
os.execvp("nc", ["nc", "-F", "127.0.0.1", sys.argv[2]])
`;
const name = `netpoll-netcat-${process.pid}`;
const came = Promise.withResolvers<number>();
const loop = new EventLoop(null, {
  onConnect: async (peer) => came.resolve((await receiveDescriptors(peer))[0]!) as undefined,
});
const served = loop.serve(createListener("unix", `@${name}`));
const child = spawn("python3", ["-c", START, name, process.argv[2]!], { stdio: "inherit" });
const over = once(child, "close");
const through = Connection.fromFd(await came.promise);
await over;
await send(through, "hello through netcat");
console.log(await receive(through, 20));
await through.close();
await loop.shutdown({ timeoutMs: 1000 });
await served;
