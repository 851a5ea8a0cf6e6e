// Fetches one file over HTTP/1.1 again and again, on connections that stay.
//
//   fetch -p PORT -S PID -u PATH -f FILE [-c CONNECTIONS] [-t SECONDS] [-w SECONDS]
//
// First once, and every byte is compared with the file; then for the time given, and the kernel
// drops the body uncopied (MSG_TRUNC, tcp(7)), so that the server is what is slow.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bulk.h"
#include "wire.h"

#define PIECE_BYTES (1 << 20)

static _Noreturn void reject(const char *what) {
  fprintf(stderr, "fetch: %s\n", what);
  exit(3);
}

// Asks, and reads up to the end of the head, byte by byte: bodies are large. The length of the body.
static uint64_t ask(int fd, const char *path) {
  char text[4096];
  int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
  bulk_send(fd, text, (size_t)length);
  size_t have = 0;
  do {
    if (have == sizeof text - 1) reject("the head is too long");
    bulk_receive(fd, text + have, 1);
    text[++have] = 0;
  } while (have < 4 || memcmp(text + have - 4, "\r\n\r\n", 4) != 0);
  const char *field = strcasestr(text, "\r\nContent-Length:");
  if (strncmp(text, "HTTP/1.1 200", 12) != 0 || field == NULL) reject(text);
  return strtoull(field + 17, NULL, 10);
}

static void compare(const struct bulk_options *options) {
  struct stat about;
  int fd = bulk_connect(options->port), file = open(options->file, O_RDONLY);
  if (file < 0 || fstat(file, &about) < 0) wire_fail(options->file);
  uint64_t length = ask(fd, options->path);
  if (length != (uint64_t)about.st_size) reject("the file has another length");
  const char *expected = mmap(NULL, length, PROT_READ, MAP_PRIVATE, file, 0);
  char *bytes = malloc(PIECE_BYTES);
  if (expected == MAP_FAILED) wire_fail("mmap");
  for (uint64_t at = 0; at < length;) {
    size_t part = length - at < PIECE_BYTES ? (size_t)(length - at) : PIECE_BYTES;
    bulk_receive(fd, bytes, part);
    if (memcmp(bytes, expected + at, part) != 0) reject("another byte came");
    at += part;
  }
  free(bytes);
  close(fd);
}

static void *fetch(void *argument) {
  const struct bulk_options *options = argument;
  int fd = bulk_connect(options->port);
  while (!atomic_load(&bulk_over)) {
    uint64_t left = ask(fd, options->path);
    while (left > 0 && !atomic_load(&bulk_over)) {
      ssize_t count = recv(fd, NULL, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, MSG_TRUNC);
      if (count <= 0) wire_fail("recv");
      left -= (uint64_t)count;
      atomic_fetch_add(&bulk_bytes, (uint64_t)count);
    }
  }
  close(fd);
  return NULL;
}

int main(int count, char **arguments) {
  struct bulk_options options = bulk_parse(count, arguments);
  if (options.path == NULL || options.file == NULL) return 2;
  wire_limits();
  compare(&options);
  bulk_run(&options, fetch);
}
