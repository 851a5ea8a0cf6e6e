/**
 * Receives more descriptors than the process may have, and then one.
 */
import { readdirSync } from "node:fs";
import { closeDescriptor, receiveDescriptors, sendDescriptors, socketPair } from "../../mod.ts";
import { native } from "../../ffi/load.ts";

const [a, b] = socketPair();
const [left, right] = socketPair();
const fd = left.detach();
const count = () => readdirSync("/proc/self/fd").length;
b.pauseRead();
await sendDescriptors(a, Array.from({ length: 20 }, () => fd));
const before = count();
const held: number[] = [];
for (let next = native.eventfd(); next >= 0; next = native.eventfd()) held.push(next);
for (const each of held.splice(0, 5)) native.close(each);
b.resumeRead();
const error = await receiveDescriptors(b).then(() => null, (error) => error);
for (const each of held) native.close(each);
const isBack = count() <= before;
await sendDescriptors(a, [fd]);
const came = await receiveDescriptors(b);
console.log(`${error?.code}, ${isBack ? "nothing left" : count()}, then ${came.length}`);
for (const each of [fd, ...came]) closeDescriptor(each);
for (const each of [a, b, right]) await each.close();
