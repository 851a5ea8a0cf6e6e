/**
 * The cost of a request for a client: `make -C bench client`. The server is the minimal one in C.
 */
import { CLIENTS, describeClients, measureClients } from "./harness/clients.ts";
import { commandLine, parse, select } from "./harness/options.ts";
import { describeMachine, tell } from "./harness/report.ts";

const { only, rounds, seconds } = parse({
  only: { help: `which: ${CLIENTS.map(({ name }) => name).join(",")}` },
  rounds: 9,
  seconds: 0.5,
});
const clients = select(CLIENTS, only);
const results = {
  date: new Date().toISOString().slice(0, 10),
  command: commandLine("make -C bench client"),
  machine: describeMachine(),
  rounds,
  clients,
  micros: await measureClients(clients, rounds, seconds),
};
tell("client", describeClients(results), results);
