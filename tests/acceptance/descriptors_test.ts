/**
 * Descriptors from and to programs of others: systemd, netcat, Python, Go.
 */
import { assertEquals } from "@std/assert";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  closeDescriptor,
  Connection,
  createDatagramSocket,
  createListener,
  dialDatagram,
  EventLoop,
  receiveDescriptors,
  sendDescriptors,
  socketPair,
} from "../../mod.ts";
import { commandFor } from "../support/child.ts";
import { bytes, texts } from "../support/datagrams.ts";
import { root, withDirectory } from "../support/library.ts";
import { receive, send } from "../support/pair.ts";
import { lacks } from "../support/tool.ts";
import { until } from "../support/until.ts";

const PYTHON = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("\\0" + sys.argv[1])
data, fds, flags, _ = socket.recv_fds(s, 100, 10)
assert data == b"from netpoll" and len(fds) == 2, (data, fds)
for fd in fds:
    with socket.socket(fileno=fd) as mine: mine.sendall(b"python was here")
made, other = socket.socketpair()
s.sendall(b"before ")
socket.send_fds(s, [b"with "], [other.fileno(), 1])
s.sendall(b"after")
other.close()
print(made.recv(100).decode(), flush=True)
`;

const GO = `
package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: "@" + os.Args[1], Net: "unix"})
	must(err)
	data, oob := make([]byte, 100), make([]byte, 1000)
	n, oobn, _, _, err := c.ReadMsgUnix(data, oob)
	must(err)
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	must(err)
	fds, err := syscall.ParseUnixRights(&messages[0])
	must(err)
	if string(data[:n]) != "from netpoll" || len(fds) != 2 {
		panic(fmt.Sprint(string(data[:n]), fds))
	}
	for _, fd := range fds {
		_, err = syscall.Write(fd, []byte("python was here"))
		must(err)
		must(syscall.Close(fd))
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(err)
	_, err = c.Write([]byte("before "))
	must(err)
	_, _, err = c.WriteMsgUnix([]byte("with "), syscall.UnixRights(pair[1], 1), nil)
	must(err)
	_, err = c.Write([]byte("after"))
	must(err)
	must(syscall.Close(pair[1]))
	n, err = syscall.Read(pair[0], data)
	must(err)
	fmt.Println(string(data[:n]))
}
`;

/** Exchanges descriptors with a program that dials an abstract name, both ways. */
async function exchange(argv: (name: string) => string[]): Promise<void> {
  const name = `netpoll-exchange-${process.pid}`;
  const done = Promise.withResolvers<void>();
  const loop = new EventLoop(null, {
    onConnect: async (peer) => {
      const [a, b] = [pairOf(), pairOf()];
      await sendDescriptors(peer, [a.given, b.given], new TextEncoder().encode("from netpoll"));
      for (const { given, kept } of [a, b]) {
        closeDescriptor(given);
        assertEquals(await receive(kept, 15), "python was here");
        await kept.close();
      }
      const fds = await receiveDescriptors(peer);
      assertEquals(fds.length, 2);
      assertEquals(await receive(peer, 17), "before with after");
      closeDescriptor(fds[1]!);
      const theirs = Connection.fromFd(fds[0]!);
      await send(theirs, "netpoll too");
      await theirs.close();
      done.resolve();
    },
    onError: (error) => done.reject(error),
  });
  const served = loop.serve(createListener("unix", `@${name}`));
  const [program, ...args] = argv(name);
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (chunk) => out += chunk);
  const [code] = await once(child, "close");
  assertEquals([code, out.trim()], [0, "netpoll too"]);
  await done.promise;
  await loop.shutdown({ timeoutMs: 1000 });
  await served;
}

/** Two ends, one of which is given away. */
function pairOf(): { given: number; kept: Connection } {
  const [one, kept] = socketPair();
  return { given: one.detach(), kept };
}

test(
  "Python's send_fds and recv_fds",
  { skip: lacks("python3") },
  () => exchange((name) => ["python3", "-c", PYTHON, name]),
);

test("Go's UnixRights", { skip: lacks("go") }, () =>
  withDirectory(async (directory) => {
    const source = join(directory, "peer.go");
    writeFileSync(source, GO);
    const built = spawnSync("go", ["build", "-o", join(directory, "peer"), source], {
      encoding: "utf8",
    });
    assertEquals(built.status, 0, built.stderr);
    await exchange((name) => [join(directory, "peer"), name]);
  }));

test(
  "netcat passes its connected socket on (nc -F)",
  { skip: lacks("nc", "python3") },
  async () => {
    const echo = new EventLoop(({ reader, writer }) => {
      writer.writeString(reader.readString(reader.length).toUpperCase());
      void writer.flush();
    });
    const listener = createListener("tcp", "127.0.0.1:0");
    const served = echo.serve(listener);
    const { address } = listener;
    const port = address.transport === "tcp" ? address.port : 0;
    // It is what ssh does with it: standard output is a Unix socket, and the socket goes through it.
    const [program, args] = commandFor(`${root}tests/support/netcat_proxy.ts`, {
      args: [`${port}`],
    });
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], cwd: root });
    let out = "";
    child.stdout.on("data", (chunk) => out += chunk);
    const [code] = await once(child, "close");
    assertEquals([code, out.trim()], [0, "HELLO THROUGH NETCAT"]);
    await echo.shutdown();
    await served;
  },
);

/** Starts systemd-socket-activate, which listens at an address when this returns. */
async function activate(argv: readonly string[], address: string) {
  const child = spawn("systemd-socket-activate", argv, {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: root,
  });
  const told = { out: "", noise: "" };
  child.stdout.on("data", (chunk) => told.out += chunk);
  child.stderr.on("data", (chunk) => told.noise += chunk);
  await until(() => told.noise.includes(`Listening on ${address}`), "it listens");
  return { child, told };
}

test("systemd-socket-activate starts a server with its sockets, by name", {
  skip: lacks("systemd-socket-activate"),
}, () =>
  withDirectory(async (directory) => {
    const path = join(directory, "socket");
    const [program, args] = commandFor(`${root}tests/support/systemd_listen.ts`);
    const second = join(directory, "second");
    const argv = ["-l", path, "-l", second, "--fdname=web:admin", program, ...args];
    const { child, told } = await activate(argv, second);
    const first = connect(path); // the first that connects starts it
    first.on("error", () => {});
    const [code] = await once(child, "close");
    first.destroy();
    assertEquals([code, told.out.trim().split("\n")], [0, [
      "again 0, false",
      "web 3 unix HELLO",
      "admin 4 unix HELLO",
    ]], told.noise);
  }));

test("systemd-socket-activate starts a server of datagrams, which answers the first one, too", {
  skip: lacks("systemd-socket-activate"),
}, async () => {
  const free = createDatagramSocket("udp4", "0.0.0.0:0");
  const { port } = free.localAddress;
  await free.close();
  const [program, args] = commandFor(`${root}tests/support/systemd_datagrams.ts`);
  const argv = ["-d", "-l", `0.0.0.0:${port}`, "--fdname=dns", program, ...args];
  const { child, told } = await activate(argv, `0.0.0.0:${port}`);
  // Connected to an address that is not the first of the machine: it hears no other.
  const at = `127.0.0.9:${port}`;
  await using client = await dialDatagram("udp4", at, { readTimeoutMs: 15_000 });
  for (const question of ["starts it", "finds it"]) {
    client.write(bytes(question));
    await client.flush();
    assertEquals(await texts(client, 1), [question], told.noise);
  }
  if (child.exitCode === null) await once(child, "close");
  assertEquals([child.exitCode, told.out], [0, "dns 3 a datagram socket\n"], told.noise);
});

const INETD = `
import os, socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(5)
os.dup2(s.fileno(), 0, inheritable=True)
os.execvp(sys.argv[1], sys.argv[1:])
`;

test("a server that finds its listener at descriptor 0 leaves it open", {
  skip: lacks("python3"),
}, async () => {
  const [program, args] = commandFor(`${root}tests/support/listen_at_standard.ts`);
  const child = spawn("python3", ["-c", INETD, program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    cwd: root,
  });
  let out = "";
  child.stdout.on("data", (chunk) => out += chunk);
  const [code] = await once(child, "close");
  assertEquals([code, out.trim()], [0, "HELLO, 0 is open"]);
});
