/**
 * What users do with TLS, each as a function: with right bytes at its end, or a typed error.
 */
import { assertEquals } from "@std/assert";
import {
  type Connection,
  dial,
  EofError,
  pipe,
  type TlsClientOptions,
  TlsError,
  type TlsServerOptions,
} from "../../mod.ts";
import { receiveAll } from "../support/line.ts";
import { assertBytes, pattern } from "../support/pair.ts";
import { authority, identity, serverIdentity } from "../support/pki.ts";
import {
  closing,
  echo,
  exchange,
  filePath,
  MESSAGE,
  type Note,
  type Scenario,
  withClient,
  withServer,
} from "./stage.ts";

/** Bytes of three records. */
const MANY = 40_000;
const COMMAND = "STARTTLS\n";
const READY = "ready\n";

let trusting: TlsClientOptions | null = null;

/** The options of a client that trusts the server: one object, for it keeps sessions. */
function trust(): TlsClientOptions {
  return trusting ??= { authorities: authority().certificate, serverName: "localhost" };
}

async function echoes(client: Connection): Promise<void> {
  for (const count of [5, 5000, MANY]) await exchange(client, count);
}

async function tlsEcho(note: Note): Promise<void> {
  await withClient(note, echo, echoes, { tls: serverIdentity(), dial: { tls: trust() } });
}

/** Connections that go on with the session of the one before. */
async function tlsSession(note: Note): Promise<void> {
  await withServer(note, echo, async (port) => {
    for (let n = 0; n < 3; n++) {
      const client = await dial("tcp", `127.0.0.1:${port}`, { tls: trust() });
      await closing(client, note, (each) => exchange(each, MESSAGE));
    }
  }, { tls: serverIdentity() });
}

/** A name that is looked up, TLS 1.2, a protocol, and a certificate that the program chooses. */
async function tlsChosen(note: Note): Promise<void> {
  const tls: TlsServerOptions = {
    ...serverIdentity(),
    versionMax: "1.2",
    alpnProtocols: ["echo"],
    names: { "other.test": serverIdentity() },
    chooseIdentity: async () => {
      await Promise.resolve();
      return serverIdentity();
    },
  };
  const options: TlsClientOptions = { ...trust(), alpnProtocols: ["none", "echo"] };
  await withServer(note, echo, async (port) => {
    const client = await dial("tcp", `localhost:${port}`, { tls: options, timeoutMs: 5000 });
    assertEquals(client.tls?.alpnProtocol, "echo");
    await closing(client, note, (each) => exchange(each, MESSAGE));
  }, { tls });
}

/** Both sides show certificates, and look at those of each other. */
async function tlsMutual(note: Note): Promise<void> {
  const { certificate, key } = identity("client", { names: "DNS:client.test" });
  const tls: TlsServerOptions = {
    ...serverIdentity(),
    authorities: authority().certificate,
    clientCertificate: "require",
  };
  const names: (string | undefined)[] = [];
  await withClient(note, (connection) => {
    names.push(connection.tls?.peerCertificate?.names[0]);
    return echo(connection);
  }, async (client) => {
    await exchange(client, 5000);
    assertEquals(names[0], "DNS:client.test");
  }, { tls, dial: { tls: { ...trust(), certificate, key } } });
}

/** A client that does not trust the server, beside one that does. */
async function tlsRefused(note: Note): Promise<void> {
  const { certificate } = identity("stranger", { isAuthority: true });
  const tls: TlsClientOptions = { authorities: certificate };
  await withServer(note, echo, async (port) => {
    const refused = dial("tcp", `127.0.0.1:${port}`, { tls });
    const error = await refused.then(() => null, (reason) => reason);
    if (!(error instanceof TlsError) || error.reason !== "certificate") throw error;
    const client = await dial("tcp", `127.0.0.1:${port}`, { tls: trust() });
    await closing(client, note, (each) => exchange(each, MESSAGE));
  }, { tls: serverIdentity(), onHandshakeError: (error) => ignoreRefusal(error, note) });
}

/** The server hears of its refusal by an alert; a reset may be faster. */
function ignoreRefusal(error: unknown, note: Note): void {
  if (!(error instanceof TlsError)) note(error);
}

/** Each side ends by itself, behind many bytes. */
async function tlsHalfClose(note: Note): Promise<void> {
  const heard = Promise.withResolvers<Uint8Array>();
  heard.promise.catch(note);
  await withClient(note, async (connection) => {
    await connection.reader.wait(MESSAGE);
    connection.reader.skip(MESSAGE);
    connection.writer.writeBinary(pattern(MANY));
    await connection.writer.flush();
    await connection.closeWrite();
    receiveAll(connection).then(heard.resolve, heard.reject);
    await heard.promise;
  }, async (client) => {
    client.writer.writeBinary(pattern(MESSAGE));
    await client.writer.flush();
    assertBytes(await receiveAll(client), pattern(MANY));
    client.writer.writeBinary(pattern(MANY));
    await client.writer.flush();
    await client.closeWrite();
    assertBytes(await heard.promise, pattern(MANY));
  }, { tls: serverIdentity(), dial: { tls: trust() } });
}

async function answerStartTls(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  if (connection.tls !== null) return echo(connection);
  await reader.wait(COMMAND.length);
  assertEquals(reader.readString(COMMAND.length), COMMAND);
  reader.release();
  writer.writeString(READY);
  await writer.flush();
  await connection.startTls("server", serverIdentity());
}

async function startTls(note: Note): Promise<void> {
  await withClient(note, answerStartTls, async (client) => {
    const { reader, writer } = client;
    writer.writeString(COMMAND);
    await writer.flush();
    await reader.wait(READY.length);
    assertEquals(reader.readString(READY.length), READY);
    reader.release();
    await client.startTls("client", trust());
    await echoes(client);
  });
}

/** client ═ TLS ═ proxy ═ echo server. */
async function tlsProxy(note: Note): Promise<void> {
  await withServer(note, echo, async (back) => {
    await withClient(note, async (front) => {
      const target = await dial("tcp", `127.0.0.1:${back}`);
      await closing(target, note, async () => void await pipe(front, target));
    }, async (client) => {
      await exchange(client, MANY);
      await client.closeWrite();
      if ((await receiveAll(client)).length > 0) throw new EofError("Cannot go on: too much came");
    }, { tls: serverIdentity(), dial: { tls: trust() } });
  });
}

async function tlsSendFile(note: Note): Promise<void> {
  const path = filePath();
  await withClient(note, async (connection) => {
    connection.reader.skip(connection.reader.length);
    connection.reader.release();
    await connection.sendFile(path, { length: MANY });
    await connection.close();
  }, async ({ reader, writer }) => {
    writer.writeString("x");
    await writer.flush();
    await reader.wait(MANY);
    assertBytes(reader.next(MANY), pattern(MANY));
    reader.release();
  }, { tls: serverIdentity(), dial: { tls: trust() } });
}

/** Those that need OpenSSL. */
export const TLS_SCENARIOS: Readonly<Record<string, Scenario>> = {
  tlsEcho,
  tlsSession,
  tlsChosen,
  tlsMutual,
  tlsRefused,
  tlsHalfClose,
  tlsSendFile,
  tlsProxy,
  startTls,
};
