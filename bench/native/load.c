// A load for echo servers that believes nothing: every byte that comes back is compared.
//
// Closed loop: the next message leaves when an answer is complete, so a slow server is asked less.
// Open loop: messages are due at a fixed rate, and their latency counts from when they were due,
// not from when they left. `load --help` lists the options, bench/README.md says what the figures
// mean. Prints one line of JSON when all that was sent has been answered. Ends with 3 when the
// server lies: wrong, missing or additional bytes, a closed connection, an idle one that speaks;
// with 2 when the options make no sense, with 1 when the system says no.
#define _GNU_SOURCE
#include <sched.h>

#include "load/connection.h"
#include "load/idle.h"
#include "load/options.h"
#include "load/report.h"
#include "load/slow.h"
#include "load/workload.h"

#define RATE_RING_MIN (64 * 1024) // how far an open loop may run behind, in messages a connection
#define WAIT_MS_MAX 100

static const struct workload *workload;

uint64_t workload_ring(void) {
  uint64_t ring = 1, wanted = (uint64_t)options.depth * 2;
  if (options.rate > 0 && wanted < RATE_RING_MIN) wanted = RATE_RING_MIN;
  while (ring < wanted) ring *= 2;
  return ring;
}

// Issues what is due by now. How long until the next, in milliseconds to wait.
static int issue_by_rate(void) {
  static double next; // nanoseconds
  double step = 1e9 / options.rate, now = (double)now_nanos();
  if (next == 0) next = now;
  for (; next <= now; next += step) figures.dropped += !workload->issue((uint64_t)next);
  double wait_ms = (next - now) / 1e6;
  return wait_ms < WAIT_MS_MAX ? (int)wait_ms : WAIT_MS_MAX; // under a millisecond: poll
}

// Runs one turn of everything. Ends the program when an answer that is owed does not come.
static void turn(int wait_ms) {
  static uint64_t answers, since;
  if (options.slow > 0) {
    int slow_ms = slow_turn();
    if (slow_ms < wait_ms) wait_ms = slow_ms;
  }
  connections_turn(wait_ms);
  uint64_t now = now_nanos();
  if (since == 0 || answers != figures.answers) {
    answers = figures.answers;
    since = now;
  } else if ((double)(now - since) > options.patience_seconds * 1e9) {
    const struct connection *owed = workload->owed();
    if (owed != NULL) connection_reject(owed, "an answer is missing");
    since = now;
  }
}

static void run(void) {
  uint64_t warm_end = now_nanos() + (uint64_t)(options.warmup_seconds * 1e9);
  uint64_t length = (uint64_t)(options.seconds * 1e9);
  uint64_t job = options.job * (uint64_t)(options.receivers > 0 ? options.receivers : options.connections);
  for (;;) {
    turn(options.rate > 0 ? issue_by_rate() : WAIT_MS_MAX);
    uint64_t now = now_nanos();
    if (figures.phase == WARMING && now >= warm_end) figures_begin();
    if (job > 0 ? figures.messages >= job : figures.phase == MEASURING && now >= figures.began + length) return;
  }
}

// Nothing new is sent: what is owed must come, and nothing else.
static void settle(void) {
  uint64_t end = now_nanos() + (uint64_t)(options.patience_seconds * 1e9);
  while (workload->owed() != NULL) turn(WAIT_MS_MAX);
  for (const struct connection *starved; (starved = slow_starved()) != NULL; turn(WAIT_MS_MAX)) {
    if (now_nanos() > end) connection_reject(starved, "it reads slowly, and got nothing at all");
  }
  slow_close();
  while (connections_turn(0) > 0) continue;
}

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) wire_fail("sched_setaffinity");
}

int main(int argc, char **argv) {
  options_parse(argc, argv);
  if (options.cpu >= 0) pin(options.cpu);
  wire_limits();
  wire_prepare(options.message_bytes);
  if (options.is_framed) wire_frame(options.message_bytes);
  figures_prepare();
  connections_prepare();
  idle_open(options.connections);
  if (options.held >= 0) {
    idle_hold();
    return 0;
  }
  slow_open(options.connections + options.idle);
  workload = options.receivers > 0 ? &broadcast : &callers;
  workload->open();
  if (options.job > 0) figures_begin(); // every message counts: there is no warm-up
  workload->start();
  run();
  figures_end();
  settle();
  report();
  return 0;
}
