import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { ClosedError, EofError, TimeoutError } from "../../src/core/errors.ts";
import { ShardQueue, type WriterGetter } from "../../src/mux/shard_queue.ts";
import { bufferOf } from "../buffer/balanced.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, receive, tcpPair } from "../support/pair.ts";
import { soon, tick, until } from "../support/until.ts";

/** A getter of text. */
function text(of: string): WriterGetter {
  return () => bufferOf(of);
}

test("add() writes everything, and close() waits for it (netpoll 187)", async () => {
  await leaks(async () => {
    const [a, b] = await tcpPair();
    const queue = new ShardQueue(a);
    for (let i = 0; i < 16; i++) queue.add(text("hello world"));
    await queue.close();
    assertEquals(await receive(b, 176), "hello world".repeat(16));
    await closeAll(a, b);
  });
});

test("add() after close() rejects, and so does a second close() (netpoll 188)", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const queue = new ShardQueue(a);
    await queue.close();
    let isCalled = false;
    const getter = () => {
      isCalled = true;
      return null;
    };
    await assertRejects(() => queue.add(getter), ClosedError, "after close()");
    await assertRejects(() => queue.close(), ClosedError, "twice");
    await queue[Symbol.asyncDispose]();
    queue.add(getter); // nobody looks, and nothing happens
    await tick();
    assertEquals(isCalled, false);
    assert(a.isActive, "the connection is its user's");
    await closeAll(a, b);
  });
});

test("add() skips a getter that gives null (netpoll 189)", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const queue = new ShardQueue(a);
    await queue.add(() => null, text("one"), () => null, () => new LinkBuffer());
    await queue.add(() => null);
    assertEquals(await receive(b, 3), "one");
    await queue.close();
    await closeAll(a, b);
  });
});

test("add() keeps the order of all (netpoll 190)", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const queue = new ShardQueue(a);
    let expected = "";
    for (let i = 0; i < 1000; i++) {
      expected += `${i},${i}.5,`;
      queue.add(text(`${i},`), text(`${i}.5,`));
      if (i % 100 === 0) await tick();
    }
    assertEquals(await receive(b, expected.length), expected);
    await queue.close();
    await closeAll(a, b);
  });
});

test("add() rejects when the connection is closed, and calls no getter (netpoll 191)", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const queue = new ShardQueue(a);
    let calledCount = 0;
    const added = [1, 2, 3].map(() => queue.add(() => (calledCount += 1, null)));
    assertEquals(queue.length, 3);
    await a.close();
    for (const each of added) await soon(assertRejects(() => each, ClosedError));
    assertEquals([calledCount, queue.length], [0, 0]);
    await queue.close();
    await closeAll(b);
  });
});

test("add() rejects with the reset that the peer sent", async () => {
  await leaks(async () => {
    const [a, b] = await tcpPair();
    const queue = new ShardQueue(a);
    b.reset();
    await a.closed.catch(() => {});
    await until(() => !a.isActive, "the reset");
    await assertRejects(() => queue.add(text("x")), EofError);
    await queue.close();
    await closeAll(a, b);
  });
});

test("add() rejects with what a getter threw, sends nothing of it, and the others go on", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const queue = new ShardQueue(a);
    const failure = new Error("on purpose");
    const before = queue.add(text("before "));
    const failing = queue.add(text("half "), () => {
      throw failure;
    }, text("never"));
    const after = queue.add(text("after"));
    assertStrictEquals(await assertRejects(() => failing, Error), failure);
    await Promise.all([before, after]);
    assertEquals(await receive(b, 12), "before after");
    assertEquals(b.reader.length, 0);
    await assertRejects(() => queue.add(() => "text" as unknown as LinkBuffer), TypeError);
    await queue.close();
    await closeAll(a, b);
  });
});

test("add() calls no getter before what was written has left: nothing is built in advance", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const queue = new ShardQueue(a);
    const bytes = new Uint8Array(4 << 20).fill(7);
    const large = () => {
      const buffer = new LinkBuffer();
      buffer.writeBinary(bytes);
      return buffer;
    };
    let isCalled = false;
    const first = queue.add(large);
    await until(() => a.writer.mallocLength === 0 && queue.length === 0, "the first is written");
    const second = queue.add(() => {
      isCalled = true;
      return null;
    });
    await tick();
    assertEquals([isCalled, queue.length], [false, 1]);
    await b.reader.wait(bytes.length);
    b.reader.skip(bytes.length);
    b.reader.release();
    await soon(Promise.all([first, second]));
    assertEquals(isCalled, true);
    await queue.close();
    await closeAll(a, b);
  });
});

test("a flush that fails closes the connection, and says so", async () => {
  await leaks(async () => {
    const [a, b] = pairWith({ writeTimeoutMs: 20 });
    const queue = new ShardQueue(a);
    const bytes = new Uint8Array(8 << 20);
    const added = queue.add(() => {
      const buffer = new LinkBuffer();
      buffer.writeBinary(bytes);
      return buffer;
    });
    await soon(assertRejects(() => added, TimeoutError));
    assertEquals(a.isActive, false);
    await queue.close();
    await closeAll(a, b);
    a.reset();
  });
});
