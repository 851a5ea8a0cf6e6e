// bun examples/compare/bun_listen.ts

/**
 * The server of examples/echo_server.ts with Bun.listen.
 *
 * `write` takes what the socket's buffer takes and returns how much: the rest must be kept and sent
 * on `drain`, in order, and reading must stop meanwhile or it grows without end. `data` is memory
 * of the runtime, valid for the length of the call: what is kept is copied.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import process from "node:process";

interface State {
  /** The beginning of a message whose end did not come yet. */
  rest: Buffer;
  /** Whole messages that the socket did not take yet. */
  unsent: Buffer;
}

/** Sends what it can; reading goes on when everything is gone. */
function send(socket: Bun.Socket<State>, messages: Buffer): void {
  const count = Math.max(0, socket.write(messages));
  socket.data.unsent = Buffer.from(messages.subarray(count));
  if (socket.data.unsent.length > 0) socket.pause();
  else socket.resume();
}

const [hostname, port] = (process.argv[2] ?? "localhost:6382").split(":");
const listener = Bun.listen<State>({
  hostname: hostname!,
  port: Number(port),
  socket: {
    open(socket) {
      socket.data = { rest: Buffer.alloc(0), unsent: Buffer.alloc(0) };
    },
    data(socket, chunk) {
      const { rest, unsent } = socket.data;
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const whole = bytes.length - bytes.length % 512;
      socket.data.rest = Buffer.from(bytes.subarray(whole));
      const messages = bytes.subarray(0, whole);
      send(socket, unsent.length === 0 ? messages : Buffer.concat([unsent, messages]));
    },
    drain(socket) {
      send(socket, socket.data.unsent);
    },
    error() {}, // a peer that went away
  },
});
console.log("Listening on", `${listener.hostname}:${listener.port}`);
