import { assertEquals, assertRejects } from "@std/assert";
import { NetpollError } from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { failWith, faultTest, shorten } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { pattern, tcpPair } from "../support/pair.ts";
import { authority, NO_TLS, serverIdentity } from "../support/pki.ts";
import { soon, ticks } from "../support/until.ts";

const RECORD_BYTES = 16 * 1024;
const MANY_CALLS = 2 ** 30;

if (NO_TLS === false) {
  faultTest(
    "unsentBytes counts a record that has left in part: its peer can make nothing of it",
    () =>
      leaks(async () => {
        const [a, b] = await tcpPair();
        const trusted = { authorities: authority().certificate, serverName: "localhost" };
        await Promise.all([a.startTls("server", serverIdentity()), b.startTls("client", trusted)]);
        a.writer.writeBinary(pattern(40_000));
        shorten("send", RECORD_BYTES + 5000, { fd: a.fd });
        const flushed = a.writer.flush();
        failWith("send", ERRNO.EAGAIN, { fd: a.fd, count: MANY_CALLS });
        await ticks(5);
        assertEquals(await a.close({ timeoutMs: 0 }), { unsentBytes: 40_000 - RECORD_BYTES });
        await assertRejects(() => flushed, NetpollError);
        await assertRejects(() => soon(b.reader.wait(40_000)), NetpollError);
        assertEquals(b.reader.next(b.reader.length), pattern(RECORD_BYTES));
        await b.close();
      }),
  );
}
