// deno run --allow-ffi --allow-net examples/websocket_server.ts   or   bun examples/websocket_server.ts

/**
 * WebSocket (RFC 6455) beside HTTP on one port, at localhost:8081 or the address given: `/` and
 * `/echo` send each message back, `/chat` sends it to all who are there. A browser gets a page that
 * chats. Frames, messages and the upgrade are in examples/websocket/, HTTP is in examples/http/.
 *
 * @module
 */
import { setInterval } from "node:timers";
import { EventLoop, shutdownOnSignals } from "../mod.ts";
import { listen, placeOf, readArguments } from "./command_line.ts";
import { Fields } from "./http/head.ts";
import { type Answer, http } from "./http/service.ts";
import { type Handlers, Peer } from "./websocket/peer.ts";
import { isUpgrade, isVersionKnown, upgradeFields, VERSIONS } from "./websocket/upgrade.ts";

const USAGE = "Usage: websocket_server.ts [HOST:PORT]\n";
/** Each client is asked so often whether it is there, and cut off when it has said nothing for longer. */
const PING_MS = 25_000;
const SILENCE_MS_MAX = 60_000;

const HTML = new Fields({ "Content-Type": "text/html; charset=utf-8" });
const TEXT = new Fields({ "Content-Type": "text/plain" });
const PAGE =
  `<!doctype html><title>Chat</title><form><input autofocus> <button>Say</button></form><pre></pre>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws") + "chat");
  const [form, page] = [document.querySelector("form"), document.querySelector("pre")];
  socket.onmessage = ({ data }) => page.textContent += data + "\\n";
  socket.onclose = () => page.textContent += "It is over.\\n";
  form.onsubmit = (event) => {
    event.preventDefault();
    socket.send(form[0].value);
    form.reset();
  };
</script>
`;

const echo: Handlers = {
  onMessage: (peer, message) => peer.send(message),
};

const room = new Set<Peer>();
const chat: Handlers = {
  onOpen: (peer) => void room.add(peer),
  onClose: (peer) => void room.delete(peer),
  onMessage(_, message) {
    for (const each of room) {
      each.send(message);
      each.flush();
      if (!each.isWritable) each.cut(); // it does not read: nobody waits for it
    }
  },
};

const services = new Map([["/", echo], ["/echo", echo], ["/chat", chat]]);
const peers = new Set<Peer>();

const answer: Answer = (request, response) => {
  const service = services.get(request.path);
  if (service === undefined) return response.send(404, TEXT, `There is no ${request.path}\n`);
  if (!isUpgrade(request)) {
    if (request.path === "/") return response.send(200, HTML, PAGE);
    return response.send(426, VERSIONS, "This is for WebSocket\n");
  }
  if (!isVersionKnown(request)) return response.send(426, VERSIONS);
  response.switchTo(upgradeFields(request), (connection) => {
    const peer = new Peer(connection, service);
    peers.add(peer);
    connection.addCloseCallback(() => void peers.delete(peer));
    connection.readTimeoutMs = SILENCE_MS_MAX;
    return () => peer.onRequest();
  });
};

const loop = new EventLoop(http(answer), {
  connectionsMax: 10_000,
  readTimeoutMs: 10_000, // a head
  writeTimeoutMs: 30_000,
  idleTimeoutMs: SILENCE_MS_MAX,
  limits: { memoryBytesMax: 256 << 20 }, // of all connections together
  onError: (error) => console.error(`A client was cut off: ${(error as Error).message}`),
});
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });
setInterval(() => peers.forEach((peer) => peer.ping()), PING_MS).unref();

const { at } = readArguments(USAGE, 8081, {});
const listener = listen(at);
const { at: place } = placeOf(listener);
console.log(`Listening on ${place}; Ctrl-C stops it`);
console.log(`Try: http://${place}/ in a browser   python3 -m websockets ws://${place}/echo`);
await loop.serve(listener);
console.log("Stopped");
