// The bytes that the load programs send, their comparison, and the addresses of servers.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define WIRE_LENGTH_BYTES 4

struct endpoint {
  struct sockaddr_storage address;
  socklen_t bytes;
};

struct endpoint endpoint_tcp(const char *host, const char *port);
struct endpoint endpoint_unix(const char *path);

// A stream socket towards `to`, without Nagle's delay. `connected` becomes true when the
// connection stands: always when `blocking`. The socket is non-blocking afterwards either way.
int endpoint_connect(const struct endpoint *to, bool blocking, bool *connected);

// Every connection sends the same endless pattern, begun at a place of its own: bytes that are
// lost, doubled, out of order or another connection's do not match. Its period is prime, so no
// message size hides a shift.
void wire_prepare(size_t message_bytes);
// From now on the streams are frames, as netpoll-benchmark sends them: the length of the payload in
// 4 bytes, big-endian, and so much of the pattern.
void wire_frame(size_t payload_bytes);
// The bytes from `offset` of the stream of connection `id` on; `*bytes` becomes how many lie there
// at most.
const char *wire_at(int id, uint64_t offset, size_t *bytes);
// The number of bytes received at `offset` that are those of the stream, up to the first that is not.
size_t wire_matching(int id, uint64_t offset, const char *received, size_t bytes);
// True when the byte at `offset` of a stream is one of a frame's length.
bool wire_is_length(uint64_t offset);

// As many descriptors as the system grants; a peer that goes away is an error code, not a signal.
void wire_limits(void);
// Prints what failed and why, and ends the program.
_Noreturn void wire_fail(const char *what);

uint64_t now_nanos(void);
