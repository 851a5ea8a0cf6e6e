/**
 * Transactions: what stands between MULTI and EXEC runs at a stretch, unless a watched key changed.
 */
import { RespError, type RespInput, RespNullArray, RespSimple } from "../../mod.ts";
import type { Client } from "./client.ts";
import { ALL, type Commands, NONE, OK, reads } from "./command.ts";

/** The most requests between MULTI and EXEC. */
const QUEUED_MAX = 100_000;
const NULL_ARRAY = new RespNullArray();

function watch(client: Client, key: string): void {
  client.db.watch(key, client);
  client.watching.push([client.db, key]);
}

/** A client watches nothing any more. */
export function unwatch(client: Client): void {
  for (const [db, key] of client.watching.splice(0)) db.unwatch(key, client);
  client.isDirty = false;
}

/** True when a key that a client watches has changed, or has expired. */
function hasChanged(client: Client): boolean {
  for (const [db, key] of client.watching) db.get(key); // what has expired goes, and tells
  return client.isDirty;
}

/** These are not queued after MULTI. */
export const unqueued: ReadonlySet<string> = new Set([
  "multi",
  "exec",
  "discard",
  "watch",
  "quit",
  "reset",
]);

/** EXEC that was called in a wrong way is one all the same: what was queued is gone. */
export function abort(client: Client, why: string): RespError {
  end(client);
  return new RespError(`EXECABORT Transaction discarded because of: ${why.replace(/^ERR /, "")}`);
}

function end(client: Client): void {
  client.queue = null;
  client.isQueueWrong = false;
  unwatch(client);
}

/** Queues a request. @throws {RespError} There are too many. */
export function queue(client: Client, args: string[]): RespInput {
  if (client.queue!.length === QUEUED_MAX) {
    throw new RespError(`ERR a transaction has at most ${QUEUED_MAX} commands`);
  }
  client.queue!.push(args);
  return new RespSimple("QUEUED");
}

/** The commands; `run` answers one. */
export function transactions(run: (client: Client, args: string[]) => RespInput): Commands {
  return {
    multi: reads(1, NONE, (client) => {
      if (client.queue !== null) throw new RespError("ERR MULTI calls can not be nested");
      client.queue = [];
      return OK;
    }),
    exec: reads(1, NONE, (client) => {
      const { queue, isQueueWrong } = client;
      if (queue === null) throw new RespError("ERR EXEC without MULTI");
      const isDirty = hasChanged(client);
      end(client);
      if (isQueueWrong) {
        throw new RespError("EXECABORT Transaction discarded because of previous errors.");
      }
      if (isDirty) return NULL_ARRAY;
      client.isExecuting = true;
      try {
        return queue.map((args) => run(client, args));
      } finally {
        client.isExecuting = false;
      }
    }),
    discard: reads(1, NONE, (client) => {
      if (client.queue === null) throw new RespError("ERR DISCARD without MULTI");
      end(client);
      return OK;
    }),
    watch: reads(-2, ALL, (client, [, ...keys]) => {
      if (client.queue !== null) throw new RespError("ERR WATCH inside MULTI is not allowed");
      for (const key of keys) watch(client, key);
      return OK;
    }),
    unwatch: reads(1, NONE, (client) => {
      unwatch(client);
      return OK;
    }),
  };
}
