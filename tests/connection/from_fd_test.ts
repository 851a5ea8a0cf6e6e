import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { dial, socketPair } from "../../mod.ts";
import { echoServer } from "../support/echo_server.ts";
import { leaks } from "../support/leaks.ts";
import { faultTest, shorten } from "../support/faults.ts";

test("socketPair() connects two ends (netpoll 164)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    a.writer.writeString("hello");
    await a.writer.flush();
    await b.reader.wait(5);
    assertEquals(b.reader.readString(5), "hello");
    await a.close();
    await b.close();
  }));

test("echo", () =>
  leaks(async () => {
    await using server = echoServer();
    await using c = await dial("tcp", server.at);
    c.writer.writeString("hello");
    await c.writer.flush();
    await c.reader.wait(5);
  }));
faultTest("short", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    shorten("send", 2, { fd: a.fd, count: 1 });
    a.writer.writeString("hello");
    await a.writer.flush();
    await b.reader.wait(5);
    assertEquals(b.reader.readString(5), "hello");
    await a.close();
    await b.close();
  }));
