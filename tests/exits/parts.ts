/**
 * Everything that the driver tries, by name.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Random } from "../support/random.ts";
import { streamFile } from "../support/streams.ts";
import { killPeers } from "./peers.ts";
import { terminateWorkers } from "./workers.ts";
import { reloadUnderLoad, WATCHES } from "./reload.ts";
import { endOnce, type Place, type Shape, WAYS } from "./ways.ts";

/** Something to try once: how connections ended. */
export interface Part {
  readonly name: string;
  run(place: Place, random: Random): Promise<Record<string, number>>;
}

const SHAPES: readonly Shape[] = ["loop", "cluster"];

/** Each way in each shape. */
const servers: readonly Part[] = WAYS.flatMap((way) =>
  SHAPES.filter((shape) => (way.shape ?? shape) === shape).map((shape) => ({
    name: `${way.name}, ${shape}`,
    run: (place: Place, random: Random) => endOnce(way, shape, place, random),
  }))
);

/** All of it. */
export const PARTS: readonly Part[] = [
  ...servers,
  { name: "SIGKILL of the peers", run: killPeers },
  { name: "Worker terminate", run: terminateWorkers },
  ...WATCHES.map((watch) => ({
    name: watch,
    run: (place: Place, random: Random) => reloadUnderLoad(watch, place, random),
  })),
];

/** A folder with the file of all streams, for as long as the call runs. */
export async function withPlace<T>(call: (place: Place) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "netpoll-exits-"));
  const streamPath = join(folder, "stream");
  writeFileSync(streamPath, streamFile());
  try {
    return await call({ folder, streamPath });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
