/**
 * Connections over sockets with TLS, whose handshake is over when a test gets them.
 */
import { native } from "../../../ffi/load.ts";
import type { Connection } from "../../../mod.ts";
import { insideOf } from "../../../src/connection/socket_connection.ts";
import { beginTls } from "../../../src/transport/start_tls.ts";
import { tlsTransport } from "../../../src/transport/tls_transport.ts";
import { authority, NO_TLS, serverIdentity } from "../pki.ts";
import type { TestTransport } from "../transport.ts";
import { transport as socket } from "./socket.ts";

if (NO_TLS !== false) throw new Error(`Cannot test over TLS: ${NO_TLS}`);

const SERVER = serverIdentity();
const CLIENT = { authorities: authority().certificate, serverName: "localhost" };
/** Both sides of a handshake on this machine have taken their turns by then. */
const TURNS_MAX = 100;

/** Does the handshake of both ends, within the call: nothing of theirs has run before it. */
function secure(pair: [Connection, Connection]): [Connection, Connection] {
  const [server, client] = pair.map((each) => insideOf(each, "secure"));
  beginTls(server!, "server", SERVER);
  beginTls(client!, "client", CLIENT);
  const step = () => [client!, server!].map(({ fd }) => native.tlsHandshake(fd));
  let steps = step();
  for (let i = 0; i < TURNS_MAX && !steps.every((each) => each === 0); i++) steps = step();
  if (!steps.every((each) => each === 0)) throw new Error(`the handshake ended with ${steps}`);
  for (const each of [server!, client!]) {
    each.lend();
    each.takeBack(each, tlsTransport);
  }
  return pair;
}

/** TLS over what the tests over sockets use. */
export const transport: TestTransport = {
  lacks: {
    "plain bytes": "nobody else can go on with its TLS session, and no kernel can move its bytes",
    "exact account": "a record that has left in part is of no use to the peer",
  },
  pair: (ours, theirs) => secure(socket.pair(ours, theirs)),
  tcpPair: async (accepted) => secure(await socket.tcpPair(accepted)),
};
