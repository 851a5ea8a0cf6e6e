/**
 * The module in which a Worker of a cluster begins: in a source tree, or in a bundle.
 */

/**
 * The module that a Worker begins with, and that imports the handler module then. `base` is where
 * cluster.ts lies, and whether that is the program's main module.
 */
export function entryOf(base: { url: string; main: boolean }, handler: URL): URL {
  const own = /^(.*\/src\/server\/)cluster(\.[jt]s)$/.exec(base.url);
  if (own !== null) return new URL(`${own[1]}cluster_worker${own[2]}`);
  // In a bundle: a chunk that several entry points share holds no program that would run again; if
  // it is the program itself, the handler module is a bundle of its own and has our code in it, too.
  return base.main ? handler : new URL(base.url);
}

/** The files that a Worker will read: the two modules, and our own source tree. */
export function modulesOf(entry: string, handler: string): string[] {
  const own = /^(.*\/)src\/server\/cluster_worker\.[jt]s$/.exec(entry);
  return own === null ? [entry, handler] : [`${own[1]}src/`, `${own[1]}ffi/`, handler];
}
