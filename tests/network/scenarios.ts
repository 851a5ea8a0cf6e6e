/**
 * All that is done over a bad network.
 */
import { DATAGRAMS } from "./datagrams.ts";
import { DEADLINES } from "./deadlines.ts";
import { MESSAGES } from "./messages.ts";
import type { Scenario } from "./scenario.ts";
import { STRANGERS } from "./strangers.ts";
import { STREAMS } from "./streams.ts";
import { VANISHING } from "./vanishing.ts";

/** By name. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  ...STREAMS,
  ...MESSAGES,
  ...DATAGRAMS,
  ...STRANGERS,
  ...DEADLINES,
  ...VANISHING,
};
