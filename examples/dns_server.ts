// deno run --allow-ffi --allow-net examples/dns_server.ts   or   bun examples/dns_server.ts

/**
 * Answers DNS queries over UDP: of names that it was given itself, and of all others by asking
 * another server. `dns_server.ts [HOST:PORT] [--record NAME=VALUE …] [--upstream HOST:PORT]`; at
 * localhost:5353 unless told otherwise. A value is an IPv4 or IPv6 address, or a text.
 *
 * Try it with `dig @localhost -p 5353 hello.test`.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { parseArgs } from "node:util";
import { createDatagramSocket } from "../mod.ts";
import { Forwarder } from "./dns/forwarder.ts";
import { Code, readQuery, writeAnswer } from "./dns/message.ts";
import { Zone } from "./dns/zone.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { record: { type: "string", multiple: true }, upstream: { type: "string" } },
});
const zone = new Zone();
const HELLO = ["hello.test=192.0.2.1", "hello.test=2001:db8::1", "hello.test=Hello from netpoll"];
for (const record of values.record ?? HELLO) zone.add(record);
const forwarder = values.upstream === undefined ? null : await Forwarder.to(values.upstream);

const socket = createDatagramSocket("udp", positionals[0] ?? "localhost:5353", {
  onDatagram(datagram) {
    const { bytes, peer } = datagram;
    const query = readQuery(bytes);
    if (query === null) return;
    const known = zone.find(query.name, query.type);
    if (!query.isUsual) datagram.reply(writeAnswer(bytes, query, Code.NOT_IMPLEMENTED));
    else if (known !== null) datagram.reply(writeAnswer(bytes, query, Code.OK, known));
    else if (forwarder === null) datagram.reply(writeAnswer(bytes, query, Code.NO_NAME));
    else {
      // The cursor has moved on when the answer comes. The peer is owned, and so is the copy that the
      // forwarder makes of the bytes.
      forwarder.ask(bytes, query, (answer) => {
        if (socket.fd < 0) return;
        socket.writeTo(peer, answer);
        void socket.flush();
      });
    }
  },
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, async () => {
    await forwarder?.close();
    await socket.close();
  });
}

const { hostname, port } = socket.localAddress;
console.log(`Listening on ${hostname}:${port}; Ctrl-C stops it`);
console.log(`Try it: dig @${hostname} -p ${port} hello.test`);
await socket.closed;
