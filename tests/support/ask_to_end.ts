/**
 * A request in text to a server that answers and ends.
 */
import { connect } from "node:net";

/** A test gives up an answer after so long. */
const ANSWER_MS_MAX = 20_000;

/** Sends bytes, and returns all that comes until the server ends the connection. */
export async function askToEnd(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error("no end came")));
  socket.write(bytes, "latin1");
  let text = "";
  for await (const piece of socket) text += piece;
  return text;
}
