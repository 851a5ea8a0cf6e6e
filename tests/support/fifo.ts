/**
 * Pipes that the runtime has opened, and knows.
 */
import { spawnSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Bun leaves open what it opens for its first child: that is nobody's leak.
spawnSync("true");

/** Both ends of a pipe, blocking; opened by `node:fs`. */
export function openFifo(): { reading: number; writing: number } {
  const folder = mkdtempSync(join(tmpdir(), "netpoll-"));
  const path = join(folder, "fifo");
  try {
    if (spawnSync("mkfifo", [path]).status !== 0) throw new Error("mkfifo has failed");
    // Opening one end alone waits for the other (fifo(7)).
    const both = openSync(path, constants.O_RDWR);
    const reading = openSync(path, constants.O_RDONLY);
    const writing = openSync(path, constants.O_WRONLY);
    closeSync(both);
    return { reading, writing };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
