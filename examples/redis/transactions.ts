/**
 * Transactions: what stands between MULTI and EXEC runs at a stretch, unless a watched key changed.
 */
import { RespError, type RespInput, RespSimple } from "../../mod.ts";
import type { Client } from "./client.ts";
import { ALL, type Command, type Commands, keysOf, NONE, OK, reads } from "./command.ts";
import type { Database } from "./database.ts";

/** So many requests may stand between MULTI and EXEC. */
const QUEUED_MAX = 100_000;

/** Who watches which keys. */
const watched = new Map<Database, Map<string, Set<Client>>>();

function watch(client: Client, key: string): void {
  const keys = watched.get(client.db) ?? new Map<string, Set<Client>>();
  watched.set(client.db, keys.set(key, (keys.get(key) ?? new Set()).add(client)));
}

/** A client watches nothing any more. */
export function unwatch(client: Client): void {
  client.isDirty = false;
  for (const [db, keys] of watched) {
    for (const [key, all] of keys) if (all.delete(client) && all.size === 0) keys.delete(key);
    if (keys.size === 0) watched.delete(db);
  }
}

/** A command was called that may have changed something. */
export function onWrite({ db }: Client, command: Command, args: readonly string[]): void {
  if (watched.size === 0) return;
  const all = command.keys === NONE ? [...watched.values()] : [watched.get(db)];
  for (const keys of all) {
    if (keys === undefined) continue;
    for (const key of command.keys === NONE ? keys.keys() : keysOf(command, args)) {
      for (const client of keys.get(key) ?? []) client.isDirty = true;
    }
  }
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
      const { queue, isQueueWrong, isDirty } = client;
      if (queue === null) throw new RespError("ERR EXEC without MULTI");
      end(client);
      if (isQueueWrong) {
        throw new RespError("EXECABORT Transaction discarded because of previous errors.");
      }
      return isDirty ? null : queue.map((args) => run(client, args));
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
