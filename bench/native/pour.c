// Pours bytes through a proxy into build/drain, as fast as they go.
//
//   pour -p PROXY_PORT -S PROXY_PID [-c CONNECTIONS] [-t SECONDS] [-w SECONDS]
//
// First 64 MiB of which it compares every byte, then the timed ones. The bytes are sent from
// memory of the kernel's own and thrown away there (MSG_TRUNC, tcp(7)): neither end copies, so that
// the proxy is what is slow. At its end each connection is told how many bytes came.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "bulk.h"
#include "wire.h"

#define PERIOD 251  // of the pattern of wire.c
#define PIECE_BYTES (PERIOD * 4096)
#define VERIFIED_BYTES (64 << 20)

static int pattern;

static void make_pattern(void) {
  wire_prepare(PIECE_BYTES);
  pattern = memfd_create("pattern", 0);
  if (pattern < 0) wire_fail("memfd_create");
  for (uint64_t at = 0; at < PIECE_BYTES;) {
    size_t bytes;
    const char *from = wire_at(0, at, &bytes);
    if (bytes > PIECE_BYTES - at) bytes = PIECE_BYTES - at;
    ssize_t count = write(pattern, from, bytes);
    if (count < 0) wire_fail("write");
    at += (uint64_t)count;
  }
}

// Sends a whole number of periods. Returns how many bytes.
static uint64_t send_piece(int fd) {
  off_t at = 0;
  while (at < PIECE_BYTES) {
    ssize_t count = sendfile(fd, pattern, &at, (size_t)(PIECE_BYTES - at));
    if (count <= 0) wire_fail("sendfile");
    atomic_fetch_add(&bulk_bytes, (uint64_t)count);
  }
  return PIECE_BYTES;
}

static void check_count(int fd, uint64_t sent) {
  uint64_t received;
  if (shutdown(fd, SHUT_WR) < 0) wire_fail("shutdown");
  bulk_receive(fd, &received, sizeof received);
  close(fd);
  if (received == sent) return;
  fprintf(stderr, "pour: %llu bytes arrived, of %llu\n", (unsigned long long)received, (unsigned long long)sent);
  exit(3);
}

static void verify(const char *port) {
  int fd = bulk_connect(port);
  bulk_send(fd, "v", 1);
  uint64_t sent = 0;
  while (sent < VERIFIED_BYTES) sent += send_piece(fd);
  check_count(fd, sent);
}

static void *pour(void *argument) {
  const struct bulk_options *options = argument;
  int fd = bulk_connect(options->port);
  bulk_send(fd, "d", 1);
  uint64_t sent = 0;
  while (!atomic_load(&bulk_over)) sent += send_piece(fd);
  check_count(fd, sent);
  return NULL;
}

int main(int count, char **arguments) {
  struct bulk_options options = bulk_parse(count, arguments);
  wire_limits();
  make_pattern();
  verify(options.port);
  bulk_run(&options, pour);
}
