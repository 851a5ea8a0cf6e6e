/**
 * Every target, in the order in which they run.
 */
import { CODEC_TARGETS } from "./codecs.ts";
import type { Target } from "./target.ts";

export const TARGETS: readonly Target[] = [...CODEC_TARGETS];
