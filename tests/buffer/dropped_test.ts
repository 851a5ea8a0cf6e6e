import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { blocks } from "../../src/buffer/block.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { config, configure } from "../../src/core/config.ts";

const TURNS_MAX = 200;
const DROPPED = 20;
/** A conservative collector may take what lies on the stack for a reference to some of them. */
const KEPT_BYTES_MAX = 5 * 4096;

/** Makes the collector run: V8 can be asked to, elsewhere garbage makes it. */
function forceCollection(): () => void {
  try {
    setFlagsFromString("--expose-gc");
    return runInNewContext("gc") as () => void;
  } catch {
    return () => {
      for (let i = 0; i < 50; i++) new Uint8Array(1024 * 1024).fill(i);
    };
  }
}

function dropSome(): void {
  for (let i = 0; i < DROPPED; i++) {
    const buffer = new LinkBuffer();
    buffer.writeString("dropped");
    buffer.flush();
    buffer.slice(3);
  }
}

async function untilCollected(usedBytes: number): Promise<void> {
  const collect = forceCollection();
  for (let turn = 0; turn < TURNS_MAX && blocks.counts().usedBytes > usedBytes; turn++) {
    collect();
    await setImmediate();
  }
}

test("a LinkBuffer dropped without close() gives its memory back", async () => {
  const before = blocks.counts().usedBytes;
  dropSome();
  assert(blocks.counts().usedBytes > before);
  await untilCollected(before + KEPT_BYTES_MAX);
  const kept = blocks.counts().usedBytes - before;
  assert(kept <= KEPT_BYTES_MAX, `${kept} bytes`);
});

test("debug mode says who dropped a LinkBuffer without close()", async () => {
  const lines: string[] = [];
  const { log } = config;
  configure({ debug: true, log: (line) => lines.push(line) });
  const before = blocks.counts().usedBytes;
  dropSome();
  await untilCollected(before + KEPT_BYTES_MAX);
  configure({ debug: false, log });
  // Buffers that an earlier test dropped may be found only now.
  const line = lines.find((one) => one.includes("dropSome"));
  assertStringIncludes(line ?? "", "dropped without close(), with 4096 bytes of memory");
});

function closeSome(): void {
  for (let i = 0; i < 20; i++) {
    const buffer = new LinkBuffer(100);
    buffer.close();
  }
}

test("a LinkBuffer that was closed is not reported", async () => {
  const lines: string[] = [];
  const { log } = config;
  configure({ debug: true, log: (line) => lines.push(line) });
  closeSome();
  const before = blocks.counts().usedBytes;
  dropSome(); // to know when the collector has run
  await untilCollected(before + KEPT_BYTES_MAX);
  configure({ debug: false, log });
  assert(lines.some((line) => line.includes("dropSome")));
  assertEquals(lines.filter((line) => line.includes("closeSome")), []);
});

test("append() leaves no buffer to the collector that it has emptied", () => {
  const { register, unregister } = FinalizationRegistry.prototype;
  const watched = new Set<unknown>();
  // The registry is the module's own; both of its methods are asked for at each call.
  FinalizationRegistry.prototype.register = function (target, held, token) {
    watched.add(token);
    return register.call(this, target, held, token);
  };
  FinalizationRegistry.prototype.unregister = function (token) {
    watched.delete(token);
    return unregister.call(this, token);
  };
  try {
    const all = new LinkBuffer();
    const sizes: number[] = [watched.size];
    for (let i = 0; i < 1000; i++) {
      const part = new LinkBuffer();
      part.writeString("part");
      if (i % 2 === 0) part.flush();
      if (i === 0) sizes.push(watched.size);
      all.append(part);
    }
    sizes.push(watched.size);
    all.close();
    assertEquals([...sizes, watched.size], [1, 2, 1, 0]);
  } finally {
    Object.assign(FinalizationRegistry.prototype, { register, unregister });
  }
});
