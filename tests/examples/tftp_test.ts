/**
 * examples/tftp_server.ts before clients that repeat themselves, strangers, and requests that make no
 * sense; tests/acceptance/tftp_test.ts has the clients of others.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { TransferError } from "../../examples/tftp/client.ts";
import { makeToWrite, openToRead } from "../../examples/tftp/files.ts";
import { FromNetwork, toNetwork } from "../../examples/tftp/netascii.ts";
import { readRequest } from "../../examples/tftp/packet.ts";
import { grant } from "../../examples/tftp/transfer.ts";
import { portOf, withExample } from "../support/example.ts";
import { withDirectory } from "../support/library.ts";

const [READ, WRITE, DATA, ACK, ERROR, OPTIONS] = [1, 2, 3, 4, 5, 6];
/** What an answer to the option "timeout" begins with, read as a number. */
const TI = 0x7469;
const UNKNOWN_PORT = 5;

function request(op: number, name: string, options: Record<string, string> = {}): Buffer {
  const words = [name, "octet", ...Object.entries(options).flat()];
  return Buffer.from(`\0${String.fromCharCode(op)}${words.map((word) => `${word}\0`).join("")}`);
}

const packet = (op: number, number: number, bytes: Uint8Array | number[] = []) =>
  Buffer.from([0, op, number >> 8, number & 0xff, ...bytes]);

/** A client of TFTP by the runtime's own sockets. */
class Client {
  readonly socket = createSocket("udp4");
  /** All that came, oldest first. */
  readonly heard: Buffer[] = [];
  #server = 0;
  #wake = () => {};

  constructor(readonly port: number) {
    // Bun tells of a transfer's port that is closed by the time that a last packet comes.
    this.socket.on("error", () => {});
    this.socket.on("message", (message, { port }) => {
      this.heard.push(message);
      this.#server = port;
      this.#wake();
    });
  }

  /** Sends to the transfer's port; a request to the server's. */
  send(bytes: Uint8Array, count = 1): void {
    for (let i = 0; i < count; i++) this.socket.send(bytes, this.transferPort, "127.0.0.1");
  }

  get transferPort(): number {
    return this.#server || this.port;
  }

  /** The first packet of those that came that is what is looked for; waits for it. */
  async find(op: number, number: number): Promise<Buffer> {
    for (;;) {
      const found = this.heard.find((each) => each.readUInt32BE() === op * 65_536 + number);
      if (found !== undefined) return found;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  countOf(op: number): number {
    return this.heard.filter((each) => each[1] === op).length;
  }
}

/** Serves a directory to a client. */
function withServer(call: (client: Client, directory: string) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    let client: Client | undefined;
    const ended = await withExample("examples/tftp_server.ts", "127.0.0.1:0", async (at) => {
      client = new Client(portOf(at));
      await call(client, directory);
    }, { args: [directory, "--write"] }).finally(() => client?.socket.close());
    assertEquals([ended.code, ended.signal], [0, null], ended.stderr);
    assert(!/\n +at /.test(ended.stderr), ended.stderr);
  });
}

const file = Buffer.from("0123456789".repeat(1000));

test("tftp_server sends no block twice for an acknowledgement that comes twice", () =>
  withServer(async (client, directory) => {
    writeFileSync(`${directory}/file`, file);
    // The server's own clock makes nothing go again for five seconds.
    client.send(request(READ, "file", { timeout: "5" }), 3);
    await client.find(OPTIONS, TI);
    client.send(packet(ACK, 0), 3);
    const blocks: Buffer[] = [];
    for (let block = 1; blocks.at(-1)?.length !== file.length % 512; block++) {
      blocks.push((await client.find(DATA, block)).subarray(4));
      client.send(packet(ACK, block), 3);
    }
    assert(file.equals(Buffer.concat(blocks)), "another byte came");
    assert(client.countOf(DATA) < 1.5 * blocks.length, `${client.countOf(DATA)} blocks`);
  }));

test("tftp_server receives a file whose blocks come twice, and acknowledges the last as often as asked", () =>
  withServer(async (client, directory) => {
    client.send(request(WRITE, "new"), 2);
    await client.find(ACK, 0);
    const count = Math.floor(file.length / 512) + 1;
    for (let block = 1; block <= count; block++) {
      client.send(packet(DATA, block, file.subarray(512 * (block - 1), 512 * block)), 2);
      await client.find(ACK, block);
    }
    assert(file.equals(readFileSync(`${directory}/new`)), "another byte came");
    client.heard.length = 0;
    client.send(packet(DATA, count, file.subarray(512 * (count - 1))));
    await client.find(ACK, count);
    assertEquals(client.countOf(ERROR), 0);
  }));

test("tftp_server tells a stranger that the port is not his, and goes on", () =>
  withServer(async (client, directory) => {
    writeFileSync(`${directory}/file`, file.subarray(0, 600));
    client.send(request(READ, "file"));
    await client.find(DATA, 1);
    const stranger = createSocket("udp4");
    const heard: Buffer[] = [];
    stranger.on("message", (message) => heard.push(message));
    stranger.send(packet(ERROR, 0, [0]), client.transferPort, "127.0.0.1"); // no answer to this
    const answered = once(stranger, "message");
    stranger.send(packet(ACK, 1), client.transferPort, "127.0.0.1");
    await answered;
    stranger.close();
    assertEquals(heard.map((each) => each[1]! * 256 + each[3]!), [ERROR * 256 + UNKNOWN_PORT]);
    assertEquals(client.countOf(DATA), 1);
    client.send(packet(ACK, 1));
    assertEquals((await client.find(DATA, 2)).length, 4 + 600 - 512);
    client.send(packet(ACK, 2));
  }));

test("tftp_server removes what has not come whole, and tells its clients when it stops", async () => {
  let path = "";
  let other: Client | undefined;
  await withServer(async (client, directory) => {
    path = `${directory}/half`;
    client.send(request(WRITE, "half"));
    await client.find(ACK, 0);
    client.send(packet(DATA, 1, file.subarray(0, 512)));
    await client.find(ACK, 1);
    assert(existsSync(path));
    client.send(packet(ERROR, 0, [...Buffer.from("enough\0")]));
    // Another client is refused until the file is removed, and asks until then.
    const next = other = new Client(client.port);
    do {
      next.heard.length = 0;
      next.socket.send(request(WRITE, "half"), client.port, "127.0.0.1");
      await once(next.socket, "message");
    } while (next.countOf(ACK) === 0);
    next.heard.length = 0;
  });
  await other!.find(ERROR, 0);
  other!.socket.close();
  assert(!existsSync(path));
});

test("readRequest() makes a request or nothing of every prefix and every changed byte", () => {
  const good = request(READ, "name", { blksize: "1024", tsize: "0" });
  assertEquals(readRequest(good)?.options.get("blksize"), "1024");
  for (let end = 0; end < good.length; end++) {
    const cut = readRequest(good.subarray(0, end));
    assert(cut === null || cut.options.size < 2, `${end}`);
  }
  for (let at = 0; at < good.length; at++) {
    for (let byte = 0; byte < 256; byte++) {
      const changed = Buffer.from(good);
      changed[at] = byte;
      const read = readRequest(changed);
      assert(read === null || read.name !== "" && read.mode !== "");
    }
  }
  assertEquals(readRequest(request(READ, "x".repeat(600))), null);
});

test("grant() grants what makes sense, and no more", () => {
  const asked = (options: Record<string, string>, bytes: number | null = 5) =>
    Object.fromEntries(grant(readRequest(request(READ, "name", options))!, bytes));
  for (const blksize of ["7", "65465", "0x200", "abc", "-8", "8.5", ""]) {
    assertEquals(asked({ blksize }), {});
  }
  assertEquals(asked({ BLKSIZE: "8" }), { blksize: "8" });
  assertEquals(asked({ blksize: "65464", windowsize: "8" }), { blksize: "1428" });
  assertEquals(asked({ tsize: "0", timeout: "1" }), { tsize: "5", timeout: "1" });
  assertEquals(asked({ tsize: "0", timeout: "255" }, null), {});
});

test("openToRead() and makeToWrite() lead nowhere but below the directory", () =>
  withDirectory(async (outer) => {
    const directory = `${outer}/inner`;
    mkdirSync(`${directory}/sub`, { recursive: true });
    writeFileSync(`${outer}/secret`, "secret");
    writeFileSync(`${directory}/file`, "file");
    for (const [to, link] of [["../secret", "out"], ["..", "up"], ["file", "in"], ["no", "no"]]) {
      symlinkSync(to!, `${directory}/${link}`);
    }
    const codeOf = (error: unknown) => (error as { code: unknown }).code;
    const refused = async (call: Promise<unknown>) => codeOf(await call.catch((error) => error));
    for (const name of ["../secret", "out", "up/secret", "..", "sub/../../secret", ".", "sub"]) {
      assertEquals(await refused(openToRead(directory, name)), 2, name);
    }
    for (const name of ["../new", "up/new", ".."]) {
      assertEquals(await refused(makeToWrite(directory, name)), 2, name);
    }
    for (const name of ["file", "out", "no", "sub"]) {
      assertEquals(await refused(makeToWrite(directory, name)), "EEXIST", name);
    }
    await assertRejects(() => openToRead(directory, "../secret"), TransferError);
    for (const name of ["file", "/file", "in", "sub/../file"]) {
      await (await openToRead(directory, name)).close();
    }
    const { file } = await makeToWrite(directory, "sub/new");
    await file.close();
  }));

test("toNetwork() and FromNetwork bring a text back, however it is cut", () => {
  const text = Buffer.from("a\nb\r\nc\rd\n\n\r\r\n\r");
  const network = toNetwork(text);
  assertEquals(Buffer.from(network).toString(), "a\r\nb\r\0\r\nc\r\0d\r\n\r\n\r\0\r\0\r\n\r\0");
  for (let cut = 0; cut <= network.length; cut++) {
    const decoder = new FromNetwork();
    const parts = [network.subarray(0, cut), network.subarray(cut)].map((part) =>
      Buffer.from(decoder.next(part)).toString()
    );
    assertEquals([...parts, Buffer.from(decoder.end()).toString()].join(""), text.toString());
  }
  const odd = new FromNetwork();
  const parts = [odd.next(Buffer.from("a\rb\r")), odd.end()];
  assertEquals(Buffer.concat(parts).toString(), "a\rb\r");
});
