/**
 * libnetpoll.so as text, for where it is no file: a bundle, a compiled program, an import over the
 * network.
 *
 * Empty in the repository, which builds its own; `make dist` writes the one that is published
 * (scripts/embed.ts).
 */

/** The name that the library was linked with, by which the process finds it when it is loaded. */
export const SONAME = "";

/** By `process.arch`: the library, gzipped, in base64. */
export const PREBUILT: Readonly<Record<string, string>> = {};
