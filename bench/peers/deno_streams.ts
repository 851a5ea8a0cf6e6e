/**
 * An echo on Deno.listen, with web streams: `deno_streams.ts PORT MESSAGE_BYTES MODE`.
 */
import process from "node:process";
import { encodeFrames, FrameSplitter, isLate, LATE_MS } from "./frames.mjs";

type Bytes = Uint8Array<ArrayBuffer>;

/** Turns chunks into answers: those whose requests came together go together. */
function answers(isTail: boolean): TransformStream<Bytes, Bytes> {
  const splitter = new FrameSplitter();
  return new TransformStream({
    async transform(chunk, controller) {
      let payloads = splitter.split(chunk);
      for (let late = isTail ? payloads.findIndex(isLate) : -1; late >= 0;) {
        if (late > 0) controller.enqueue(encodeFrames(payloads.slice(0, late)));
        await new Promise((resolve) => setTimeout(resolve, LATE_MS));
        controller.enqueue(encodeFrames([payloads[late]!]));
        payloads = payloads.slice(late + 1);
        late = payloads.findIndex(isLate);
      }
      if (payloads.length > 0) controller.enqueue(encodeFrames(payloads));
    },
  });
}

/** All members. */
const members = new Set<WritableStreamDefaultWriter<Bytes>>();

/** Sends every frame to all others, and waits for slow ones. */
async function broadcast({ readable, writable }: Deno.TcpConn): Promise<void> {
  const writer = writable.getWriter();
  const splitter = new FrameSplitter();
  members.add(writer);
  try {
    for await (const chunk of readable) {
      const payloads = splitter.split(chunk);
      if (payloads.length === 0) continue;
      const frames = encodeFrames(payloads);
      const others = [...members].filter((member) => member !== writer);
      // A member that is gone is removed by its own function.
      await Promise.all(others.map((member) => member.write(frames).catch(() => {})));
    }
  } finally {
    members.delete(writer);
    await writer.close();
  }
}

type Mode = "echo" | "framed" | "tail" | "broadcast";
const HANDLERS: Readonly<Record<Mode, (connection: Deno.TcpConn) => Promise<void>>> = {
  echo: ({ readable, writable }) => readable.pipeTo(writable),
  framed: ({ readable, writable }) => readable.pipeThrough(answers(false)).pipeTo(writable),
  tail: ({ readable, writable }) => readable.pipeThrough(answers(true)).pipeTo(writable),
  broadcast,
};
const handle = HANDLERS[(process.argv[4] ?? "echo") as Mode];

const listener = Deno.listen({ hostname: "127.0.0.1", port: Number(process.argv[2]) });
console.log(`listening ${listener.addr.port}`);
for await (const connection of listener) {
  connection.setNoDelay();
  handle(connection).catch(() => {}); // the client went away, or announced too long a payload
}
