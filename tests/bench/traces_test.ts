import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { callsPerMessage, readBytes } from "../../bench/harness/traces.ts";

test("callsPerMessage() divides the table of strace -c, without its total", () => {
  const table = `    calls syscall
--------- ----------------
      200 sendto
      201 recvfrom
        1 epoll_wait
--------- ----------------
      402 total
`;
  assertEquals(callsPerMessage(table, 100), { sendto: 2, recvfrom: 2.01, epoll_wait: 0.01 });
});

test("readBytes() adds what was received and subtracts what is unread", () => {
  const sockets = `LISTEN 3 4096 127.0.0.1:80 0.0.0.0:* cubic cwnd:10
ESTAB 0      0 127.0.0.1:80 127.0.0.1:5000 cubic bytes_sent:9 bytes_received:700 rcv_rtt:1
ESTAB 64    12 127.0.0.1:80 127.0.0.1:5001 cubic bytes_received:100
`;
  assertEquals(readBytes(sockets), 736);
});
