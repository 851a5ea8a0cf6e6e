/**
 * A connection that goes on in another process, with what was read already.
 */
import { assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import {
  closeDescriptor,
  type Connection,
  createListener,
  dial,
  EventLoop,
  sendDescriptors,
} from "../../mod.ts";
import { start } from "../support/child.ts";
import { answerFrames, framed } from "../support/frame_answers.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { until } from "../support/until.ts";

const TEXTS = ["first", "", "the second one", "3"];
const BYTES = framed(TEXTS);

/** The frames that were answered, and who answered each. */
async function answersOf({ reader }: Connection): Promise<[by: string, text: string][]> {
  const answers: [string, string][] = [];
  while (answers.length < TEXTS.length) {
    await reader.wait(2);
    const by = reader.readString(1);
    const length = reader.readByte();
    await reader.wait(length);
    answers.push([by, reader.readString(length)]);
  }
  return answers;
}

for (const network of ["tcp", "unix"] as const) {
  test(`a ${network} connection goes on in another process at every split of its frames`, () =>
    leaks(async () => {
      const path = `@netpoll-handed-over-${network}-${process.pid}`;
      const came = Promise.withResolvers<Connection>();
      const channels = new EventLoop(null, { onConnect: (one) => came.resolve(one) as undefined });
      const served = channels.serve(createListener("unix", path));
      const child = start(`${root}tests/support/take_over.ts`, { args: [path] });
      const channel = await came.promise;

      let here: Connection | null = null;
      const server = new EventLoop((connection) => {
        here = connection;
        answerFrames(connection, "A");
      }, { onConnect: (connection) => void (here = connection) as undefined });
      const listener = network === "tcp"
        ? createListener("tcp", "127.0.0.1:0")
        : createListener("unix", `${path}-served`);
      const { address } = listener;
      const serving = server.serve(listener);

      for (let split = 0; split <= BYTES.length; split++) {
        here = null;
        const client = await dial(address);
        client.writer.writeBinary(BYTES.slice(0, split));
        await client.writer.flush();
        const complete = TEXTS.filter((_, n) =>
          framed(TEXTS.slice(0, n + 1)).length <= split
        ).length;
        const rest = split - framed(TEXTS.slice(0, complete)).length;
        await until(() => here?.metrics().receivedBytes === split, "the first bytes come");
        assertEquals((here as unknown as Connection).reader.length, rest);
        // Half of the splits leave to the kernel, or to the way, what comes next.
        const { reader } = here as unknown as Connection;
        if (split % 2 === 1) {
          client.writer.writeBinary(BYTES.slice(split));
          await client.writer.flush();
        }
        const unread = reader.readBinary(reader.length);
        await (here as unknown as Connection).writer.flush();
        const fd = (here as unknown as Connection).detach();
        await sendDescriptors(channel, [fd], new Uint8Array([unread.length, ...unread]));
        closeDescriptor(fd);
        await channel.reader.wait(1);
        channel.reader.skip(1);
        channel.reader.release();
        if (split % 2 === 0) {
          client.writer.writeBinary(BYTES.slice(split));
          await client.writer.flush();
        }
        const answers = await answersOf(client);
        assertEquals(answers.map(([, text]) => text), TEXTS, `split at ${split}`);
        const byUs = answers.filter(([by]) => by === "A").length;
        assertEquals(byUs >= complete && (split % 2 === 1 || byUs === complete), true, `${byUs}`);
        await client.close();
      }
      await channel.close();
      assertEquals((await child.ended).code, 0);
      await Promise.all([server.shutdown(), channels.shutdown()]);
      await Promise.all([serving, served]);
    }));
}
