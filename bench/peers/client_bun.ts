/** Clients on Bun.connect: `client_bun.ts PORT CONNECTIONS SECONDS`. */
import process from "node:process";
import { checkAnswer, done, measure, REQUEST } from "../servers/requests.mjs";

interface Socket {
  write(bytes: Uint8Array): number;
}
declare const Bun: {
  connect(options: {
    hostname: string;
    port: number;
    socket: { data(socket: Socket, bytes: Uint8Array): void };
  }): Promise<Socket>;
};

const [port, connections, seconds] = process.argv.slice(2).map(Number);
for (let i = 0; i < connections!; i++) {
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: port!,
    socket: {
      data(socket, bytes) {
        checkAnswer(bytes);
        done.count += 1;
        socket.write(REQUEST);
      },
    },
  });
  socket.write(REQUEST);
}
measure(seconds);
