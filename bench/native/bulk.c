#define _GNU_SOURCE
#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "process_cpu.h"
#include "wire.h"

#define CONNECTIONS_MAX 256

_Atomic uint64_t bulk_bytes;
_Atomic int bulk_over;

struct bulk_options bulk_parse(int count, char **arguments) {
  struct bulk_options options = {.connections = 1, .seconds = 1, .warmup_seconds = 0.3};
  for (int letter; (letter = getopt(count, arguments, "p:S:c:t:w:u:f:")) >= 0;) {
    if (letter == 'p') options.port = optarg;
    else if (letter == 'S') options.server = atoi(optarg);
    else if (letter == 'c') options.connections = atoi(optarg);
    else if (letter == 't') options.seconds = atof(optarg);
    else if (letter == 'w') options.warmup_seconds = atof(optarg);
    else if (letter == 'u') options.path = optarg;
    else if (letter == 'f') options.file = optarg;
    else exit(2);
  }
  if (options.port == NULL || options.connections < 1 || options.connections > CONNECTIONS_MAX) exit(2);
  return options;
}

int bulk_connect(const char *port) {
  bool connected;
  struct endpoint to = endpoint_tcp("127.0.0.1", port);
  int fd = endpoint_connect(&to, true, &connected);
  if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0) wire_fail("fcntl");
  return fd;
}

void bulk_send(int fd, const void *bytes, size_t count) {
  for (size_t sent = 0; sent < count;) {
    ssize_t part = send(fd, (const char *)bytes + sent, count - sent, 0);
    if (part < 0) wire_fail("send");
    sent += (size_t)part;
  }
}

void bulk_receive(int fd, void *bytes, size_t count) {
  for (size_t received = 0; received < count;) {
    ssize_t part = recv(fd, (char *)bytes + received, count - received, 0);
    if (part == 0) errno = ECONNRESET;
    if (part <= 0) wire_fail("recv");
    received += (size_t)part;
  }
}

static void rest(double seconds) {
  usleep((useconds_t)(seconds * 1e6));
}

void bulk_run(const struct bulk_options *options, void *(*work)(void *)) {
  pthread_t threads[CONNECTIONS_MAX];
  for (int i = 0; i < options->connections; i++) {
    if (pthread_create(&threads[i], NULL, work, (void *)options)) wire_fail("pthread_create");
  }
  rest(options->warmup_seconds);
  uint64_t from = now_nanos(), bytes = atomic_load(&bulk_bytes);
  struct process_cpu before = process_cpu_read(options->server);
  rest(options->seconds);
  struct process_cpu after = process_cpu_read(options->server);
  bytes = atomic_load(&bulk_bytes) - bytes;
  double nanos = (double)(now_nanos() - from), cpu = after.total_nanos - before.total_nanos;
  atomic_store(&bulk_over, 1);
  for (int i = 0; i < options->connections; i++) pthread_join(threads[i], NULL);
  printf("{\"bytes\": %llu, \"mib_per_s\": %.1f, \"server_us_per_mib\": %.2f, \"server_cpu_percent\": %.1f}\n",
         (unsigned long long)bytes, (double)bytes / 1048576 / (nanos / 1e9),
         cpu / 1e3 / ((double)bytes / 1048576), cpu / nanos * 100);
}
