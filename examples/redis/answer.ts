/**
 * Answering requests: from words to a command, and from what it returns to the wire.
 */
import { RespError, type RespInput } from "../../mod.ts";
import type { Client } from "./client.ts";
import { type Args, checkArity, type Command, SILENT } from "./command.ts";
import { hashes } from "./hashes.ts";
import { keys } from "./keys.ts";
import { lists } from "./lists.ts";
import { pubsub } from "./pubsub.ts";
import { countCommand, server } from "./server.ts";
import { sets } from "./sets.ts";
import { strings } from "./strings.ts";
import { abort, queue, transactions, unqueued } from "./transactions.ts";

/** The commands that a client which subscribed may send in RESP2. */
const OF_SUBSCRIBERS = /^(p?(un)?subscribe|ping|quit|reset)$/i;
/** The length to which an unknown command is repeated. */
const QUOTE_CHARACTERS_MAX = 128;

/** All commands, by name in lower case. */
const commands: ReadonlyMap<string, Command> = new Map(Object.entries({
  ...server((): ReadonlyMap<string, Command> => commands),
  ...keys,
  ...strings,
  ...lists,
  ...hashes,
  ...sets,
  ...pubsub,
  ...transactions((client, args) => call(client, args) as RespInput),
}));
/** Commands by the words that clients nearly always write. */
const byWord = new Map([...commands].flatMap(([name, command]) => [
  [name, command],
  [name.toUpperCase(), command],
]));

/** Answers one request. What was wrong with it is an answer too. */
export function answer(client: Client, args: string[]): void {
  if (args.length === 0) return; // an empty line, which keeps a connection awake
  client.isAnswered = true;
  const reply = client.queue === null ? call(client, args) : callQueued(client, args);
  if (reply !== SILENT) client.write(reply);
  client.endAnswer();
}

function find(args: readonly string[]): Command {
  const [word] = args as Args;
  const command = byWord.get(word) ?? commands.get(word.toLowerCase());
  if (command === undefined) throw unknown(args as Args);
  checkArity(command, word, args);
  return command;
}

function unknown([word, ...words]: Args): RespError {
  const name = word.slice(0, QUOTE_CHARACTERS_MAX);
  let quoted = "";
  for (const each of words) {
    if (quoted.length >= QUOTE_CHARACTERS_MAX) break;
    quoted += `'${each.slice(0, QUOTE_CHARACTERS_MAX - quoted.length)}' `;
  }
  const message = `ERR unknown command '${name}', with args beginning with: ${quoted}`;
  return new RespError(message.replace(/[\r\n]/g, " "));
}

function call(client: Client, args: string[]): RespInput | typeof SILENT {
  countCommand();
  try {
    const command = find(args);
    if (client.isSubscriber) checkSubscriber(client, args[0]!);
    return command.run(client, args as Args);
  } catch (error) {
    return refusal(client, args, error);
  }
}

/** Between MULTI and EXEC. */
function callQueued(client: Client, args: string[]): RespInput | typeof SILENT {
  try {
    find(args);
    if (unqueued.has(args[0]!.toLowerCase())) return call(client, args);
    return queue(client, args);
  } catch (error) {
    client.isQueueWrong = true;
    return refusal(client, args, error);
  }
}

/** The answer in place of the command's own. */
function refusal(client: Client, [word]: string[], error: unknown): RespError {
  if (!(error instanceof RespError)) throw error;
  const isExec = word!.toLowerCase() === "exec" && error.message.startsWith("ERR wrong number");
  return isExec ? abort(client, error.message) : error;
}

function checkSubscriber({ version }: Client, word: string): void {
  if (version === 3 || OF_SUBSCRIBERS.test(word)) return;
  throw new RespError(
    `ERR Can't execute '${word.toLowerCase()}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / ` +
      "QUIT / RESET are allowed in this context",
  );
}
