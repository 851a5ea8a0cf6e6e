// The resident memory of another process (proc_pid_status(5)): what the kernel holds for its
// sockets is not in it.
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct process_memory {
  uint64_t resident_bytes; // VmRSS
  uint64_t peak_bytes;     // VmHWM
};

// Ends the program when there is no such process.
struct process_memory process_memory_read(pid_t pid);
// Lets the peak begin anew at what is resident now, where the system lets us.
void process_memory_reset_peak(pid_t pid);
