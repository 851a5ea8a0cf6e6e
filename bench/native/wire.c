#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>

#define PERIOD 251
#define PHASE 17 // how far apart the streams of two neighbours begin
#define PATTERN_BYTES_MIN (256 * 1024)

static char *pattern;
static size_t pattern_bytes;
static struct {
  size_t payload_bytes; // 0: no frames, the stream is the pattern
  char length[WIRE_LENGTH_BYTES];
} frame;

struct endpoint endpoint_tcp(const char *host, const char *port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
  int code = getaddrinfo(host, port, &hints, &found);
  if (code != 0) {
    fprintf(stderr, "%s: %s\n", host, gai_strerror(code));
    exit(2);
  }
  struct endpoint to = {.bytes = found->ai_addrlen};
  memcpy(&to.address, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return to;
}

struct endpoint endpoint_unix(const char *path) {
  struct endpoint to = {.bytes = sizeof(struct sockaddr_un)};
  struct sockaddr_un *address = (struct sockaddr_un *)&to.address;
  address->sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address->sun_path) {
    fprintf(stderr, "%s: too long for a Unix socket\n", path);
    exit(2);
  }
  strcpy(address->sun_path, path);
  return to;
}

int endpoint_connect(const struct endpoint *to, bool blocking, bool *connected) {
  int family = to->address.ss_family, one = 1;
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
  if (fd < 0) wire_fail("socket");
  if (family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  *connected = connect(fd, (const struct sockaddr *)&to->address, to->bytes) == 0;
  if (!*connected && (blocking || errno != EINPROGRESS)) wire_fail("connect");
  if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) wire_fail("fcntl");
  return fd;
}

void wire_prepare(size_t message_bytes) {
  // Two messages long at least: one send can then offer a whole message wherever in the pattern it
  // begins.
  pattern_bytes = 2 * message_bytes + PERIOD;
  if (pattern_bytes < PATTERN_BYTES_MIN) pattern_bytes = PATTERN_BYTES_MIN;
  pattern_bytes += PERIOD - pattern_bytes % PERIOD;
  pattern = malloc(pattern_bytes);
  if (pattern == NULL) wire_fail("malloc");
  for (size_t i = 0; i < pattern_bytes; i++) pattern[i] = (char)(i % PERIOD * 7 + 3);
}

void wire_frame(size_t payload_bytes) {
  uint32_t length = htonl((uint32_t)payload_bytes);
  memcpy(frame.length, &length, sizeof length);
  frame.payload_bytes = payload_bytes;
}

static const char *pattern_at(int id, uint64_t offset, size_t *bytes) {
  size_t at = (size_t)((offset + (uint64_t)id * PHASE) % PERIOD);
  *bytes = pattern_bytes - at;
  return pattern + at;
}

const char *wire_at(int id, uint64_t offset, size_t *bytes) {
  if (frame.payload_bytes == 0) return pattern_at(id, offset, bytes);
  size_t frame_bytes = WIRE_LENGTH_BYTES + frame.payload_bytes, within = (size_t)(offset % frame_bytes);
  if (within < WIRE_LENGTH_BYTES) {
    *bytes = WIRE_LENGTH_BYTES - within;
    return frame.length + within;
  }
  uint64_t before = offset / frame_bytes * frame.payload_bytes;
  const char *payload = pattern_at(id, before + within - WIRE_LENGTH_BYTES, bytes);
  if (*bytes > frame_bytes - within) *bytes = frame_bytes - within;
  return payload;
}

size_t wire_matching(int id, uint64_t offset, const char *received, size_t bytes) {
  size_t matching = 0;
  while (matching < bytes) {
    size_t piece;
    const char *expected = wire_at(id, offset + matching, &piece);
    if (piece > bytes - matching) piece = bytes - matching;
    if (memcmp(received + matching, expected, piece) != 0) {
      while (received[matching] == *expected++) matching++;
      return matching;
    }
    matching += piece;
  }
  return matching;
}

bool wire_is_length(uint64_t offset) {
  return frame.payload_bytes > 0 && offset % (WIRE_LENGTH_BYTES + frame.payload_bytes) < WIRE_LENGTH_BYTES;
}

void wire_limits(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) wire_fail("getrlimit");
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) wire_fail("setrlimit");
  signal(SIGPIPE, SIG_IGN);
}

_Noreturn void wire_fail(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
  exit(1);
}

uint64_t now_nanos(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}
