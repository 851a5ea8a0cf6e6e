// The CPU of another process: all its threads, those that have ended included.
#pragma once
#include <sys/types.h>

struct process_cpu {
  double total_nanos;
  // The kernel's own split, in ticks of 10 ms: of use over a second or more.
  double user_ticks, system_ticks;
};

// Reads what `pid` has used so far. Ends the program when there is no such process.
struct process_cpu process_cpu_read(pid_t pid);
