/**
 * What makes a network program testable: two connections without a socket, and a clock that a test
 * moves. With real descriptors, `socketPair` of `@netpoll/netpoll` does it.
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
