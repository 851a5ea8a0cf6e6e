/**
 * The connection and the server itself: what clients ask before they begin.
 */
import process from "node:process";
import { RespError, type RespInput, RespSimple, RespVerbatim } from "../../mod.ts";
import { type Client, clients, REQUEST_BYTES_MAX } from "./client.ts";
import {
  type Args,
  type Command,
  type Commands,
  grouped,
  integerOf,
  NONE,
  OK,
  reads,
  syntaxError,
  wrongArity,
} from "./command.ts";
import { databases } from "./database.ts";
import { matches } from "./glob.ts";
import { leaveAll } from "./pubsub.ts";
import { unwatch } from "./transactions.ts";

/** Clients ask for it, to know what they may use: about what is here. */
const REDIS_VERSION = "7.0.0";
const began = Date.now();
let commandCount = 0;

/** The settings that CONFIG GET knows; none of them can be set. */
const CONFIGURATION: Readonly<Record<string, string>> = {
  "appendonly": "no",
  "databases": String(databases.length),
  "maxmemory": "0",
  "maxmemory-policy": "noeviction",
  "proto-max-bulk-len": String(REQUEST_BYTES_MAX),
  "save": "",
  "timeout": "0",
};

/** A request was answered. */
export function countCommand(): void {
  commandCount += 1;
}

function checkName(name: string): string {
  if (/^[!-~]*$/.test(name)) return name;
  throw new RespError("ERR Client names cannot contain spaces, newlines or special characters.");
}

/** HELLO [version [AUTH user password] [SETNAME name]] */
function hello(client: Client, [, version, ...words]: Args): RespInput {
  let { name } = client;
  if (version !== undefined && !/^\d+$/.test(version)) {
    throw new RespError("ERR Protocol version is not an integer or out of range");
  }
  if (version !== undefined && version !== "2" && version !== "3") {
    throw new RespError("NOPROTO unsupported protocol version");
  }
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!.toUpperCase();
    if (word === "SETNAME" && i + 1 < words.length) name = checkName(words[++i]!);
    else if (word === "AUTH" && i + 2 < words.length) checkUser(words[++i]!, ++i);
    else throw new RespError(`ERR Syntax error in HELLO option '${words[i]}'`);
  }
  client.name = name;
  if (version !== undefined) client.speak(version === "3" ? 3 : 2);
  return new Map<string, RespInput>([
    ["server", "redis"],
    ["version", REDIS_VERSION],
    ["proto", client.version],
    ["id", client.id],
    ["mode", "standalone"],
    ["role", "master"],
    ["modules", []],
  ]);
}

/** There is one user, who has no password, and may do everything with any. */
function checkUser(name: string, _password: unknown): void {
  if (name === "default") return;
  throw new RespError("WRONGPASS invalid username-password pair or user is disabled.");
}

/** AUTH [user] password */
function auth(_: Client, [, user, password, ...more]: Args): RespInput {
  if (more.length > 0) syntaxError();
  if (password !== undefined) {
    checkUser(user, password);
    return OK;
  }
  throw new RespError(
    "ERR AUTH <password> called without any password configured for the default user. " +
      "Are you sure your configuration is correct?",
  );
}

function reset(client: Client): RespInput {
  leaveAll(client);
  unwatch(client);
  client.queue = null;
  client.isQueueWrong = false;
  client.name = "";
  client.db = databases[0]!;
  client.speak(2);
  return new RespSimple("RESET");
}

function info(_: Client, [, ...names]: Args): RespInput {
  const { rss, heapUsed } = process.memoryUsage();
  const seconds = Math.floor((Date.now() - began) / 1000);
  const keyspace = databases.flatMap((db, i) =>
    db.size === 0 ? [] : [`db${i}:keys=${db.size},expires=${db.expiringCount},avg_ttl=0`]
  );
  const sections: Record<string, readonly string[]> = {
    Server: [
      `redis_version:${REDIS_VERSION}`,
      "redis_mode:standalone",
      `process_id:${process.pid}`,
      `uptime_in_seconds:${seconds}`,
    ],
    Clients: [`connected_clients:${clients.size}`],
    Memory: [`used_memory:${heapUsed}`, `used_memory_rss:${rss}`, "maxmemory:0"],
    Persistence: ["loading:0", "async_loading:0"],
    Stats: [`total_commands_processed:${commandCount}`],
    Replication: ["role:master", "connected_slaves:0"],
    Cluster: ["cluster_enabled:0"],
    Keyspace: keyspace,
  };
  const wanted = names.map((name) => name.toLowerCase());
  const isAll = wanted.length === 0 ||
    wanted.some((name) => ["all", "everything", "default"].includes(name));
  const shown = Object.entries(sections).filter(([name]) =>
    isAll || wanted.includes(name.toLowerCase())
  );
  const text = shown.map(([name, lines]) => [`# ${name}`, ...lines, ""].join("\r\n"));
  return new RespVerbatim("txt", text.join("\r\n"));
}

function describeClient(client: Client): string {
  const { remoteAddress: from, fd } = client.connection;
  const address = from.transport === "tcp" ? `${from.hostname}:${from.port}` : from.path;
  return [
    `id=${client.id}`,
    `addr=${address}`,
    `fd=${fd}`,
    `name=${client.name}`,
    `age=${Math.floor((Date.now() - client.since) / 1000)}`,
    `db=${databases.indexOf(client.db)}`,
    `sub=${client.channels.size}`,
    `psub=${client.patterns.size}`,
    `multi=${client.queue?.length ?? -1}`,
    `resp=${client.version}`,
  ].join(" ");
}

const client: Commands = {
  id: reads(1, NONE, (client) => client.id),
  getname: reads(1, NONE, (client) => client.name === "" ? null : client.name),
  setname: reads(2, NONE, (client, [, name]) => {
    client.name = checkName(name);
    return OK;
  }),
  setinfo: reads(3, NONE, () => OK),
  info: reads(1, NONE, (client) => new RespVerbatim("txt", `${describeClient(client)}\n`)),
  list: reads(1, NONE, () => {
    return new RespVerbatim(
      "txt",
      [...clients].map((each) => `${describeClient(each)}\n`).join(""),
    );
  }),
};

const config: Commands = {
  get: reads(-2, NONE, (_, [, ...patterns]) => {
    const found = Object.entries(CONFIGURATION).filter(([name]) =>
      patterns.some((pattern) => matches(pattern.toLowerCase(), name))
    );
    return new Map(found);
  }),
  set: reads(-3, NONE, (_, [, name]) => {
    throw new RespError(
      Object.hasOwn(CONFIGURATION, name.toLowerCase())
        ? `ERR CONFIG SET failed (possibly related to argument '${name}') - can't set immutable config`
        : `ERR Unknown option or number of arguments for CONFIG SET - '${name}'`,
    );
  }),
  resetstat: reads(1, NONE, () => {
    commandCount = 0;
    return OK;
  }),
};

function ping(client: Client, [, text, ...more]: Args): RespInput {
  if (more.length > 0) wrongArity("ping");
  if (client.isSubscriber && client.version === 2) return ["pong", text ?? ""];
  return text ?? new RespSimple("PONG");
}

function about(name: string, { arity, flags, keys }: Command): RespInput {
  return [name, arity, flags.map((flag) => new RespSimple(flag)), ...keys];
}

/** The commands; `all` are those that COMMAND tells of. */
export function server(all: () => ReadonlyMap<string, Command>): Commands {
  const describeAll = (names: Iterable<string>) =>
    [...names].map((name) => {
      const command = all().get(name);
      return command === undefined ? null : about(name, command);
    });
  const command = grouped("command", {
    count: reads(1, NONE, () => all().size),
    docs: reads(-1, NONE, () => new Map()),
    info: reads(-1, NONE, (_, [, ...names]) => {
      return describeAll(names.length > 0 ? names.map((name) => name.toLowerCase()) : all().keys());
    }),
    list: reads(1, NONE, () => [...all().keys()]),
  });
  return {
    ping: reads(-1, NONE, ping),
    echo: reads(2, NONE, (_, [, text]) => text),
    hello: reads(-1, NONE, hello),
    auth: reads(-2, NONE, auth),
    quit: reads(-1, NONE, (client) => {
      client.isClosing = true;
      return OK;
    }),
    reset: reads(1, NONE, reset),
    select: reads(2, NONE, (client, [, number]) => {
      const db = databases[integerOf(number)];
      if (db === undefined) throw new RespError("ERR DB index is out of range");
      client.db = db;
      return OK;
    }),
    client: grouped("client", client),
    config: grouped("config", config),
    command: {
      ...command,
      arity: -1,
      run: (client, args) =>
        args.length > 1 ? command.run(client, args) : describeAll(all().keys()),
    },
    info: reads(-1, NONE, info),
    time: reads(1, NONE, () => {
      const now = Date.now();
      return [String(Math.floor(now / 1000)), String(now % 1000 * 1000)];
    }),
  };
}
