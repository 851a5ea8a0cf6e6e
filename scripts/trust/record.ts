/**
 * Records of what was tried, from which docs/TRUST.md has its table: one file a driver.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** A row of the table. */
export interface TrustRecord {
  /** The name of the driver, and of the file. */
  readonly name: string;
  /** What was done, in a sentence. */
  readonly what: string;
  /** How much of it, with figures. */
  readonly amount: string;
  /** Which faults it has found so far. */
  readonly found: string;
  /** The command that does it again. */
  readonly command: string;
}

/** A record as it is kept: with its day, and with the machine. */
export interface KeptRecord extends TrustRecord {
  /** The day, as in 2026-11-27. */
  readonly date: string;
  /** The machine: its cores and its kernel. */
  readonly machine: string;
}

/** The folder of the records, with a slash at its end. */
export const RECORDS: string = fileURLToPath(new URL("../../docs/trust/", import.meta.url).href);

/** Keeps a record, in place of the one before. */
export function keepRecord(record: TrustRecord): void {
  const kept: KeptRecord = {
    ...record,
    date: new Date().toISOString().slice(0, 10),
    machine: `${availableParallelism()} cores, Linux ${release()}, ${process.arch}`,
  };
  mkdirSync(RECORDS, { recursive: true });
  writeFileSync(`${RECORDS}${record.name}.json`, `${JSON.stringify(kept, null, 2)}\n`);
}
