/**
 * The drawing of a chain for `console.log`: its nodes, to scale, and its cursors.
 *
 * ```text
 * LinkBuffer: 5 bytes to read, 3 written and not flushed; 1 node, 4096 bytes held
 *   |··█████▒▒▒              |  2 read, 5 to read, 3 written, 4086 free; head, reading, flushing, writing
 * ```
 */
import type { LinkChain } from "./link_chain.ts";
import type { LinkNode } from "./link_node.ts";

/** Columns that a node is drawn in. */
const COLUMNS = 32;
/** Nodes that are drawn; of a longer chain the first and the last ones. */
const NODES_MAX = 8;
/** Read, to read, written and not flushed, free. */
const MARKS = ["·", "█", "▒", " "] as const;

/** So many columns for each part; what is not empty has one at least. */
function columnsOf(parts: readonly number[]): number[] {
  const sum = parts.reduce((total, part) => total + part, 0);
  const columns = parts.map((part) =>
    part === 0 ? 0 : Math.max(1, Math.round(COLUMNS * part / sum))
  );
  const widest = columns.indexOf(Math.max(...columns));
  columns[widest]! += COLUMNS - columns.reduce((total, part) => total + part, 0);
  return columns;
}

function drawNode(chain: LinkChain, node: LinkNode): string {
  const parts = [node.read - node.start, node.readable, node.pending, node.free];
  const columns = columnsOf(parts);
  const bar = MARKS.map((mark, i) => mark.repeat(columns[i]!)).join("");
  const [read, readable, written, free] = parts;
  const cursors = (["head", "reading", "flushing", "writing"] as const)
    .filter((name) => chain[name] === node);
  const of = node.block === null ? "; borrowed" : node.block.pins > 0 ? "; pinned" : "";
  const at = cursors.length === 0 ? "" : `; ${cursors.join(", ")}`;
  return `|${bar}| ${read} read, ${readable} to read, ${written} written, ${free} free${of}${at}`;
}

/** The number of nodes of a chain. */
export function nodeCount(chain: LinkChain): number {
  let count = 0;
  for (let node = chain.head; node !== null; node = node.next) count += 1;
  return count;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** A chain in one line. */
export function describeChain(chain: LinkChain): string {
  const written = chain.pending === 0 ? "" : `, ${chain.pending} written and not flushed`;
  const nodes = counted(nodeCount(chain), "node");
  return `${counted(chain.length, "byte")} to read${written}; ${nodes}, ` +
    `${counted(chain.heldBytes, "byte")} held`;
}

/** A line for each node of a chain. */
export function drawNodes(chain: LinkChain, indent: string): string {
  const nodes: LinkNode[] = [];
  for (let node = chain.head; node !== null; node = node.next) nodes.push(node);
  const lines = nodes.map((node) => drawNode(chain, node));
  const more = lines.length - NODES_MAX;
  if (more > 0) lines.splice(NODES_MAX / 2, more, `… ${counted(more, "more node")}`);
  return lines.map((line) => `\n${indent}${line}`).join("");
}

/** A chain under the name of what it belongs to. */
export function drawChain(name: string, chain: LinkChain): string {
  if (chain.readBan !== null && chain.head === null) return `${name}: ${chain.readBan.message}`;
  return `${name}: ${describeChain(chain)}${drawNodes(chain, "  ")}`;
}
