#define _GNU_SOURCE
#include "process_memory.h"

#include <stdio.h>
#include <stdlib.h>

struct process_memory process_memory_read(pid_t pid) {
  char path[40], line[256];
  unsigned long peak_kib = 0, resident_kib = 0;
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "VmHWM: %lu kB", &peak_kib) == 1) continue;
    sscanf(line, "VmRSS: %lu kB", &resident_kib);
  }
  if (file != NULL) fclose(file);
  if (resident_kib == 0) {
    fprintf(stderr, "%s: not as expected\n", path);
    exit(1);
  }
  return (struct process_memory){.resident_bytes = resident_kib * 1024ull, .peak_bytes = peak_kib * 1024ull};
}

void process_memory_reset_peak(pid_t pid) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/clear_refs", pid);
  FILE *file = fopen(path, "w");
  if (file == NULL) return;
  fputs("5", file); // "reset the peak resident set size" (proc_pid_clear_refs(5))
  fclose(file);
}
