/**
 * Publish and subscribe.
 */
import { type RespInput, RespPush } from "../../mod.ts";
import type { Client } from "./client.ts";
import { type Commands, grouped, NONE, reads, type Run, SILENT } from "./command.ts";
import { matches } from "./glob.ts";

type Kind = "channels" | "patterns";

/** The clients that listen, by channel and by pattern. */
const listeners: Record<Kind, Map<string, Set<Client>>> = {
  channels: new Map(),
  patterns: new Map(),
};

/** The message to a client that begins to hear a channel, or ends it. */
function told(client: Client, verb: string, name: string | null): RespPush<string> {
  return new RespPush<string>([verb, name, client.channels.size + client.patterns.size]);
}

/** A message each; within EXEC they are its answer. */
function say(client: Client, all: RespPush<string>[]): RespInput | typeof SILENT {
  if (client.isExecuting) return all.length === 1 ? all[0] : all;
  for (const each of all) client.write(each);
  return SILENT;
}

function subscribe(verb: string, kind: Kind): Run {
  return (client, [, ...names]) => {
    return say(
      client,
      names.map((name) => {
        const all = listeners[kind].get(name) ?? new Set();
        listeners[kind].set(name, all.add(client));
        client[kind].add(name);
        return told(client, verb, name);
      }),
    );
  };
}

function leave(client: Client, kind: Kind, name: string): void {
  client[kind].delete(name);
  const all = listeners[kind].get(name);
  if (all?.delete(client) && all.size === 0) listeners[kind].delete(name);
}

/** Leaves the channels or patterns that are named; all of them unless told which. */
function unsubscribe(verb: string, kind: Kind): Run {
  return (client, [, ...names]) => {
    const all = names.length > 0 ? names : [...client[kind]];
    if (all.length === 0) return say(client, [told(client, verb, null)]);
    return say(
      client,
      all.map((name) => {
        leave(client, kind, name);
        return told(client, verb, name);
      }),
    );
  };
}

/** A client hears nothing any more. */
export function leaveAll(client: Client): void {
  for (const name of client.channels) leave(client, "channels", name);
  for (const name of client.patterns) leave(client, "patterns", name);
}

function publish(channel: string, message: string): number {
  let count = 0;
  for (const client of listeners.channels.get(channel) ?? []) {
    client.push(new RespPush<string>(["message", channel, message]));
    count += 1;
  }
  for (const [pattern, all] of listeners.patterns) {
    if (!matches(pattern, channel)) continue;
    for (const client of all) {
      client.push(new RespPush<string>(["pmessage", pattern, channel, message]));
    }
    count += all.size;
  }
  return count;
}

export const pubsub: Commands = {
  subscribe: { arity: -2, keys: NONE, flags: ["pubsub"], run: subscribe("subscribe", "channels") },
  unsubscribe: {
    arity: -1,
    keys: NONE,
    flags: ["pubsub"],
    run: unsubscribe("unsubscribe", "channels"),
  },
  psubscribe: {
    arity: -2,
    keys: NONE,
    flags: ["pubsub"],
    run: subscribe("psubscribe", "patterns"),
  },
  punsubscribe: {
    arity: -1,
    keys: NONE,
    flags: ["pubsub"],
    run: unsubscribe("punsubscribe", "patterns"),
  },
  publish: reads(3, NONE, (_, [, channel, message]) => publish(channel, message)),
  pubsub: grouped("pubsub", {
    channels: reads(-1, NONE, (_, [, pattern = "*"]) => {
      return [...listeners.channels.keys()].filter((channel) => matches(pattern, channel));
    }),
    numsub: reads(-1, NONE, (_, [, ...channels]) => {
      return channels.flatMap((name) => [name, listeners.channels.get(name)?.size ?? 0]);
    }),
    numpat: reads(1, NONE, () => listeners.patterns.size),
  }),
};
