/**
 * Opens a library that is no file, from memory.
 *
 * memfd_create(2) makes a file without a place: nothing is written to a disk, so no permission to
 * write is needed, no directory that may hold programs, and nothing is left that somebody could
 * change or forget to remove.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import type { Host } from "./host.ts";
import type { Signature } from "./symbols.ts";

/** The functions of the C library that are needed. */
interface C {
  dlopen(name: Uint8Array, flags: number): unknown;
  memfdCreate(name: Uint8Array, flags: number): number;
  write(fd: number, bytes: Uint8Array, count: number): number;
  close(fd: number): number;
}

const C_SYMBOLS: Readonly<Record<keyof C, Signature>> = {
  dlopen: ["dlopen", ["buffer", "i32"], "pointer"],
  memfdCreate: ["memfd_create", ["buffer", "u32"], "i32"],
  write: ["write", ["i32", "buffer", "u32"], "i32"],
  close: ["close", ["i32"], "i32"],
};

/**
 * A library that has all four: glibc before 2.34 has dlopen only here, and what a library needs is
 * searched too; musl takes the name for itself (ldso/dynlink.c, load_library).
 */
const C_LIBRARY = "libdl.so.2";

const RTLD_NOW = 2;
const RTLD_NOLOAD = 4;
const MFD_CLOEXEC = 1;

/** A library in memory. */
export interface Embedded {
  /** The name that it was linked with. */
  readonly soname: string;
  /** The library, gzipped, in base64. */
  readonly packed: string;
}

function unpack(packed: string): Uint8Array {
  // Not imported, here and below: whoever has the library as a file does not pay for it.
  const { gunzipSync } = process.getBuiltinModule("node:zlib");
  return gunzipSync(Buffer.from(packed, "base64"));
}

const DESCRIPTORS = "/proc/self/fd";

/**
 * The file in memory that another thread has opened, by its path; null where there is none. musl
 * knows a library by its file alone. (Deno, which would ask for a permission, is built for glibc
 * alone.)
 */
function heldPath(on: Host, soname: string): string | null {
  if (on.name !== "bun") return null;
  const { readdirSync, readlinkSync } = process.getBuiltinModule("node:fs");
  for (const fd of readdirSync(DESCRIPTORS)) {
    const path = `${DESCRIPTORS}/${fd}`;
    try {
      if (readlinkSync(path) === `/memfd:${soname} (deleted)`) return path;
    } catch {
      // It was closed meanwhile.
    }
  }
  return null;
}

/**
 * Calls `open` with a path under which the library can be opened now. All threads of a process must
 * share one copy, for its tables are theirs in common: who comes second finds the one that is
 * there, by its name or by its file.
 *
 * The file stays open: glibc takes a path that it has seen for the library that was there, so the
 * number must not become another file's.
 *
 * @throws {Error} There is no such file, or no permission for it: what the system says.
 */
export function withPath<T>(on: Host, library: Embedded, open: (path: string) => T): T {
  const { soname, packed } = library;
  const refused = on.refusal(C_LIBRARY);
  if (refused !== null) throw new Error(refused);
  const c = on.open<C>(C_LIBRARY, C_SYMBOLS);
  const name = Buffer.from(`${soname}\0`);
  if (c.dlopen(name, RTLD_NOW | RTLD_NOLOAD) !== null) return open(soname);
  const held = heldPath(on, soname);
  if (held !== null) return open(held);
  const fd = c.memfdCreate(name, MFD_CLOEXEC);
  if (fd < 0) throw new Error("the system gives no file in memory (memfd_create)");
  try {
    const bytes = unpack(packed);
    const written = c.write(fd, bytes, bytes.length);
    if (written !== bytes.length) throw new Error("the system has no memory for it (write)");
    return open(`${DESCRIPTORS}/${fd}`);
  } catch (error) {
    c.close(fd);
    throw error;
  }
}
