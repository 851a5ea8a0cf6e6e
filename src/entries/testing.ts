/**
 * For tests of network programs: two connections without a socket, over a line as bad as a test wants
 * it; a clock that a test moves; and all the cases of a protocol, at every split and at every loss.
 * With real descriptors, `socketPair` of `@netpoll/netpoll` does it.
 *
 * @example A server's handler without a server
 * ```ts
 * import { memoryPair } from "@netpoll/netpoll/testing";
 *
 * const [client, server] = memoryPair();
 * server.setOnRequest(({ reader, writer }) => {
 *   writer.writeString(reader.readString(reader.length).toUpperCase());
 *   void writer.flush();
 * });
 * client.writer.writeString("ping");
 * await client.writer.flush();
 * await client.reader.wait(4);
 * console.log(client.reader.readString(4)); // "PING"
 * await client.close();
 * await server.closed;
 * ```
 *
 * @example A protocol, wherever its bytes are cut and wherever the connection is lost
 * ```ts
 * import { type Connection } from "@netpoll/netpoll";
 * import { everyLoss, everySplit } from "@netpoll/netpoll/testing";
 *
 * async function protocol(client: Connection, server: Connection) {
 *   client.writer.writeString("ping");
 *   await client.writer.flush();
 *   await server.reader.wait(4);
 *   if (server.reader.readString(4) !== "ping") throw new Error("it has read something else");
 * }
 *
 * const splits = await everySplit(protocol);
 * const losses = await everyLoss(protocol);
 * console.log(splits.cases, losses.cases); // 12 13
 * ```
 *
 * @module
 */
export {
  type CaseCounts,
  type CaseFaults,
  type CaseRun,
  everyLoss,
  type EveryLossOptions,
  everySplit,
  type EverySplitOptions,
  type Loss,
} from "../client/every_case.ts";
export {
  type LineDelay,
  type LineFaults,
  memoryPair,
  type MemoryPairOptions,
} from "../client/memory_pair.ts";
export { FakeClock } from "../poll/fake_clock.ts";
