/**
 * Chromium without a window, told what to do over its DevTools protocol.
 */
import { existsSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { Program } from "../../scripts/program.ts";
import { withDirectory } from "./library.ts";
import { delay } from "./until.ts";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"];

/** A page of a browser. */
export interface Page {
  /** What it has complained of: errors of its scripts, and what it could not load. */
  readonly complaints: string[];
  /** The value of an expression there. */
  evaluate<T>(expression: string): Promise<T>;
  /** Any command of the DevTools protocol. */
  call<T>(method: string, params?: object): Promise<T>;
}

/** Sends commands and gets their results; events go to a function. */
function talk(socket: WebSocket, onEvent: (method: string, params: unknown) => void): Page["call"] {
  const waiting: ((result: never) => void)[] = [];
  socket.addEventListener("message", ({ data }) => {
    const { id, result, method, params } = JSON.parse(data);
    if (id === undefined) onEvent(method, params);
    else waiting[id]!(result as never);
  });
  return (method, params = {}) =>
    new Promise((resolve) => {
      socket.send(JSON.stringify({ id: waiting.push(resolve) - 1, method, params }));
    });
}

/** Opens a page in a browser of its own while it looks. The browser is killed after `timeoutMs`. */
export function withPage(
  url: string,
  look: (page: Page) => Promise<void>,
  timeoutMs = 60_000,
): Promise<void> {
  return withDirectory(async (directory) => {
    const argv = ["chromium", ...FLAGS, `--user-data-dir=${directory}`, "about:blank"];
    const browser = new Program({ argv, timeoutMs });
    try {
      const file = `${directory}/DevToolsActivePort`;
      while (!existsSync(file) || !readFileSync(file, "utf8").includes("\n")) {
        if (browser.outcome !== null) throw new Error(`chromium: ${browser.stderr}`);
        await delay(20);
      }
      const [port] = readFileSync(file, "utf8").split("\n");
      const pages = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
      const found = pages.find(({ type }: { type: string }) => type === "page");
      const socket = new WebSocket(found.webSocketDebuggerUrl);
      await once(socket, "open");
      const complaints: string[] = [];
      const call = talk(socket, (method, params) => {
        if (/^(Runtime.exceptionThrown|Runtime.consoleAPICalled|Log.entryAdded)$/.test(method)) {
          complaints.push(JSON.stringify(params));
        }
      });
      for (const domain of ["Runtime", "Log", "Page"]) await call(`${domain}.enable`);
      await call("Page.navigate", { url });
      const evaluate = async <T>(expression: string) =>
        (await call<{ result: { value: T } }>("Runtime.evaluate", { expression })).result.value;
      await look({ complaints, call, evaluate });
      socket.close();
    } finally {
      await browser.stop();
    }
  });
}
