/**
 * One sample of every micro bench in a process of its own: prints {name: nanoseconds} as a line of
 * JSON. `bench/micro.ts` runs it on either runtime.
 */
import process from "node:process";
import { nanosOf } from "../harness/micro.ts";
import { BLOCK } from "./block.ts";
import { FFI_CALL } from "./ffi_call.ts";
import { LINK_BUFFER } from "./link_buffer.ts";
import { POLLER_TURN } from "./poller_turn.ts";
import { TIMER_WHEEL } from "./timer_wheel.ts";

const all = [...LINK_BUFFER, ...BLOCK, ...FFI_CALL, ...POLLER_TURN, ...TIMER_WHEEL];
const only = process.argv[2] ?? "";
const chosen = all.filter(({ name }) => name.includes(only));
console.log(JSON.stringify(Object.fromEntries(chosen.map((one) => [one.name, nanosOf(one)]))));
process.exit(0); // what a poller or the pool of blocks has scheduled is of no interest
