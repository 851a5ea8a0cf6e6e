/**
 * The names that a module exports.
 */

/** The names in the text of a module that re-exports, types included. */
export function namesIn(text: string): string[] {
  const lists = text.matchAll(/^export (?:type )?\{([^}]*)\} from /gm);
  return [...lists].flatMap(([, list]) => list!.split(",").map((one) => one.trim()).filter(Boolean))
    .map((one) => one.replace(/^type /, "").replace(/^.* as /, ""));
}
