/**
 * The session of a client: all that a broker knows of it. It may outlive the connection.
 */
import { FrameError, type Writer } from "../../mod.ts";
import { type BrokerPacket, type Message, packets, type Publish, type Qos } from "./packet.ts";

/** The messages that are sent and not acknowledged, and those that wait behind them. */
const UNACKNOWLEDGED_MAX = 20;
const QUEUE_COUNT_MAX = 10_000;
/** The bytes of both, of one client and of all. */
const HELD_BYTES_MAX = 8 << 20;
const HELD_BYTES_MAX_OF_ALL = 256 << 20;
/** A message costs so much beside its payload, about. */
const MESSAGE_BYTES = 200;
/** Messages of QoS 2 that a client has sent, and whose end it has not told. */
const UNRELEASED_MAX = 1000;
const ID_MAX = 0xffff;

/** The bytes that the sessions of a broker hold together. */
export interface Held {
  bytes: number;
}

/** A message on its way to one client. */
interface Delivery {
  readonly message: Message;
  readonly qos: Qos;
  readonly retain: boolean;
}

function bytesOf({ topic, payload }: Message): number {
  return MESSAGE_BYTES + topic.length + payload.length;
}

/** The connection of a client, as far as its session is concerned. */
export interface Link {
  readonly writer: Writer;
  /** Something was written: it has to be flushed. */
  onWritten(): void;
}

/** The session of a client: what it has subscribed to, and what it has not got yet. */
export class Session {
  readonly clientId: string;
  /** The QoS of each filter. */
  readonly filters = new Map<string, Qos>();
  /** The connection; null while the client is away. */
  link: Link | null = null;
  /** Messages that were dropped, because the client does not read, or not fast enough. */
  droppedCount = 0;
  /** The numbers of messages with QoS 2 that the client has sent and not released. */
  readonly #received = new Set<number>();
  /** Messages that the client has not acknowledged; null where only their release is missing. */
  readonly #sent = new Map<number, Delivery | null>();
  readonly #queue = new Set<Delivery>();
  readonly #heldByAll: Held;
  #heldBytes = 0;
  #lastId = 0;

  /** A session without filters and messages. */
  constructor(clientId: string, heldByAll: Held) {
    this.clientId = clientId;
    this.#heldByAll = heldByAll;
  }

  /** The client is forgotten, and with it what waits for it. */
  drop(): void {
    this.#queue.clear();
    this.#sent.clear();
    this.#hold(-this.#heldBytes);
  }

  /** The client is there, again perhaps: it is sent what it has missed. */
  resume(link: Link): void {
    this.link = link;
    for (const [id, delivery] of this.#sent) {
      if (delivery === null) this.send({ type: "pubrel", id });
      else this.#publish(delivery, id, true);
    }
    this.#pump();
  }

  /** Sends a packet, unless the client is away. */
  send(packet: BrokerPacket): void {
    if (this.link === null) return;
    packets.encode(this.link.writer, packet);
    this.link.onWritten();
  }

  /** Sends a message to the client as soon as that can be; drops it where too many wait already. */
  deliver(message: Message, qos: Qos, retain: boolean): void {
    const delivery = { message, qos, retain };
    if (qos === 0) {
      if (this.#hasRoom()) this.#publish(delivery, 0, false);
      else this.droppedCount += 1;
      return;
    }
    const bytes = bytesOf(message);
    const isFull = this.#queue.size >= QUEUE_COUNT_MAX ||
      this.#heldBytes + bytes > HELD_BYTES_MAX ||
      this.#heldByAll.bytes + bytes > HELD_BYTES_MAX_OF_ALL;
    if (isFull) return void (this.droppedCount += 1);
    this.#queue.add(delivery);
    this.#hold(bytes);
    this.#pump();
  }

  /** The client has got a message. */
  onAcknowledged(type: "puback" | "pubrec" | "pubcomp", id: number): void {
    const delivery = this.#sent.get(id);
    if (type === "pubrec") {
      if (delivery?.qos === 2) {
        this.#sent.set(id, null);
        this.#hold(-bytesOf(delivery.message));
      }
      this.send({ type: "pubrel", id });
    } else if (type === "puback" ? delivery?.qos === 1 : delivery === null) {
      this.#sent.delete(id);
      if (delivery) this.#hold(-bytesOf(delivery.message));
      this.#pump();
    }
  }

  /**
   * Acknowledges a message of the client. Whether it is new.
   *
   * @throws {FrameError} The client has begun too many, and ended none.
   */
  onReceived({ qos, id }: Publish): boolean {
    if (qos === 1) this.send({ type: "puback", id });
    if (qos < 2) return true;
    const isNew = !this.#received.has(id);
    if (isNew && this.#received.size >= UNRELEASED_MAX) {
      throw new FrameError("malformed", 0, "Cannot receive more: no message of QoS 2 is released");
    }
    this.#received.add(id);
    this.send({ type: "pubrec", id });
    return isNew;
  }

  /** The client knows that a message has come, and will not send it again. */
  onReleased(id: number): void {
    this.#received.delete(id);
    this.send({ type: "pubcomp", id });
  }

  /** True when the client reads: what is sent at most once is not kept for one that does not. */
  #hasRoom(): boolean {
    const writer = this.link?.writer;
    if (writer === undefined || writer.isWritable) return writer !== undefined;
    void writer.flush();
    return writer.isWritable;
  }

  #pump(): void {
    for (const delivery of this.#queue) {
      if (this.#sent.size >= UNACKNOWLEDGED_MAX || this.link === null) return;
      this.#queue.delete(delivery);
      const id = this.#nextId();
      this.#sent.set(id, delivery);
      this.#publish(delivery, id, false);
    }
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#heldByAll.bytes += bytes;
  }

  #nextId(): number {
    do this.#lastId = this.#lastId % ID_MAX + 1; while (this.#sent.has(this.#lastId));
    return this.#lastId;
  }

  #publish({ message, qos, retain }: Delivery, id: number, isRepeated: boolean): void {
    const { topic, payload } = message;
    this.send({ type: "publish", topic, payload, qos, retain, id, isRepeated });
  }
}
