/**
 * Waiting for what a server under attack does.
 */
import { AssertionError } from "@std/assert";
import { delay, tick } from "../support/until.ts";

/** When something is given up that should have come: only failures take so long. */
const PATIENCE_MS = 50_000;

/** Waits until it holds; fails when that takes too long, and says what did not come. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (let i = 0; !await holds(); i++) {
    if (performance.now() > end) {
      throw new AssertionError(`it never came: ${typeof what === "string" ? what : what()}`);
    }
    await (i < 20 ? tick() : delay(1));
  }
}
