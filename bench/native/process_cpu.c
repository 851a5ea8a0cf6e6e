#define _GNU_SOURCE
#include "process_cpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The CPU clock of the process (clock_getcpuclockid(3)): exact to the moment, where schedstat lacks
// what a running thread used since the last tick, and with the threads that have ended.
static double clock_nanos(pid_t pid) {
  clockid_t clock;
  struct timespec t;
  int code = clock_getcpuclockid(pid, &clock);
  if (code == 0 && clock_gettime(clock, &t) != 0) code = errno;
  if (code != 0) {
    fprintf(stderr, "CPU clock of process %d: %s\n", pid, strerror(code));
    exit(1);
  }
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// Fields 14 and 15 of /proc/PID/stat (proc(5)), counted after the name, which may contain anything.
static void read_ticks(pid_t pid, struct process_cpu *cpu) {
  char path[40], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  size_t bytes = file == NULL ? 0 : fread(line, 1, sizeof line - 1, file);
  if (file != NULL) fclose(file);
  line[bytes] = 0;
  const char *after_name = strrchr(line, ')');
  if (after_name != NULL &&
      sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lf %lf", &cpu->user_ticks,
             &cpu->system_ticks) == 2) {
    return;
  }
  fprintf(stderr, "%s: not as expected\n", path);
  exit(1);
}

struct process_cpu process_cpu_read(pid_t pid) {
  struct process_cpu cpu;
  read_ticks(pid, &cpu);
  cpu.total_nanos = clock_nanos(pid);
  return cpu;
}
