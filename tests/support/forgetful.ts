/**
 * A file of tests, to be run twice: its test listens, is connected, and tidies nothing up.
 */
import { test } from "node:test";
import { createListener, dial, EventLoop } from "../../mod.ts";

const PORT = "0";

test("forgets its listener and both ends of a connection", async () => {
  void new EventLoop(() => {}).serve(createListener("tcp", `127.0.0.1:${PORT}`));
  await dial("tcp", `127.0.0.1:${PORT}`);
});
