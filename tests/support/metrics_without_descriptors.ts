/**
 * A program: opens files until there is no descriptor left, and says what is then known of it.
 */
import { openSync } from "node:fs";
import { metrics } from "../../mod.ts";

metrics(); // what it opens once, is open
try {
  for (;;) openSync("/dev/null", "r");
} catch (error) {
  const { process: about } = metrics();
  console.log((error as { code?: string }).code, about.residentBytes, about.userMicros > 0);
}
