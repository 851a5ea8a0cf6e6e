// Input in frames, as netpoll-benchmark sends them: 4 bytes of length, big-endian, and so many bytes
// of payload.
#pragma once
#include "server.h"

#define FRAME_LENGTH_BYTES 4
#define FRAME_PAYLOAD_BYTES_MAX (16 * 1024 * 1024)

// A connection whose input comes in frames. Only one that has sent half a frame holds a buffer.
struct framed {
  struct connection connection; // first
  char *kept;
  size_t kept_bytes, kept_capacity;
};

// Uses whole frames from the front of the input. How many bytes that was, or -1 when the connection
// is over.
typedef ssize_t frames_handler(struct framed *f, const char *bytes, size_t count);

// One recv, handled together with what was kept; the rest is kept. False when the connection is
// over.
bool frames_read(struct framed *f, frames_handler *handle);
// Handles what was kept once more.
bool frames_resume(struct framed *f, frames_handler *handle);
void frames_free(struct framed *f);

// The size of the frame at `bytes`, length and payload; 0 when it is not all there, -1 when it is too
// large.
ssize_t frame_at(const char *bytes, size_t count);
// Builds a frame with the same payload. Its size.
size_t frame_build(char *to, const char *frame);
// A buffer for answers, until the next call.
char *frames_output(size_t bytes);
