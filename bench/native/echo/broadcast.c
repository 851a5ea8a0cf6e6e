// A frame goes to every other connection. What a slow one has not taken is queued, up to a bound:
// while any is above it, nobody is read from.
#include <stdlib.h>
#include <sys/socket.h>

#include "frames.h"

#define QUEUE_BYTES_MAX (1024 * 1024)

struct member {
  struct framed framed; // first
  size_t index;
  bool is_full;
};

static struct member **members;
static size_t member_count, member_capacity, full_count;

static void send_to_others(const struct member *sender, const char *bytes, size_t count) {
  for (size_t i = 0; i < member_count; i++) {
    struct member *m = members[i];
    struct connection *c = &m->framed.connection;
    if (m == sender) continue;
    // A broken one is not freed here: an event of its own may still lie in this turn's batch.
    if (!server_send(c, bytes, count)) shutdown(c->fd, SHUT_RDWR);
    if (m->is_full || c->unsent_bytes <= QUEUE_BYTES_MAX) continue;
    m->is_full = true;
    full_count++;
  }
}

static ssize_t spread(struct framed *f, const char *bytes, size_t count) {
  char *output = frames_output(count);
  size_t used = 0;
  for (ssize_t frame; (frame = frame_at(bytes + used, count - used)) != 0;) {
    if (frame < 0) return -1;
    used += frame_build(output + used, bytes + used);
  }
  if (used > 0) send_to_others((struct member *)f, output, used);
  return (ssize_t)used;
}

static bool on_readable(struct connection *c) {
  if (full_count == 0) return frames_read((struct framed *)c, spread);
  server_pause(c, true);
  return true;
}

static void is_no_longer_full(struct member *m) {
  if (!m->is_full) return;
  m->is_full = false;
  if (--full_count > 0) return;
  for (size_t i = 0; i < member_count; i++) server_pause(&members[i]->framed.connection, false);
}

static void on_sent(struct connection *c) {
  if (c->unsent_bytes <= QUEUE_BYTES_MAX / 2) is_no_longer_full((struct member *)c);
}

static void on_open(struct connection *c) {
  struct member *m = (struct member *)c;
  if (member_count == member_capacity) {
    member_capacity = member_capacity == 0 ? 64 : 2 * member_capacity;
    members = realloc(members, member_capacity * sizeof(struct member *));
    if (members == NULL) server_fail("realloc");
  }
  m->index = member_count;
  members[member_count++] = m;
}

static void on_close(struct connection *c) {
  struct member *m = (struct member *)c, *moved = members[--member_count];
  moved->index = m->index;
  members[m->index] = moved;
  is_no_longer_full(m);
  frames_free(&m->framed);
}

const struct mode broadcast_mode = {
    .name = "broadcast",
    .connection_bytes = sizeof(struct member),
    .on_readable = on_readable,
    .on_open = on_open,
    .on_close = on_close,
    .on_sent = on_sent,
};
