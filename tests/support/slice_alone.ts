/**
 * A program: imports one entry, and takes a slice of what that entry's reader or datagram has. Its
 * argument is the entry.
 */
import type { LinkBuffer } from "../../mod.ts";
import process from "node:process";

const encoder = new TextEncoder();

const slices: Record<string, () => Promise<LinkBuffer>> = {
  async udp() {
    const { datagramPair } = await import("../../src/entries/udp.ts");
    const [a, b] = datagramPair({}, { readTimeoutMs: 3000 });
    a.write(encoder.encode("sliced"));
    await a.flush();
    await b.wait();
    const slice = b.datagrams.at(0).slice();
    await Promise.all([a.close(), b.close()]);
    return slice;
  },
  async testing() {
    const { memoryPair } = await import("../../src/entries/testing.ts");
    const [a, b] = memoryPair();
    a.writer.writeString("sliced");
    await a.writer.flush();
    await b.reader.wait(6);
    const slice = b.reader.slice(6);
    await Promise.all([a.close(), b.close()]);
    return slice;
  },
  async adapter() {
    const { readerFrom } = await import("../../src/entries/adapter.ts");
    const reader = readerFrom(new Blob(["sliced"]).stream());
    await reader.wait(6);
    return reader.slice(6);
  },
};

const slice = await slices[process.argv[2]!]!();
console.log(slice.readString(6));
