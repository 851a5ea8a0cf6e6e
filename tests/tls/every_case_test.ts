/**
 * TLS over a bad line: between two sockets stands a pair whose bytes are cut, or lost.
 */
import { assert, assertEquals } from "@std/assert";
import { type CaseRun, everyLoss, everySplit, pipe, socketPair } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, receive, send } from "../support/pair.ts";
import { authority, serverIdentity, tlsTest } from "../support/pki.ts";

const OPTIONS = { outsideMs: 4000, casesMax: 120 };

/** A handshake, a question, an answer, and the end of both sides. */
const talk: CaseRun = async (first, second) => {
  const [client, near] = socketPair();
  const [server, far] = socketPair();
  const line = Promise.allSettled([pipe(near, first), pipe(second, far)]);
  const identity = serverIdentity();
  const trust = { authorities: authority().certificate, serverName: "localhost" };
  const serve = async () => {
    await server.startTls("server", identity);
    await send(server, `you said ${await receive(server, 5)}`);
    await server.closeWrite();
  };
  const ask = async () => {
    await client.startTls("client", trust);
    await send(client, "hello");
    assertEquals(await receive(client, 14), "you said hello");
    await client.closeWrite();
  };
  const settled = await Promise.allSettled([ask(), serve()]);
  await Promise.allSettled([client.close({ timeoutMs: 0 }), server.close({ timeoutMs: 0 })]);
  await closeAll(near, far, first, second).catch(() => {});
  await line;
  for (const each of settled) if (each.status === "rejected") throw each.reason;
};

tlsTest("startTls() and what follows work however the records are cut", () =>
  leaks(async () => {
    const { toFirstBytes, toSecondBytes } = await everySplit(talk, OPTIONS);
    assert(toFirstBytes > 500 && toSecondBytes > 200, `${toFirstBytes} and ${toSecondBytes} bytes`);
  }));

tlsTest(
  "startTls() and what follows end, with an error that says so, wherever it is lost",
  () => leaks(async () => void await everyLoss(talk, { ...OPTIONS, casesMax: 200 })),
);
