/**
 * Restarts a server under load, again and again: no connection refused or reset, no request lost.
 * `make restart`.
 */
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { driverOptions, wholeNumber } from "../../scripts/trust/options.ts";
import { keepRecord } from "../../scripts/trust/record.ts";
import { buildChurn } from "./native_load.ts";
import { restarts, SERVERS } from "./restarts.ts";

const { record, seconds, own } = driverOptions("Restarts a server under load.", {
  times: { help: "how often each server is restarted", value: "100" },
  short: { help: "clients that come for one request each", value: "32" },
  kept: { help: "connections that stay open, with requests all the time", value: "1000" },
  full: {
    help: "clients in C, and a second from restart to restart; those that stay ask once a second",
    isFlag: true,
  },
  only: { help: "servers whose names have this in them" },
});
const times = wholeNumber("times", own.times!);
const shortCount = wholeNumber("short", own.short!);
const keptCount = wholeNumber("kept", own.kept!);
const isNative = own.full !== undefined;
const pauseMs = isNative ? 1000 : 0;
const failure = isNative ? buildChurn() : null;
if (failure !== null) throw new Error(failure);
const end = performance.now() + 1000 * seconds;
const total = { passed: 0, failed: 0, restarts: 0, connections: 0, requests: 0, told: 0 };

for (const [file, ...args] of SERVERS) {
  const name = [file, ...args].join(" ");
  if (!name.includes(own.only ?? "")) continue;
  // A part at a time, so that it may end when its time is over.
  for (let done = 0; done < times && performance.now() < end; done += 5) {
    const plan = {
      file,
      args,
      isNative,
      pauseMs,
      times: Math.min(5, times - done),
      shortCount,
      keptCount,
    };
    const { counts, statuses, errors, seconds } = await restarts(plan);
    const { refused, reset, lost, told, connections, requests } = counts;
    const isGood = refused + reset + lost === 0 && statuses.every((status) => status === 0);
    total[isGood ? "passed" : "failed"] += 1;
    total.restarts += plan.times;
    total.connections += connections;
    total.requests += requests;
    total.told += told;
    const rate = Math.round(connections / seconds);
    console.log(
      `${name}: ${
        done + plan.times
      } restarts, ${rate} connections/s, ${refused} refused, ${reset} reset, ` +
        `${lost} lost, ${told} told`,
      ...errors,
    );
  }
}

const { passed, failed } = total;
console.log(`restart (${host.name}): ${passed} passed, ${failed} failed`);
if (record && failed === 0) {
  keepRecord({
    name: `restart-${host.name}`,
    what: "A server and a cluster that are restarted under load",
    amount:
      `${total.restarts} restarts, ${total.connections} connections, ${total.requests} requests, ` +
      `${keptCount} connections kept open; 0 refused, 0 reset, 0 lost`,
    found: "None yet",
    command: isNative ? "make restart OPTIONS=--full" : "make restart",
  });
}
process.exitCode = failed === 0 ? 0 : 1;
