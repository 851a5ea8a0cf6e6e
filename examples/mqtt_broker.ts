// deno run --allow-ffi --allow-net examples/mqtt_broker.ts   or   bun examples/mqtt_broker.ts

/**
 * A broker for MQTT 3.1.1, at localhost:1883 or the address given: QoS 0 to 2, retained messages,
 * wills, wildcards, sessions that wait for their clients. Everybody may do everything, so it listens
 * on this machine alone unless told otherwise. Packets, topics and sessions are in examples/mqtt/;
 * here is how clients come and go.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { type Connection, EventLoop, FrameError, shutdownOnSignals } from "../mod.ts";
import { listen, placeOf, readArguments } from "./command_line.ts";
import { Broker, type Member } from "./mqtt/broker.ts";
import { type ClientPacket, type Connect, type Message, packets } from "./mqtt/packet.ts";
import type { Session } from "./mqtt/session.ts";

const USAGE = "Usage: mqtt_broker.ts [HOST:PORT]\n";
const LEVEL = 4;
/** The answers to a first packet (section 3.2.2.3). */
const Code = { WELCOME: 0, WRONG_VERSION: 1, WRONG_ID: 2 } as const;
/** The refusal of MQTT 5, in its own words: "unsupported protocol version". */
const REFUSAL_OF_5 = Uint8Array.of(0x20, 3, 0, 0x84, 0);
/** The time for the first packet. */
const CONNECT_MS_MAX = 10_000;
/** Others have their turn after so many packets of one client. */
const PACKETS_PER_TURN_MAX = 64;

const broker = new Broker();
/** Clients that were sent something: they are flushed when all that has come is answered. */
const unflushed = new Set<Client>();

/** A connection of a client. */
class Client implements Member {
  readonly connection: Connection;
  session: Session | null = null;
  isClosing = false;
  #will: Message | null = null;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  get writer() {
    return this.connection.writer;
  }

  onWritten(): void {
    unflushed.add(this);
  }

  onReplaced(): void {
    this.onClosed();
    this.connection.reset();
  }

  /** A client that was lost has its last word. */
  onClosed(): void {
    const { session } = this;
    if (session === null) return;
    this.session = null;
    broker.leave(session.clientId, this);
    if (this.#will !== null) broker.publish(this.#will);
    flushAll();
  }

  answer(packet: ClientPacket): void {
    if (packet.type === "connect") return this.#connect(packet);
    const { session } = this;
    if (session === null) throw new FrameError("malformed", 0, "The first packet is no CONNECT");
    switch (packet.type) {
      case "publish":
        return broker.receive(session, packet);
      case "pubrel":
        return session.onReleased(packet.id);
      case "puback":
      case "pubrec":
      case "pubcomp":
        return session.onAcknowledged(packet.type, packet.id);
      case "subscribe": {
        const codes = broker.subscribe(session, packet.filters);
        session.send({ type: "suback", id: packet.id, codes });
        for (const [i, [filter, qos]] of packet.filters.entries()) {
          if (codes[i] === qos) broker.sendRetained(session, filter, qos);
        }
        return;
      }
      case "unsubscribe":
        broker.unsubscribe(session, packet.filters);
        return session.send({ type: "unsuback", id: packet.id });
      case "pingreq":
        return session.send({ type: "pingresp" });
      case "disconnect":
        this.#will = null;
        this.isClosing = true;
        return this.onClosed();
    }
  }

  #connect({ level, clientId, isClean, keepAliveSeconds, will }: Connect): void {
    if (this.session !== null) throw new FrameError("malformed", 0, "There is a second CONNECT");
    if (level !== LEVEL) return this.#refuse(level, Code.WRONG_VERSION);
    if (clientId === "" && !isClean) return this.#refuse(level, Code.WRONG_ID);
    this.connection.idleTimeoutMs = 0;
    this.connection.readTimeoutMs = 1500 * keepAliveSeconds; // section 3.1.2.10
    this.#will = will;
    const { session, isOld } = broker.enter(clientId || randomUUID(), isClean, this);
    this.session = session;
    packets.encode(this.writer, { type: "connack", hasSession: isOld, code: Code.WELCOME });
    session.resume(this);
  }

  #refuse(level: number, code: number): void {
    if (level === 5) this.writer.writeBinary(REFUSAL_OF_5);
    else packets.encode(this.writer, { type: "connack", hasSession: false, code });
    this.isClosing = true;
  }
}

function flushAll(): void {
  for (const { connection } of unflushed) if (connection.isActive) void connection.writer.flush();
  unflushed.clear();
}

/** Answers what has come, and waits for more: for no longer than the client said it would be silent. */
function onRequest(connection: Connection, client: Client): void | Promise<void> {
  const { reader, writer } = connection;
  let packet: ClientPacket | undefined;
  let count = 0;
  try {
    do {
      packet = packets.decode(reader);
      if (packet !== undefined) client.answer(packet);
    } while (packet !== undefined && ++count < PACKETS_PER_TURN_MAX && !client.isClosing);
  } finally {
    flushAll();
  }
  void writer.flush();
  if (client.isClosing) return void connection.close();
  reader.release();
  // A client that does not read is heard again when it does, if that is soon.
  if (!writer.isWritable) return writer.flush();
  if (packet === undefined) return reader.wait(packets.needed!(reader));
}

const loop = new EventLoop<Client>(onRequest, {
  onPrepare(connection) {
    const client = new Client(connection);
    connection.addCloseCallback(() => client.onClosed());
    return client;
  },
  connectionsMax: 10_000,
  writeBufferBytesMax: 1 << 20,
  readTimeoutMs: CONNECT_MS_MAX,
  idleTimeoutMs: CONNECT_MS_MAX,
  writeTimeoutMs: 30_000,
  limits: { memoryBytesMax: 256 << 20 }, // of all connections together; sessions have their own
  onError: (error) => console.error(`A client was cut off: ${(error as Error).message}`),
});
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

const { at } = readArguments(USAGE, 1883, {});
const listener = listen(at);
const { host, port, at: place } = placeOf(listener);
console.log(`Listening on ${place}; Ctrl-C stops it`);
const to = `-h ${host} -p ${port} -t hello/world`;
console.log(`Try: mosquitto_sub ${to} -v   mosquitto_pub ${to} -m hello`);
await loop.serve(listener);
console.log("Stopped");
