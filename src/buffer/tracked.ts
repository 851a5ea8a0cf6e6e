/**
 * Debug mode: what is lent is a copy that `release` can take away, so that a view used too late is
 * empty.
 */
import { config } from "../core/config.ts";

const lent = new WeakMap<object, Uint8Array<ArrayBuffer>[]>();
let isUsed = false;

/** The array to hand out in place of a view. */
export function track(chain: object, view: Uint8Array): Uint8Array {
  if (!config.debug) return view;
  isUsed = true;
  const copy = new Uint8Array(view);
  const views = lent.get(chain);
  if (views === undefined) lent.set(chain, [copy]);
  else views.push(copy);
  return copy;
}

/** Takes away what a chain has lent. */
export function takeBack(chain: object): void {
  if (!isUsed) return;
  for (const { buffer } of lent.get(chain) ?? []) structuredClone(buffer, { transfer: [buffer] });
  lent.delete(chain);
}
