// deno run --allow-ffi --allow-net examples/dns_server.ts   or   bun examples/dns_server.ts

/**
 * Answers DNS queries over UDP: of names that it was given itself, and of all others by asking
 * another server; at localhost:5353 unless told otherwise. Messages are in examples/dns/; here is
 * whose answer a query gets.
 *
 * @module
 */
import { fail, listenDatagrams, orFail, readArguments, stopAsked } from "./command_line.ts";
import { Forwarder } from "./dns/forwarder.ts";
import { type Answer, Code, Flag, readQuery, writeAnswer } from "./dns/message.ts";
import { Zone } from "./dns/zone.ts";

const USAGE = `Usage: dns_server.ts [HOST:PORT] [--record NAME=VALUE …] [--upstream HOST:PORT]

  --record NAME=VALUE    a name of ours; the value is an IPv4 or IPv6 address, or a text
  --upstream HOST:PORT   the server that knows all other names`;

const { at, values } = readArguments(USAGE, 5353, {
  record: { type: "string", multiple: true },
  upstream: { type: "string" },
});
const zone = new Zone();
const HELLO = ["hello.test=192.0.2.1", "hello.test=2001:db8::1", "hello.test=Hello from netpoll"];
orFail(() => (values.record ?? HELLO).forEach((record) => zone.add(record)));
const forwarder = values.upstream === undefined
  ? null
  : await Forwarder.to(values.upstream).catch(fail);
const stopped = stopAsked();

const socket = listenDatagrams(at, {
  onDatagram(datagram) {
    const { bytes } = datagram;
    const query = readQuery(bytes);
    if (query === null) return;
    const flags = forwarder === null ? 0 : Flag.RECURSION_AVAILABLE;
    const reply = (code: number, more = 0, answers: readonly Answer[] = []) =>
      datagram.reply(writeAnswer(bytes, query, code, { flags: flags | more, answers }));
    const known = zone.find(query.name, query.type);
    if (query.code !== Code.OK) reply(query.code);
    else if (known !== null) reply(Code.OK, Flag.AUTHORITATIVE, known);
    else if (forwarder === null) {
      reply(zone.isParent(query.name) ? Code.OK : Code.NO_NAME, Flag.AUTHORITATIVE);
    } else {
      // The cursor has moved on when the answer comes; the forwarder copies the bytes.
      const answerLater = datagram.replyLater();
      forwarder.ask(bytes, query, (answer) => {
        if (socket.fd < 0) return;
        answerLater(answer);
        void socket.flush();
      });
    }
  },
}, (host, port) => `dig @${host} -p ${port} hello.test`);

await stopped;
await forwarder?.close();
await socket.close();
console.log("Stopped");
