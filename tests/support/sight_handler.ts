/**
 * A handler module for tests: answers with what its thread has heard and logged so far, as JSON.
 */
import { subscribe } from "node:diagnostics_channel";
import { configure, type Connection, type ConnectionMessage } from "../../mod.ts";

/** The message that a Worker tells of itself. */
export interface Heard {
  readonly news: readonly (readonly [channel: string, id: string])[];
  readonly lines: readonly string[];
  /** The connection that asks, by the message of its opening. */
  readonly id: string;
}

const news: [string, string][] = [];
const lines: string[] = [];
let last = "";

configure({ logLevel: "info", log: (line, level) => lines.push(`${level} ${line}`) });
for (const channel of ["connection:open", "connection:close"]) {
  subscribe(`netpoll:${channel}`, (message) => {
    const { id } = message as ConnectionMessage;
    if (channel === "connection:open") last = id;
    news.push([channel, id]);
  });
}

export async function onRequest({ reader, writer }: Connection): Promise<void> {
  reader.skip(reader.length);
  reader.release();
  const heard: Heard = { news, lines, id: last };
  writer.writeString(`${JSON.stringify(heard)}\n`);
  await writer.flush();
}
