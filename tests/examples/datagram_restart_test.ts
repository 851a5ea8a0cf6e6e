import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type DatagramSocket, dial, dialDatagram } from "../../mod.ts";
import { type Program, start } from "../support/child.ts";
import { root, withDirectory } from "../support/library.ts";

const FILE = "examples/datagram_restart.ts";
/** The permissions that its first line gives it under Deno. */
const permissions = readFileSync(root + FILE, "utf8").split("\n", 1)[0]!.match(/--allow-[a-z]+/g)!;
const CLIENTS = 8;
/** Questions of a client that wait for their answers: the kernel has room for those of all. */
const WINDOW = 4;
const RESTARTS = 2;
const BYTES = 200;

/** A client that asks until a process has answered that it is told. */
class Client {
  /** The processes that have answered. */
  readonly pids = new Set<number>();
  /** Resolves at the first answer. */
  readonly begun = Promise.withResolvers<void>();
  /** The process whose answer ends it. */
  last = 0;
  readonly #socket: DatagramSocket;
  readonly #waiting = new Map<number, string>();
  #asked = 0;

  constructor(socket: DatagramSocket) {
    this.#socket = socket;
  }

  #ask(): void {
    const question = `${this.#asked} `.padEnd(BYTES, String(this.#asked));
    this.#waiting.set(this.#asked++, question);
    this.#socket.write(new TextEncoder().encode(question));
  }

  /** Asks and compares each byte; an answer that is lost ends in a TimeoutError. */
  async run(): Promise<void> {
    for (let n = 0; n < WINDOW; n++) this.#ask();
    while (this.#waiting.size > 0) {
      await this.#socket.flush();
      await this.#socket.wait();
      for (const { bytes } of this.#socket.datagrams) {
        const [, pid, rest, number] = /^(\d+) ((\d+) .*)$/.exec(new TextDecoder().decode(bytes))!;
        assertEquals(rest, this.#waiting.get(Number(number)), "no answer comes twice, or changed");
        this.#waiting.delete(Number(number));
        this.pids.add(Number(pid));
        this.begun.resolve();
        if (!this.pids.has(this.last)) this.#ask();
      }
    }
    await this.#socket.close();
  }
}

test("datagram_restart answers each datagram once, by the old process or by the new one", () =>
  withDirectory(async (directory) => {
    const args = ["127.0.0.1:0", "--meet", join(directory, "meeting")];
    const servers: Program[] = [];
    const begin = async (): Promise<[pid: number, port: number]> => {
      const server = start(FILE, { args, permissions });
      servers.push(server);
      const [, port, pid] = await server.find(/Listening on .*:(\d+) in process (\d+)/);
      return [Number(pid), Number(port)];
    };
    const [first, port] = await begin();
    const pids = [first];
    const clients: Client[] = [];
    for (let n = 0; n < CLIENTS; n++) {
      const at = `127.0.0.1:${port}`;
      clients.push(new Client(await dialDatagram("udp", at, { readTimeoutMs: 15_000 })));
    }
    const runs = Promise.all(clients.map((client) => client.run()));
    const restart = async () => {
      await Promise.all(clients.map(({ begun }) => begun.promise));
      for (let n = 0; n < RESTARTS; n++) {
        const [pid, same] = await begin();
        assertEquals(same, port);
        pids.push(pid);
        // The old one ends by itself, in order.
        const { code, signal, stderr } = await servers[n]!.ended;
        assertEquals([code, signal], [0, null], stderr);
      }
      for (const client of clients) client.last = pids.at(-1)!;
      await runs;
    };
    try {
      await Promise.race([restart(), runs]);
      for (const { pids: seen } of clients) {
        assertEquals([...seen].filter((pid) => !pids.includes(pid)), []);
        assertEquals([seen.has(first), seen.has(pids.at(-1)!)], [true, true]);
      }
    } finally {
      await servers.at(-1)!.stop("SIGTERM");
    }
    const { code, signal, stderr } = await servers.at(-1)!.ended;
    assertEquals([code, signal], [0, null], stderr);
  }));

test("datagram_restart goes on when the new process ends before it serves", () =>
  withDirectory(async (directory) => {
    const meeting = join(directory, "meeting");
    const server = start(FILE, { args: ["127.0.0.1:0", "--meet", meeting], permissions });
    const [, port] = await server.find(/Listening on .*:(\d+) in process/);
    await (await dial("unix", meeting)).close(); // it takes nothing, and goes
    await using client = await dialDatagram("udp", `127.0.0.1:${port}`, { readTimeoutMs: 10_000 });
    client.write(new TextEncoder().encode("still?"));
    await client.flush();
    await client.wait();
    assertEquals(client.datagrams.count, 1);
    await server.stop("SIGTERM");
    const { code, stderr } = await server.ended;
    assertEquals([code, stderr], [0, ""]);
  }));
