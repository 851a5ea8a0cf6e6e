/**
 * A Worker: tries to make a connection of a descriptor of its parent's. Posts what became of it, and
 * a descriptor of its own, which is closed when it has ended.
 */
import { parentPort, workerData } from "node:worker_threads";
import { Connection, socketPair, type SystemError } from "../../mod.ts";

function codeOf(fd: number): string | undefined {
  try {
    Connection.fromFd(fd);
  } catch (error) {
    return (error as SystemError).code;
  }
}

const [{ fd }] = socketPair();
parentPort!.postMessage([codeOf(workerData as number), fd]);
