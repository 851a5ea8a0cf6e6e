/**
 * Each connection has one message of its opening and one of its close, in this order, however it
 * began and however it ended.
 */
import { assert, assertEquals } from "@std/assert";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import {
  type Callbacks,
  Connection,
  type ConnectionCloseMessage,
  type ConnectionMessage,
  type ConnectionOpenMessage,
  createListener,
  dial,
  EventLoop,
  memoryPair,
  pipe,
  socketPair,
} from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import { memoryEnds } from "../support/duplexes.ts";
import { type Heard, Listening } from "../support/heard.ts";
import { authority, serverIdentity } from "../support/pki.ts";
import { ticks, until } from "../support/until.ts";

type News = ConnectionMessage & Partial<ConnectionCloseMessage>;
type Asked = Callbacks<undefined>;

/** Two ends, the first one with the callbacks, and what ends what they came from. */
interface Line {
  readonly ends: readonly [Connection, Connection];
  over?(): Promise<unknown>;
}

async function accepted(asked: Asked, tls: boolean): Promise<Line> {
  const { onRequest = null, ...callbacks } = asked;
  const came = Promise.withResolvers<Connection>();
  const loop = new EventLoop<undefined>(onRequest, {
    ...callbacks,
    onPrepare: (it) => {
      came.resolve(it);
      return callbacks.onPrepare?.(it);
    },
  });
  const given = tls ? { tls: serverIdentity() } : {};
  const listener = createListener("tcp", "127.0.0.1:0", given);
  const served = loop.serve(listener);
  const trusting = tls ? { tls: { authorities: authority().certificate } } : {};
  const client = await dial(listener.address, trusting).catch(() => null); // it was reset
  const over = () => loop.shutdown({ timeoutMs: 0 }).then(() => served);
  const it = await came.promise;
  return { ends: [it, client ?? it], over };
}

/** The ways to get one. */
const BEGINNINGS: Record<string, (callbacks: Asked) => Line | Promise<Line>> = {
  "was accepted": (callbacks) => accepted(callbacks, false),
  "was accepted with TLS": (callbacks) => accepted(callbacks, true),
  "has a descriptor": (callbacks) => {
    const [a, b] = socketPair();
    return { ends: [Connection.fromFd(a.detach(), callbacks), b] };
  },
  "is in memory": (callbacks) => ({ ends: memoryPair({ first: callbacks }) }),
  "has a stream": (callbacks) => {
    const [a, b] = memoryEnds();
    return { ends: [Connection.fromDuplex(a, callbacks), Connection.fromDuplex(b)] };
  },
};

/** One way to end. */
interface End {
  readonly callbacks?: Asked;
  /** Hears of its opening. */
  readonly onOpen?: (it: Connection) => void;
  /** Ends it. */
  end?(it: Connection, peer: Connection, line: Line): unknown;
  /** True when there may be none of it: it was refused before it was open. */
  readonly isEarly?: true;
}

const no = () => {
  throw new Error("no");
};
const ask = async (_: Connection, peer: Connection) => {
  peer.writer.writeString("hello");
  await peer.writer.flush().catch(() => {});
};

const ENDS: Record<string, End> = {
  "close()": { end: (it) => it.close() },
  "close() twice, and reset()": {
    end: (it) => {
      void it.close();
      void it.close({ timeoutMs: 0 });
      it.reset();
    },
  },
  "reset()": { end: (it) => it.reset() },
  "close() of the peer": { end: (_, peer) => peer.close() },
  "reset() of the peer": { end: (_, peer) => peer.reset() },
  "both ends at once": {
    end: (it, peer) => {
      it.reset();
      peer.reset();
    },
  },
  "a handler that throws": { callbacks: { onRequest: no, onError: () => {} }, end: ask },
  "a handler that rejects": {
    callbacks: { onRequest: () => Promise.reject(new Error("no")), onError: () => {} },
    end: ask,
  },
  "a handler that closes it and throws": {
    callbacks: {
      onRequest: (it) => {
        void it.close();
        throw new Error("no");
      },
      onError: () => {},
    },
    end: ask,
  },
  "onConnect that throws": { callbacks: { onConnect: no, onError: () => {} } },
  "onConnect that closes it": { callbacks: { onConnect: (it) => void it.close() as undefined } },
  "onConnect that rejects": {
    callbacks: { onConnect: () => Promise.reject(new Error("no")), onError: () => {} },
  },
  "onDisconnect that throws": {
    callbacks: { onDisconnect: no, onError: () => {}, onRequest: () => {} },
    end: (_, peer) => peer.close(),
  },
  "onPrepare that closes it": {
    callbacks: { onPrepare: (it) => void it.close() as undefined },
    isEarly: true,
  },
  "a subscriber that resets it": { onOpen: (it) => it.reset() },
  "a subscriber that closes it": { onOpen: (it) => void it.close() },
  "a subscriber that gives it away": {
    onOpen: (it) => {
      if (it.fd >= 0 && it.tls === null) native.close(it.detach());
      else it.reset();
    },
  },
  "a pipe": {
    end: async (it, peer) => {
      const [a, b] = socketPair();
      const moved = pipe(it, a).catch(() => {});
      await peer.closeWrite();
      await b.close();
      await moved;
    },
  },
  "the end of what it came from": { end: (_, __, { over }) => over?.() },
};

/** The kinds of news of a connection. */
function newsOf(heard: readonly Heard<News>[], it: Connection): string[] {
  return heard.filter(({ message }) => message.connection === it).map(({ channel }) => channel);
}

for (const [beginning, begin] of Object.entries(BEGINNINGS)) {
  for (const [how, { callbacks = {}, onOpen, end, isEarly }] of Object.entries(ENDS)) {
    if (isEarly && !beginning.startsWith("was accepted")) continue; // the others have no onPrepare
    test(`a connection that ${beginning} opens once and closes once, ended by ${how}`, async () => {
      using listening = new Listening<News>("connection:open", "connection:close");
      let isFirst = true;
      const hear = (message: unknown) => {
        if (!isFirst || (message as ConnectionOpenMessage).isDialled) return;
        isFirst = false;
        unsubscribe("netpoll:connection:open", hear); // amid its own publication
        onOpen!((message as ConnectionOpenMessage).connection);
      };
      if (onOpen !== undefined && !beginning.startsWith("has a descriptor")) {
        subscribe("netpoll:connection:open", hear);
      }
      const line = await begin(callbacks);
      unsubscribe("netpoll:connection:open", hear);
      const [it, peer] = line.ends;
      await end?.(it, peer, line);
      if (how.startsWith("the end of") && line.over === undefined) await it.close();
      if (how.startsWith("onConnect") || isEarly) await until(() => !it.isActive, "it has ended");
      await peer.close({ timeoutMs: 0 }).catch(() => {});
      await it.close({ timeoutMs: 0 }).catch(() => {});
      await line.over?.();
      const all = new Set([it, peer, ...listening.messages.map(({ connection }) => connection)]);
      const isOver = (one: Connection) => newsOf(listening.heard, one).includes("connection:close");
      const open = [...all].filter((one) => newsOf(listening.heard, one).length > 0);
      await until(() => open.every(isOver), "every close");
      await ticks(20); // for a second one
      for (const one of open) {
        assertEquals(newsOf(listening.heard, one), ["connection:open", "connection:close"]);
      }
      assert(isEarly || open.includes(it), "it was told of");
    });
  }
}

test("a connection over a stream that is destroyed already opens once and closes once", async () => {
  using listening = new Listening<News>("connection:open", "connection:close");
  const [stream] = memoryEnds();
  stream.destroy();
  const it = Connection.fromDuplex(stream);
  const ends: string[] = [];
  it.addCloseCallback((_, { reason }) => ends.push(reason));
  await until(() => ends.length === 1, "its close callback");
  assertEquals([newsOf(listening.heard, it), ends], [
    ["connection:open", "connection:close"],
    ["lost"],
  ]);
});

test("a connection that is given away closes once, and its successor is another one", async () => {
  using listening = new Listening<News>("connection:open", "connection:close");
  const [a, b] = socketPair();
  const again = Connection.fromFd(a.detach());
  native.close(again.detach());
  await b.close();
  await until(() => listening.heard.length === 6, "three of each");
  await ticks(20);
  for (const one of [a, again, b]) {
    assertEquals(newsOf(listening.heard, one), ["connection:open", "connection:close"]);
  }
  const ids = new Set(listening.messages.map(({ id }) => id));
  assertEquals([ids.size, listening.heard.length], [3, 6]);
});
