/**
 * The table of docs/TRUST.md, from the records in docs/trust: `table.ts` writes it into the page.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type KeptRecord, RECORDS } from "./record.ts";

/** The page. */
export const PAGE: string = fileURLToPath(new URL("../../docs/TRUST.md", import.meta.url).href);

const BEGIN = "<!-- table:begin -->";
const END = "<!-- table:end -->";
const HEAD = ["what was done", "how much of it", "what it has found", "when, where", "again"];

/** All records, by name. */
export function readRecords(folder = RECORDS): KeptRecord[] {
  return readdirSync(folder).filter((name) => name.endsWith(".json")).sort()
    .map((name) => JSON.parse(readFileSync(`${folder}${name}`, "utf8")) as KeptRecord);
}

/** A sentence as a cell: in one line, and no border within. */
function cell(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|").trim();
}

/** The runtime that a record is of; records of both, or of C, have none in their names. */
function runtimeOf({ name }: KeptRecord): string {
  const [, runtime] = /-(bun|deno)$/.exec(name) ?? [];
  return runtime === undefined ? "" : `, ${runtime === "bun" ? "Bun" : "Deno"}`;
}

/** The table, a line a record. */
export function tableOf(records: readonly KeptRecord[]): string {
  const rows = records.map((record) => [
    record.what,
    record.amount,
    record.found,
    `${record.date}${runtimeOf(record)}; ${record.machine}`,
    `\`${record.command}\``,
  ]);
  const lines = [HEAD, HEAD.map(() => "---"), ...rows].map((cells) =>
    `| ${cells.map(cell).join(" | ")} |`
  );
  return lines.join("\n");
}

/** The page with another table between its marks. */
export function withTable(page: string, table: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`Cannot write the table: no ${BEGIN} … ${END}`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${page.slice(end)}`;
}

/** The cells of the table of a page, whatever their padding. */
export function cellsOf(page: string): string[][] {
  const table = page.slice(page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END));
  return table.split("\n").filter((line) => line.startsWith("|") && !/^\|[ |-]+\|$/.test(line))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((text) => text.trim()));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, withTable(readFileSync(PAGE, "utf8"), tableOf(readRecords())));
}
