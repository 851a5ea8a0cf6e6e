/**
 * All that is done over a bad network.
 */
import { MESSAGES } from "./messages.ts";
import type { Scenario } from "./scenario.ts";
import { STRANGERS } from "./strangers.ts";
import { STREAMS } from "./streams.ts";

/** By name. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  ...STREAMS,
  ...MESSAGES,
  ...STRANGERS,
};
