/** Clients on Deno.connect: `client_deno.ts PORT CONNECTIONS SECONDS`. */
import process from "node:process";
import { checkAnswer, done, measure, REQUEST } from "../servers/requests.mjs";

const [port, connections, seconds] = process.argv.slice(2).map(Number);

async function ask(connection: Deno.TcpConn): Promise<void> {
  const answer = new Uint8Array(1024);
  for (;;) {
    await connection.write(REQUEST);
    const count = await connection.read(answer);
    checkAnswer(answer.subarray(0, count ?? 0));
    done.count += 1;
  }
}

for (let i = 0; i < connections!; i++) {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: port! });
  connection.setNoDelay();
  void ask(connection);
}
measure(seconds);
