import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { datagramPair, SystemError } from "../../mod.ts";
import { bytes, texts } from "../support/datagrams.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { soon } from "../support/until.ts";

test("datagramPair() gives two sockets that are each the peer of the other", async () => {
  await leaks(async () => {
    const [a, b] = datagramPair({ readTimeoutMs: 3000 }, { readTimeoutMs: 3000 });
    assertEquals([a.remoteAddress, b.remoteAddress], [b.localAddress, a.localAddress]);
    for (const [from, to] of [[a, b], [b, a]] as const) {
      from.write(bytes("ping"));
      await from.flush();
      assertEquals(await texts(to, 1), ["ping"]);
    }
    await a.close();
    await b.close();
  });
});

test("datagramPair() takes options for each, and refuses those it does not know", async () => {
  await leaks(async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const [a, b] = datagramPair({}, { onDatagram: ({ length }) => resolve(length) });
    a.write(bytes("four"));
    await a.flush();
    assertEquals(await soon(promise), 4);
    await a.close();
    await b.close();
    assertThrows(() => datagramPair({}, { onRequest() {} } as never), TypeError, "Unknown option");
    assertThrows(() => datagramPair({ ttl: 999 }), RangeError);
  });
});

faultTest("datagramPair() leaves nothing behind, whatever fails on the way", async () => {
  await leaks(() => {
    for (const call of ["socket", "bind", "connect", "sockname", "epollCtl"] as const) {
      for (const skip of [0, 1]) {
        failWith(call, 12, { skip });
        assertThrows(() => datagramPair(), SystemError);
      }
    }
  });
});
