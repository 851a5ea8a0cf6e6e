/**
 * Chains whose owner was dropped without `close()`: their memory comes back when the collector gets
 * to it.
 */
import { config, say } from "../core/config.ts";
import { CLOSED, type LinkChain } from "./link_chain.ts";

/** Debug mode: the stack that made a chain. */
const origins = new WeakMap<LinkChain, string>();

const registry: FinalizationRegistry<LinkChain> = new FinalizationRegistry((chain) => {
  if (config.debug && chain.heldBytes > 0) {
    const made = origins.get(chain) ?? "";
    say(
      "warn",
      `a buffer was dropped without close(), with ${chain.heldBytes} bytes of memory${made}`,
    );
  }
  chain.close(CLOSED);
});

/**
 * Gives a chain's memory back when its owner is gone. In debug mode that is reported, with who made
 * it.
 */
export function reclaimFrom(owner: object, chain: LinkChain): void {
  if (config.debug) origins.set(chain, new Error(", made").stack?.slice("Error".length) ?? "");
  registry.register(owner, chain, chain);
}

/** The owner has closed the chain. */
export function forgetOwner(chain: LinkChain): void {
  registry.unregister(chain);
}
