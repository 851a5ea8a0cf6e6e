/**
 * The streams of each runtime by themselves, without a connection of ours: the facts of
 * docs/DUPLEX.md. One that fails is a fact that has changed, and the page with it.
 */
import { assert, assertEquals } from "@std/assert";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import {
  connect as connectTls,
  createServer as createTlsServer,
  type TLSSocket,
  TLSSocket as BareSocket,
} from "node:tls";
import { host } from "../../ffi/runtime.ts";
import { dial } from "../../mod.ts";
import { netEnds, tlsEnds } from "../support/duplexes.ts";
import { authority, identity, type Made, tlsTest } from "../support/pki.ts";
import { delay, soon, until } from "../support/until.ts";

const isDeno = host.name === "deno";
/** What does not come by then does not come. */
const NEVER_MS = 300;

/** Whether an event comes. */
function hears(socket: Socket, event: string): Promise<boolean> {
  return Promise.race([
    new Promise<boolean>((resolve) => socket.once(event, () => resolve(true))),
    delay(NEVER_MS).then(() => false),
  ]);
}

tlsTest(
  "node:tls: a socket that was paused when the end came tells of it, but not in Deno",
  async () => {
    const [server, client] = await tlsEnds();
    let bytes = 0;
    client.on("data", (chunk) => bytes += chunk.length);
    server.write("x");
    await until(() => bytes === 1, "the first byte");
    client.pause();
    server.end(new Uint8Array(100_000));
    await once(server, "finish");
    await delay(20);
    const ended = hears(client, "end");
    client.resume();
    assertEquals(await ended, host.pausesTls);
    assertEquals(bytes, 100_001);
    server.destroy();
    client.destroy();
  },
);

test("node:net: a write that waits survives the peer's end, but not in Deno", async () => {
  const [socket, peer] = await netEnds();
  socket.allowHalfOpen = peer.allowHalfOpen = true;
  socket.resume();
  const errors: string[] = [];
  socket.on("error", (error) => errors.push((error as { code?: string }).code ?? ""));
  let bytes = 0;
  socket.write(new Uint8Array(16 << 20));
  peer.on("data", (chunk) => bytes += chunk.length).pause();
  await delay(20);
  peer.end();
  await delay(50);
  peer.resume();
  if (isDeno) {
    await until(() => errors.length > 0, "the error");
    assertEquals(errors, ["EPIPE"]);
  } else {
    await until(() => bytes === 16 << 20, "all of it");
  }
  socket.destroy();
  peer.destroy();
});

/** Whether a server that asks for certificates lets a client talk to it. */
async function admits(form: "bare" | "emit", client: Made): Promise<boolean> {
  const { certificate: cert, key } = identity("server");
  const options = {
    ...{ cert, key, ca: authority().certificate },
    ...{ requestCert: true, rejectUnauthorized: true },
  };
  const heard = Promise.withResolvers<boolean>();
  const onSecure = (socket: TLSSocket) => {
    socket.on("data", () => heard.resolve(true)).on("error", () => heard.resolve(false));
  };
  const secure = createTlsServer(options, onSecure);
  secure.on("tlsClientError", () => heard.resolve(false));
  const server = createServer((socket) => {
    socket.on("error", () => {});
    if (form === "emit") secure.emit("connection", socket);
    else onSecure(new BareSocket(socket, { isServer: true, ...options }));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { certificate, key: clientKey } = client;
  const tls = {
    ...{ authorities: authority().certificate, serverName: "localhost" },
    ...{ certificate, key: clientKey },
  };
  const connection = await dial("tcp", `127.0.0.1:${(server.address() as AddressInfo).port}`, {
    tls,
  });
  connection.writer.writeString("hi");
  void connection.writer.flush();
  const admitted = await soon(heard.promise);
  connection.reset();
  server.close();
  return admitted;
}

tlsTest(
  "node:tls: emit() lets in who has the right certificate; a bare socket of Deno, anybody",
  async () => {
    const known = identity("client");
    const stranger = identity("stranger", { by: "itself" });
    assertEquals(await admits("emit", known), true);
    assertEquals(await admits("emit", stranger), false);
    assertEquals(await admits("bare", known), true);
    assertEquals(await admits("bare", stranger), isDeno);
  },
);

/** What a server hears when the way to it is cut. */
async function heardOf(cut: (socket: Socket) => void): Promise<string> {
  const { certificate: cert, key } = identity("server");
  const secure = createTlsServer({ cert, key });
  const relay = createServer((front) => {
    const back = connect((secure.address() as AddressInfo).port, "127.0.0.1");
    for (const each of [front, back]) each.on("error", () => {});
    front.pipe(back);
    back.pipe(front);
    accepted.then((socket) => socket.once("data", () => cut(back)));
  });
  const accepted = once(secure, "secureConnection").then(([socket]) => socket as TLSSocket);
  await Promise.all([secure, relay].map((each) => once(each.listen(0, "127.0.0.1"), "listening")));
  const client = connectTls({
    ...{ port: (relay.address() as AddressInfo).port, host: "127.0.0.1" },
    ...{ servername: "localhost", ca: authority().certificate },
  });
  client.on("error", () => {});
  await soon(once(client, "secureConnect"));
  client.write("hello");
  const socket = await soon(accepted);
  const heard = Promise.race(
    ["end", "error"].map((event) =>
      new Promise<string>((resolve) => socket.once(event, () => resolve(event)))
    ),
  );
  const event = await soon(heard);
  for (const each of [client, socket]) each.destroy();
  for (const each of [secure, relay]) each.close();
  return event;
}

tlsTest("node:tls: an end without notice is an end; so is a reset, in Deno", async () => {
  assertEquals(await heardOf((socket) => void socket.end()), "end");
  const reset = await heardOf((socket) => void socket.resetAndDestroy());
  assert(reset === (isDeno ? "end" : "error"), reset);
});
