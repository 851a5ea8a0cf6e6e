/**
 * What a request costs a client: `make -C bench client`. The server is the minimal one in C.
 */
import { select } from "./harness/candidates.ts";
import { CLIENTS, describeClients, measureClients } from "./harness/clients.ts";
import { commandLine, number, parse } from "./harness/options.ts";
import { describeMachine, tell } from "./harness/report.ts";

const options = parse({
  only: { help: `which: ${CLIENTS.map(({ name }) => name).join(",")}` },
  rounds: "9",
  seconds: "0.5",
});
const rounds = number("rounds", options.rounds);
const clients = select(CLIENTS, options.only);
const results = {
  date: new Date().toISOString().slice(0, 10),
  command: commandLine("make -C bench client"),
  machine: describeMachine(),
  rounds,
  clients,
  micros: await measureClients(clients, rounds, number("seconds", options.seconds)),
};
const markdown = describeClients(results);
tell("client", markdown, results);
