#define _GNU_SOURCE
#include "frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static size_t payload_bytes(const char *frame) {
  uint32_t length;
  memcpy(&length, frame, sizeof length);
  return ntohl(length);
}

ssize_t frame_at(const char *bytes, size_t count) {
  if (count < FRAME_LENGTH_BYTES) return 0;
  size_t payload = payload_bytes(bytes);
  if (payload > FRAME_PAYLOAD_BYTES_MAX) return -1;
  return FRAME_LENGTH_BYTES + payload <= count ? (ssize_t)(FRAME_LENGTH_BYTES + payload) : 0;
}

size_t frame_build(char *to, const char *frame) {
  size_t payload = payload_bytes(frame);
  uint32_t length = htonl((uint32_t)payload);
  memcpy(to, &length, sizeof length);
  memcpy(to + FRAME_LENGTH_BYTES, frame + FRAME_LENGTH_BYTES, payload);
  return FRAME_LENGTH_BYTES + payload;
}

char *frames_output(size_t bytes) {
  static char *output;
  static size_t capacity;
  if (bytes <= capacity) return output;
  free(output);
  output = malloc(capacity = bytes);
  if (output == NULL) server_fail("malloc");
  return output;
}

void frames_free(struct framed *f) {
  free(f->kept);
  f->kept = NULL;
  f->kept_bytes = f->kept_capacity = 0;
}

// Keeps the input from `used` on, with room for the whole of the frame that begins there: the next
// recv brings no more than that, so the buffer is gone when the frame is complete.
static bool keep_rest(struct framed *f, const char *bytes, size_t count, size_t used) {
  size_t rest = count - used, capacity = rest;
  if (rest == 0) {
    frames_free(f);
    return true;
  }
  size_t frame = FRAME_LENGTH_BYTES;
  if (rest >= FRAME_LENGTH_BYTES) frame += payload_bytes(bytes + used);
  if (frame > capacity) capacity = frame;
  if (bytes == f->kept) memmove(f->kept, f->kept + used, rest);
  if (capacity != f->kept_capacity) {
    char *other = realloc(f->kept, capacity);
    if (other == NULL) return false;
    if (f->kept_capacity == 0) memcpy(other, bytes + used, rest);
    f->kept = other;
    f->kept_capacity = capacity;
  }
  f->kept_bytes = rest;
  return true;
}

static bool handle_all(struct framed *f, frames_handler *handle, const char *bytes, size_t count) {
  ssize_t used = handle(f, bytes, count);
  return used >= 0 && keep_rest(f, bytes, count, (size_t)used);
}

bool frames_read(struct framed *f, frames_handler *handle) {
  bool is_kept = f->kept_capacity > 0;
  char *to = is_kept ? f->kept + f->kept_bytes : server_buffer;
  ssize_t count = recv(f->connection.fd, to, is_kept ? f->kept_capacity - f->kept_bytes : server_buffer_bytes, 0);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;
  if (!is_kept) return handle_all(f, handle, server_buffer, (size_t)count);
  f->kept_bytes += (size_t)count;
  return frames_resume(f, handle);
}

bool frames_resume(struct framed *f, frames_handler *handle) {
  return handle_all(f, handle, f->kept, f->kept_bytes);
}
