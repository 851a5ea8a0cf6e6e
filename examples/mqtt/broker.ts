/**
 * A broker: who is there, who hears what, and what is kept for those who come later.
 */
import type { Message, Publish, Qos } from "./packet.ts";
import { type Held, type Link, Session } from "./session.ts";
import { matches, Subscriptions } from "./topic.ts";

/** Sessions of clients that are away: the one that is away longest is forgotten first. */
const SESSIONS_AWAY_MAX = 1000;
/** The filters of one client. */
const FILTERS_MAX = 100;
const RETAINED_COUNT_MAX = 10_000;
const RETAINED_BYTES_MAX = 64 << 20;
/** The code of a filter that was refused. */
const REFUSED = 0x80;

/** A connection that has a session. */
export interface Member extends Link {
  /** Another connection has taken its place. */
  onReplaced(): void;
}

/** The messages, and those who wait for them. */
export class Broker {
  readonly #here = new Map<string, { member: Member; session: Session; isClean: boolean }>();
  /** In the order in which they went. */
  readonly #away = new Map<string, Session>();
  readonly #subscriptions = new Subscriptions<Session>();
  readonly #retained = new Map<string, Message>();
  readonly #held: Held = { bytes: 0 };
  #retainedBytes = 0;

  /** A client comes. Its session, which is the one of before where both want that. */
  enter(clientId: string, isClean: boolean, member: Member): { session: Session; isOld: boolean } {
    const other = this.#here.get(clientId);
    if (other !== undefined) {
      other.member.onReplaced();
      this.leave(clientId, other.member);
    }
    const old = this.#away.get(clientId);
    this.#away.delete(clientId);
    if (isClean && old !== undefined) this.#forget(old);
    const session = isClean || old === undefined ? new Session(clientId, this.#held) : old;
    this.#here.set(clientId, { member, session, isClean });
    return { session, isOld: session === old };
  }

  /** A client goes; its session stays, if it wants that. */
  leave(clientId: string, member: Member): void {
    const entry = this.#here.get(clientId);
    if (entry?.member !== member) return; // it was replaced
    this.#here.delete(clientId);
    entry.session.link = null;
    if (entry.isClean) return this.#forget(entry.session);
    this.#away.set(clientId, entry.session);
    for (const [id, longest] of this.#away) {
      if (this.#away.size <= SESSIONS_AWAY_MAX) break;
      this.#away.delete(id);
      this.#forget(longest);
    }
  }

  /** Sends a message to all who want it, and keeps it where that is asked for. */
  publish(message: Message): void {
    if (message.retain) this.#retain(message);
    for (const [session, qos] of this.#subscriptions.find(message.topic)) {
      session.deliver(message, Math.min(qos, message.qos) as Qos, false);
    }
  }

  /** A message has come: it is published once. Its payload is copied, for it was lent. */
  receive(session: Session, packet: Publish): void {
    if (!session.onReceived(packet)) return;
    this.publish({ ...packet, payload: new Uint8Array(packet.payload) });
  }

  /** A client wants to hear. The code of each filter; `sendRetained` follows the answer. */
  subscribe(session: Session, filters: readonly (readonly [string, Qos])[]): number[] {
    return filters.map(([filter, qos]) => {
      const { filters } = session;
      if (filters.size >= FILTERS_MAX && !filters.has(filter)) return REFUSED;
      filters.set(filter, qos);
      this.#subscriptions.add(filter, session, qos);
      return qos;
    });
  }

  /** Sends what is kept under a filter. */
  sendRetained(session: Session, filter: string, qos: Qos): void {
    for (const message of this.#retained.values()) {
      if (!matches(filter, message.topic)) continue;
      session.deliver(message, Math.min(qos, message.qos) as Qos, true);
    }
  }

  /** A client does not want to hear any more. */
  unsubscribe(session: Session, filters: Iterable<string>): void {
    for (const filter of filters) {
      if (session.filters.delete(filter)) this.#subscriptions.delete(filter, session);
    }
  }

  #forget(session: Session): void {
    this.unsubscribe(session, [...session.filters.keys()]);
    session.drop();
  }

  #retain(message: Message): void {
    const { topic, payload } = message;
    this.#retainedBytes -= this.#retained.get(topic)?.payload.length ?? 0;
    this.#retained.delete(topic);
    const isFull = this.#retained.size >= RETAINED_COUNT_MAX ||
      this.#retainedBytes + payload.length > RETAINED_BYTES_MAX;
    if (payload.length === 0 || isFull) return; // without a payload it only takes back what was kept
    this.#retained.set(topic, message);
    this.#retainedBytes += payload.length;
  }
}
