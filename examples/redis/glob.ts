/**
 * Patterns of Redis: `*`, `?`, `[abc]`, `[^a-z]`, and `\` before what is meant as it stands.
 */

/** Patterns with more stars match nothing, as in Redis. */
const STARS_MAX = 1000;

/** True when a text matches. Its time grows with both lengths: a RegExp of many stars may take for ever. */
export function matches(pattern: string, text: string): boolean {
  if (pattern.length > STARS_MAX && pattern.split("*").length > STARS_MAX) return false;
  let at = 0;
  let i = 0;
  let star = -1; // where to go on when what follows the last star does not match here
  let starAt = 0;
  while (at < text.length) {
    const next = pattern[i] === "*" ? -1 : stepAfter(pattern, i, text[at]!);
    if (next > 0) {
      i = next;
      at += 1;
    } else if (pattern[i] === "*") {
      star = ++i;
      starAt = at;
    } else if (star >= 0) {
      i = star;
      at = ++starAt;
    } else {
      return false;
    }
  }
  while (pattern[i] === "*") i += 1;
  return i === pattern.length;
}

/** The place where the pattern goes on behind the part that matches a character; -1 without a match. */
function stepAfter(pattern: string, i: number, character: string): number {
  const first = pattern[i];
  if (first === undefined) return -1;
  if (first === "?") return i + 1;
  if (first === "\\" && i + 1 < pattern.length) return pattern[i + 1] === character ? i + 2 : -1;
  if (first !== "[") return first === character ? i + 1 : -1;
  const isNot = pattern[i + 1] === "^";
  let isIn = false;
  for (i += isNot ? 2 : 1; i < pattern.length && pattern[i] !== "]"; i++) {
    if (pattern[i] === "\\" && i + 1 < pattern.length) i += 1;
    const low = pattern[i]!;
    const isRange = pattern[i + 1] === "-" && i + 2 < pattern.length;
    const high = isRange ? pattern[i += 2]! : low;
    if ((low <= character && character <= high) || (high <= character && character <= low)) {
      isIn = true;
    }
  }
  return isIn === isNot ? -1 : Math.min(i + 1, pattern.length);
}
