// The options of load.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../wire.h"

extern struct options {
  int connections, idle, receivers, slow; // receivers > 0: broadcast
  int depth, churn, cpu;
  int held;             // -1: there is a load
  uint64_t job;         // messages a connection, 0: run by the clock
  size_t message_bytes; // of the payload, when framed
  size_t wire_bytes;    // of a message with its length
  double seconds, warmup_seconds, patience_seconds, rate, slow_bytes_per_s;
  bool is_framed, resets;
  pid_t server;
  struct endpoint to;
} options;

// Fills `options`. Ends the program when they make no sense, and says why.
void options_parse(int argc, char **argv);
