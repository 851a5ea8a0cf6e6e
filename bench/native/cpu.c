// Prints the CPU that a process has used: all its threads, those that have ended too.
//
//   cpu PID
//
// The unit is nanoseconds. It is for loads that do not measure it themselves.
#include <stdio.h>
#include <stdlib.h>

#include "process_cpu.h"

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: cpu PID\n");
    return 2;
  }
  printf("%.0f\n", process_cpu_read((pid_t)atoi(argv[1])).total_nanos);
  return 0;
}
