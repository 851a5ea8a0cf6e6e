/**
 * Topics, and the filters that they match (MQTT 3.1.1, section 4.7).
 */

/** More levels than this nobody needs: a tree that is no deeper can be walked by recursion. */
const LEVELS_MAX = 64;
const LENGTH_MAX = 1024;

function isBounded(text: string): boolean {
  return text !== "" && text.length <= LENGTH_MAX &&
    text.split("/", LEVELS_MAX + 1).length <= LEVELS_MAX;
}

/** True for what a message can be published under. */
export function isTopic(text: string): boolean {
  return isBounded(text) && !/[+#]/.test(text);
}

/** True for what can be subscribed to: a wildcard is a level of its own, and # is the last. */
export function isFilter(text: string): boolean {
  return isBounded(text) && !/[^/][+#]|[+#][^/]|#\//.test(text);
}

/** True when a topic matches a filter. */
export function matches(filter: string, topic: string): boolean {
  if (topic.startsWith("$") && /^[+#]/.test(filter)) return false;
  const levels = topic.split("/");
  const wanted = filter.split("/");
  for (const [i, level] of wanted.entries()) {
    if (level === "#") return true;
    if (i >= levels.length || (level !== "+" && level !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

/** A level of a tree of filters. */
class Node<Key> {
  readonly children = new Map<string, Node<Key>>();
  /** Those whose filter ends here, and with what. */
  readonly values = new Map<Key, number>();
}

/** All subscriptions, as a tree: a message finds its subscribers without a look at all filters. */
export class Subscriptions<Key> {
  readonly #root = new Node<Key>();

  add(filter: string, key: Key, value: number): void {
    let node = this.#root;
    for (const level of filter.split("/")) {
      let child = node.children.get(level);
      if (child === undefined) node.children.set(level, child = new Node());
      node = child;
    }
    node.values.set(key, value);
  }

  delete(filter: string, key: Key): void {
    this.#delete(this.#root, filter.split("/"), 0, key);
  }

  /** Those that a topic's messages go to, each once, with the highest of their values. */
  find(topic: string): Map<Key, number> {
    const found = new Map<Key, number>();
    this.#find(this.#root, topic.split("/"), 0, found);
    return found;
  }

  #delete(node: Node<Key>, levels: readonly string[], at: number, key: Key): void {
    if (at === levels.length) return void node.values.delete(key);
    const child = node.children.get(levels[at]!);
    if (child === undefined) return;
    this.#delete(child, levels, at + 1, key);
    if (child.values.size === 0 && child.children.size === 0) node.children.delete(levels[at]!);
  }

  #find(node: Node<Key>, levels: readonly string[], at: number, found: Map<Key, number>): void {
    // "$SYS/load" is for those who ask for "$SYS", and not for "#".
    const isHidden = at === 0 && levels[0]!.startsWith("$");
    if (!isHidden) collect(node.children.get("#"), found); // "a/#" is "a" as well
    if (at === levels.length) return collect(node, found);
    const next = [levels[at]!, ...(isHidden ? [] : ["+"])];
    for (const level of next) {
      const child = node.children.get(level);
      if (child !== undefined) this.#find(child, levels, at + 1, found);
    }
  }
}

function collect<Key>(node: Node<Key> | undefined, found: Map<Key, number>): void {
  for (const [key, value] of node?.values ?? []) {
    found.set(key, Math.max(value, found.get(key) ?? 0));
  }
}
