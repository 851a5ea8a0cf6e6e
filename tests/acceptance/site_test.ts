/**
 * The site in Chromium, from the disk: at the width of a phone and of a desk, light and dark, by the
 * keyboard, and as axe-core sees it, which knows the rules of WCAG.
 */
import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { after, test } from "node:test";
import { type Page, withPage } from "../support/browser.ts";
import { root } from "../support/library.ts";
import { lacks } from "../support/tool.ts";
import { delay } from "../support/until.ts";
import { makeSite, type Site } from "../site/make_site.ts";

const AXE = `${root}/tests/acceptance/node_modules/axe-core/axe.min.js`;
const NO_AXE = "not installed: axe-core; scripts/acceptance_tools.sh installs it";
const skip = lacks("chromium") || (!existsSync(AXE) && NO_AXE);
if (skip === NO_AXE) console.log(`  skipped: ${skip}`);
/** On a machine that is busy with other tests. */
const BROWSER_MS = 200_000;

/** A page of each kind. */
const KINDS = [
  "index.html",
  "documents/docs_FROM_BUN_LISTEN.html",
  "documents/examples_echo_server_ts.html",
  "classes/core.Connection.html",
  "modules/core.html",
];

const made: Site | null = skip === false ? makeSite() : null;
after(() => made?.remove());

/** Opens the site in a browser while it looks. */
async function withSite(look: (page: Page) => Promise<void>): Promise<void> {
  await withPage("about:blank", look, BROWSER_MS);
}

/** Evaluates an expression, and what it promises. Throws what it throws. */
async function ask<T>(page: Page, expression: string): Promise<T> {
  const { result, exceptionDetails } = await page.call<
    { result: { value: T }; exceptionDetails?: unknown }
  >("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  assertEquals(exceptionDetails, undefined, expression.slice(0, 100));
  return result.value;
}

/** Goes to a page of the site, until it is shown with its menu. */
async function open(page: Page, path: string): Promise<void> {
  const url = `file://${made!.folder}/${path}`;
  await page.call("Page.navigate", { url });
  const isShown = `location.href === "${url}" && document.readyState === "complete" &&
    document.body.offsetHeight > 0 && document.querySelector("#tsd-nav-container li") !== null`;
  for (;;) {
    // There is no result at the moment when one page follows the other.
    const answer = await page.call<{ result?: { value: unknown } } | undefined>(
      "Runtime.evaluate",
      { expression: isShown },
    );
    if (answer?.result?.value === true) return;
    await delay(20);
  }
}

async function press(page: Page, key: string, text?: string): Promise<void> {
  const event = { key, ...(text === undefined ? {} : { text }) };
  await page.call("Input.dispatchKeyEvent", { type: "keyDown", ...event });
  await page.call("Input.dispatchKeyEvent", { type: "keyUp", key });
}

async function setWidth(page: Page, width: number): Promise<void> {
  const metrics = { width, height: 844, deviceScaleFactor: 1, mobile: false };
  await page.call("Emulation.setDeviceMetricsOverride", metrics);
}

/** The findings that axe-core calls serious or critical, as "rule: element". */
async function seriousIn(page: Page, options: object = {}): Promise<string[]> {
  return await ask(
    page,
    `axe.run(document, ${JSON.stringify({ resultTypes: ["violations"], ...options })})
      .then(({ violations }) => violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ": " + target.join(" "))))`,
  );
}

/** The rules that depend on colours: all others see no scheme. */
const OF_COLOURS = { runOnly: ["color-contrast", "link-in-text-block"] };

async function setScheme(page: Page, value: "light" | "dark"): Promise<void> {
  const features = [{ name: "prefers-color-scheme", value }];
  await page.call("Emulation.setEmulatedMedia", { features });
}

for (const width of [390, 1280]) {
  test(
    `every kind of page is accessible, ${width} pixels wide, light and dark`,
    { skip },
    () =>
      withSite(async (page) => {
        await setWidth(page, width);
        for (const path of KINDS) {
          await setScheme(page, "light");
          await open(page, path);
          const root = "document.documentElement";
          const over = await ask<number>(page, `${root}.scrollWidth - ${root}.clientWidth`);
          assertEquals(over, 0, `${path} scrolls to the side`);
          await ask(page, `${readFileSync(AXE, "utf8")}; true`);
          assertEquals(await seriousIn(page), [], `${path}, light`);
          await setScheme(page, "dark");
          assertEquals(await seriousIn(page, OF_COLOURS), [], `${path}, dark`);
        }
      }),
  );
}

test(
  "the keyboard skips to the content, searches documents and opens the menu",
  { skip },
  () =>
    withSite(async (page) => {
      await setWidth(page, 1280);
      await open(page, "documents/docs_QUESTIONS.html");
      await press(page, "Tab");
      assertEquals(await ask(page, "document.activeElement.textContent"), "Skip to the content");
      await press(page, "Enter", "\r");
      assertEquals(await ask(page, "document.activeElement.id"), "content");

      await press(page, "/", "/");
      await page.call("Input.insertText", { text: "back-pressure" });
      const found = `[...document.querySelectorAll("#tsd-search-results li")]
      .map(({ textContent }) => textContent.trim())`;
      let results: string[] = [];
      while (results.length === 0) results = await ask(page, found);
      assert(results[0]!.includes("Back-pressure"), results.join(", "));

      await setWidth(page, 390);
      await open(page, "documents/docs_PATTERNS.html");
      const hasMenu = `document.documentElement.classList.contains("has-menu")`;
      await ask(page, `document.getElementById("tsd-toolbar-menu-trigger").focus()`);
      await press(page, " ", " ");
      assertEquals(await ask(page, hasMenu), true);
      await press(page, "Escape");
      assertEquals(await ask(page, hasMenu), false);
    }),
);
