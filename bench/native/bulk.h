// The common parts of the bulk loads: blocking sockets, a count that threads add to, and the CPU of the
// server over a stretch of time.
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bulk_options {
  const char *port, *path, *file;
  pid_t server;
  int connections;
  double seconds, warmup_seconds;
};

// -p PORT -S PID -c CONNECTIONS -t SECONDS -w SECONDS -u PATH -f FILE
struct bulk_options bulk_parse(int count, char **arguments);
// A blocking TCP connection to 127.0.0.1.
int bulk_connect(const char *port);
void bulk_send(int fd, const void *bytes, size_t count);
void bulk_receive(int fd, void *bytes, size_t count);

// Bytes that were moved so far.
extern _Atomic uint64_t bulk_bytes;
// The time is over.
extern _Atomic int bulk_over;

// Runs `work` in as many threads as there are connections, for the time that the options say, and
// prints one line of JSON.
void bulk_run(const struct bulk_options *options, void *(*work)(void *));
