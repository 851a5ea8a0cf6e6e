/**
 * Every target, in the order in which they run.
 */
import { ADDRESS_TARGETS } from "./addresses.ts";
import { BUFFER_TARGETS } from "./buffers.ts";
import { CODEC_TARGETS } from "./codecs.ts";
import { HTTP_TARGETS } from "./http.ts";
import { OPTION_TARGETS } from "./options.ts";
import { PEER_TARGETS } from "./peers.ts";
import { PROXY_TARGETS } from "./proxy.ts";
import { RESP_TARGETS } from "./resp.ts";
import type { Target } from "./target.ts";
import { TLS_TARGETS } from "./tls.ts";
import { RELAY_TARGETS } from "./tls_relay.ts";
import { TIMING_TARGETS } from "./timing.ts";

export const TARGETS: readonly Target[] = [
  ...BUFFER_TARGETS,
  ...CODEC_TARGETS,
  ...RESP_TARGETS,
  ...ADDRESS_TARGETS,
  ...PROXY_TARGETS,
  ...TIMING_TARGETS,
  ...OPTION_TARGETS,
  ...PEER_TARGETS,
  ...HTTP_TARGETS,
  ...TLS_TARGETS,
  ...RELAY_TARGETS,
];
