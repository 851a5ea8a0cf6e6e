import { assert, assertEquals, assertMatch } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { channel } from "node:diagnostics_channel";
import { test } from "node:test";
import {
  type Connection,
  dial,
  type EventLoopOptions,
  metrics,
  type RequestMessage,
} from "../../mod.ts";
import { config, configure, type LogLevel } from "../../src/core/config.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { watching } from "../../src/core/watching.ts";
import { Listening } from "../support/heard.ts";
import { receive, send } from "../support/pair.ts";
import { type FakeClock, withFakeClock } from "../support/fake_clock.ts";
import { echo, serve } from "../support/serve.ts";
import { delay, until } from "../support/until.ts";

/** Serves, dials, and gives the client to a body. */
async function withClient(
  onRequest: (connection: Connection) => void | Promise<void>,
  body: (client: Connection) => Promise<void>,
): Promise<void> {
  const { loop, listener, served } = serve(onRequest, { onError: () => {} });
  const { address } = listener;
  const client = await dial("tcp", `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`);
  try {
    await body(client);
  } finally {
    await client.close({ timeoutMs: 0 });
    await loop.shutdown();
    await served;
  }
}

/** The lines that are logged while a body runs. */
async function logged(
  slowHandlerMs: number,
  body: (lines: readonly string[]) => Promise<void>,
): Promise<string[]> {
  const lines: string[] = [];
  const before = { ...config };
  configure({ slowHandlerMs, log: (line, level: LogLevel) => lines.push(`${level} ${line}`) });
  try {
    await body(lines);
  } finally {
    configure(before);
  }
  return lines;
}

test("requests are not looked at while nobody wants to know", () => {
  assertEquals(watching.isOn, false);
  {
    using _ = new Listening("request:end");
    assertEquals(watching.isOn, true);
  }
  assertEquals(watching.isOn, false);
});

test("netpoll:request tells start and end of a synchronous call, with one message", async () => {
  using listening = new Listening<RequestMessage>("request:start", "request:end", "request:error");
  await withClient(echo, async (client) => {
    for (const text of ["one", "three"]) {
      await send(client, text);
      await receive(client, text.length);
    }
  });
  assertEquals(listening.names, ["request:start", "request:end", "request:start", "request:end"]);
  const [start, end, second] = listening.messages;
  assert(start === end && second !== end);
  assertEquals([end!.request, end!.readableBytes, end!.readBytes], [1, 3, 3]);
  assertEquals([second!.request, second!.readableBytes, second!.readBytes], [2, 5, 5]);
  assertEquals([second!.connection, second!.id], [end!.connection, end!.id]);
  assert(end!.durationMs! >= 0 && end!.waitMs >= 0 && end!.waitMs < 60_000, JSON.stringify(end));
});

test("netpoll:request:end of an asynchronous call comes when it has settled", async () => {
  using listening = new Listening<RequestMessage>("request:start", "request:end");
  const gate = Promise.withResolvers<void>();
  await withClient(async (it) => {
    echo(it);
    await gate.promise;
  }, async (client) => {
    await send(client, "hello");
    await receive(client, 5);
    assertEquals(listening.names, ["request:start"]);
    assertEquals(listening.messages[0]!.durationMs, null);
    await delay(5);
    gate.resolve();
    await until(() => listening.heard.length === 2, "its end");
    assert(listening.messages[1]!.durationMs! >= 4, `${listening.messages[1]!.durationMs}`);
  });
});

for (const style of ["throws", "rejects"] as const) {
  test(`netpoll:request:error comes before the end of a call that ${style}`, async () => {
    using listening = new Listening<RequestMessage>("request:error", "request:end");
    await withClient((it) => {
      it.reader.skip(it.reader.length);
      if (style === "rejects") return Promise.reject(new RangeError("no"));
      throw new RangeError("no");
    }, async (client) => {
      await send(client, "hello");
      await until(() => listening.heard.length === 2, "its end");
    });
    assertEquals(listening.names, ["request:error", "request:end"]);
    assert(listening.messages[0] === listening.messages[1]);
    assertEquals(`${listening.messages[0]!.error}`, "RangeError: no");
    assertEquals(listening.messages[0]!.readBytes, 5);
  });
}

test("a store that is bound to netpoll:request:start is there in the handler and after its waits", async () => {
  const store = new AsyncLocalStorage<string>();
  const start = channel("netpoll:request:start");
  start.bindStore(store as AsyncLocalStorage<unknown>, (message) => {
    return `request ${(message as RequestMessage).request}`;
  });
  const seen: (string | undefined)[] = [];
  try {
    await withClient(async ({ reader, writer }) => {
      seen.push(store.getStore());
      await reader.wait(3);
      seen.push(store.getStore());
      writer.writeString(reader.readString(3));
      await writer.flush();
      reader.release();
      await delay(1);
      seen.push(store.getStore());
    }, async (client) => {
      for (let n = 1; n <= 2; n++) {
        await send(client, "ab");
        await send(client, "c");
        await receive(client, 3);
        await until(() => seen.length === 3 * n, "the last look");
      }
    });
  } finally {
    start.unbindStore(store as AsyncLocalStorage<unknown>);
  }
  const [one, two] = ["request 1", "request 2"];
  assertEquals(seen, [one, one, one, two, two, two]);
  assertEquals(store.getStore(), undefined);
});

test("whoever begins to listen in the middle hears of the next calls of open connections", async () => {
  await withClient(echo, async (client) => {
    await send(client, "one");
    await receive(client, 3);
    using listening = new Listening<RequestMessage>("request:end");
    await send(client, "three");
    await receive(client, 5);
    await until(() => listening.heard.length === 1, "the second call");
    assertEquals(listening.messages[0]!.readBytes, 5);
  });
});

test("slowHandlerMs logs a line of a synchronous call that took longer", async () => {
  const lines = await logged(20, () =>
    withClient((it) => {
      const isSlow = it.reader.length > 4;
      echo(it);
      for (const end = performance.now() + 30; isSlow && performance.now() < end;);
    }, async (client) => {
      for (const text of ["fast", "slowly"]) {
        await send(client, text);
        await receive(client, text.length);
      }
    }));
  // A machine may be so slow that the fast one is slow as well.
  const line = lines.find((each) => each.includes("6 bytes read"));
  const told = (line ?? lines.join("\n")).replace(/connection \d+/, "connection N")
    .replace(/127\.0\.0\.1:\d+/g, "HERE").replace(/[\d.]+ ms/, "T ms");
  assertEquals(
    told,
    "warn netpoll: slow handler: call 2 of connection N, HERE ↔ HERE, took T ms; 6 bytes read, 6 sent",
  );
});

test("slowHandlerMs logs that an asynchronous call lasts, and how long it took", async () => {
  const gate = Promise.withResolvers<void>();
  const lines = await logged(20, (lines) =>
    withClient(async (it) => {
      echo(it);
      await gate.promise;
    }, async (client) => {
      await send(client, "hello");
      await receive(client, 5);
      await until(() => lines.length === 1, "that it lasts");
      gate.resolve();
      await until(() => lines.length === 2, "that it has settled");
    }));
  assertEquals(lines.length, 2, lines.join("\n"));
  assertMatch(lines[0]!, /has not settled for \d+ ms; 5 bytes read, 5 sent$/);
  assertMatch(lines[1]!, /took \d+ ms until it settled; 5 bytes read, 5 sent$/);
});

test("slowHandlerMs that is set in the middle of a call says nothing of that call", async () => {
  using _ = new Listening("connection:close"); // calls are counted only
  const lines = await logged(0, () =>
    withClient(async ({ reader, writer }) => {
      configure({ slowHandlerMs: 1 });
      await delay(10);
      writer.writeString(reader.readString(reader.length));
      await writer.flush();
    }, async (client) => {
      await send(client, "ab");
      await receive(client, 2);
    }));
  assertEquals(lines, []);
});

test("slowHandlerMs logs no line of calls that are fast, and leaves no timer", async () => {
  const lines = await logged(4000, () =>
    withClient(async (it) => {
      echo(it);
      await delay(1);
    }, async (client) => {
      await send(client, "hello");
      await receive(client, 5);
    }));
  assertEquals(lines, []);
});

/** The microseconds that something takes, by the clock of the test: less than a turn. */
const MICROS = 400;

/** Takes so long. */
type Block = () => void;

/** The one that takes long, and the times of the calls of handlers that follow, in microseconds. */
interface Blame {
  readonly title: string;
  /** Handles "A", which takes long somewhere. */
  handle(it: Connection, block: Block): void | Promise<void>;
  options?(block: Block): EventLoopOptions<undefined>;
  /** Somebody else has asked for a turn, and takes long in it. */
  readonly isAgain?: true;
  /** The times of the handlers: their sum and the longest. */
  readonly times: readonly [sum: number, max: number];
}

const BLAMES: readonly Blame[] = [
  {
    title: "a handler before it",
    handle: (it, block) => (echo(it), block()),
    times: [MICROS, MICROS],
  },
  {
    title: "the synchronous part of an asynchronous one",
    handle: async (it, block) => {
      echo(it);
      block();
      await Promise.resolve();
    },
    times: [MICROS, MICROS],
  },
  {
    title: "two calls of one event",
    handle: ({ reader, writer }, block) => {
      block();
      writer.writeString(reader.readString(1));
      void writer.flush();
    },
    times: [2 * MICROS, MICROS],
  },
  {
    title: "a close callback of another connection",
    handle: (it, block) => {
      echo(it);
      it.addCloseCallback(block);
      void it.close();
    },
    times: [0, 0],
  },
  {
    title: "onDisconnect of another connection",
    handle: (it) => {
      echo(it);
      void it.close();
    },
    options: (block) => ({ onDisconnect: block }),
    times: [0, 0],
  },
  {
    title: "onError of another connection",
    handle: (it) => {
      echo(it);
      throw new Error("no");
    },
    options: (block) => ({ onError: block }),
    times: [0, 0],
  },
  {
    title: "whoever is told without an event",
    handle: echo,
    isAgain: true,
    times: [0, 0],
  },
  {
    title: "a microtask",
    handle: (it, block) => {
      echo(it);
      queueMicrotask(block);
    },
    times: [0, 0],
  },
];

/** Takes long in the turn in which a handler is called, told without an event. */
function blockAgain(block: Block): void {
  threadPoller().again({ fd: -1, onEvent: block, onFailure() {} });
}

/** Sends to three connections at once, "AA" to the first one. Each gets back what it sent. */
async function sendToAll(fake: FakeClock, { handle, options, isAgain }: Blame): Promise<void> {
  const block = () => fake.block(MICROS / 1000);
  const { loop, listener, served } = serve((it) => {
    return it.reader.peek(1)[0] === 0x41 ? handle(it, block) : echo(it);
  }, options?.(block));
  const { address } = listener;
  const at = `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`;
  const clients = await Promise.all([dial("tcp", at), dial("tcp", at), dial("tcp", at)]);
  const texts = ["AA", "bb", "cc"];
  if (isAgain) blockAgain(block);
  await Promise.all(clients.map((client, i) => send(client, texts[i]!)));
  await Promise.all(clients.map((client, i) => receive(client, texts[i]!.length)));
  await Promise.all(clients.map((client) => client.close({ timeoutMs: 0 })));
  await loop.shutdown();
  await served;
}

for (const blame of BLAMES) {
  test(`the time of a call does not have that of ${blame.title}`, () =>
    withFakeClock(async (fake) => {
      configure({ measure: true });
      try {
        await sendToAll(fake, blame);
        const { sumMicros, maxMicros } = metrics().latency!.handler;
        assertEquals([sumMicros, maxMicros], [...blame.times]);
      } finally {
        configure({ measure: false });
      }
    }));
}
