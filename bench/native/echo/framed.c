// A frame is answered by a frame with the same payload, built in a buffer of its own; all the
// answers of a read go out in one send.
#include "frames.h"

static ssize_t answer(struct framed *f, const char *bytes, size_t count) {
  char *output = frames_output(count);
  size_t used = 0;
  for (ssize_t frame; (frame = frame_at(bytes + used, count - used)) != 0;) {
    if (frame < 0) return -1;
    used += frame_build(output + used, bytes + used);
  }
  if (used > 0 && !server_send(&f->connection, output, used)) return -1;
  return (ssize_t)used;
}

static bool on_readable(struct connection *c) { return frames_read((struct framed *)c, answer); }

static void on_close(struct connection *c) { frames_free((struct framed *)c); }

const struct mode framed_mode = {
    .name = "framed",
    .connection_bytes = sizeof(struct framed),
    .on_readable = on_readable,
    .on_close = on_close,
};
