// The counts of a run, and their report.
#pragma once
#include <stdint.h>

enum phase {
  WARMING,   // messages are sent and compared, but not counted
  MEASURING, // all counts
  OVER,      // nothing new is sent; what is owed must still come
};

extern struct figures {
  enum phase phase;
  uint64_t answers; // of all phases: whether anything moves
  uint64_t messages, bytes, slow_bytes, connects, dropped;
  uint64_t began; // measuring, in nanoseconds
} figures;

// Before the first connection: what the server holds already.
void figures_prepare(void);
void figures_begin(void);
void figures_end(void);
// Counts `count` messages answered `now` that were due at `due`.
void figures_add_answer(uint64_t due, uint64_t now);
// Prints the line of JSON.
void report(void);
