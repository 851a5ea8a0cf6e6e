// As framed, but one request in 100 of the server is answered 10 ms later: a handler that waits for
// something. Its connection is not read from meanwhile, so answers stay in order and nothing piles
// up; the others go on.
#define _GNU_SOURCE
#include <time.h>

#include "frames.h"

#define DELAY_ONE_IN 100
#define DELAY_NANOS 10000000ull

struct delayed {
  struct framed framed; // first; what was kept begins with the frame that waits
  struct delayed *next, *previous;
  uint64_t due;
  bool is_waiting;
};

// All wait equally long: the first to come is the first to be due.
static struct delayed *first, *last;
static uint32_t requests;

static uint64_t now_nanos(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

// True when the n-th request is a late one, as in peers/frames.mjs, which says why they are scattered.
static bool is_late(uint32_t n) {
  uint32_t x = n * 0x9e3779b1u;
  x = (x ^ (x >> 15)) * 0x85ebca77u;
  return (x ^ (x >> 13)) % DELAY_ONE_IN == 0;
}

static void begin_wait(struct delayed *d) {
  d->is_waiting = true;
  d->due = now_nanos() + DELAY_NANOS;
  d->next = NULL;
  d->previous = last;
  if (last != NULL) last->next = d;
  else first = d;
  last = d;
  server_pause(&d->framed.connection, true);
}

static void end_wait(struct delayed *d) {
  d->is_waiting = false;
  if (d->previous != NULL) d->previous->next = d->next;
  else first = d->next;
  if (d->next != NULL) d->next->previous = d->previous;
  else last = d->previous;
}

static ssize_t answer_from(struct framed *f, const char *bytes, size_t count, bool has_waited) {
  char *output = frames_output(count);
  size_t used = 0;
  for (ssize_t frame; (frame = frame_at(bytes + used, count - used)) != 0; has_waited = false) {
    if (frame < 0) return -1;
    if (!has_waited && is_late(++requests)) {
      begin_wait((struct delayed *)f);
      break;
    }
    used += frame_build(output + used, bytes + used);
  }
  if (used > 0 && !server_send(&f->connection, output, used)) return -1;
  return (ssize_t)used;
}

static ssize_t answer(struct framed *f, const char *bytes, size_t count) { return answer_from(f, bytes, count, false); }

static ssize_t answer_late(struct framed *f, const char *bytes, size_t count) {
  return answer_from(f, bytes, count, true);
}

static bool on_readable(struct connection *c) { return frames_read((struct framed *)c, answer); }

static void on_close(struct connection *c) {
  if (((struct delayed *)c)->is_waiting) end_wait((struct delayed *)c);
  frames_free((struct framed *)c);
}

static int on_turn(void) {
  uint64_t now = now_nanos();
  while (first != NULL && first->due <= now) {
    struct delayed *d = first;
    end_wait(d);
    server_pause(&d->framed.connection, false);
    if (!frames_resume(&d->framed, answer_late)) server_drop(&d->framed.connection);
  }
  return first == NULL ? -1 : (int)((first->due - now + 999999) / 1000000);
}

const struct mode tail_mode = {
    .name = "tail",
    .connection_bytes = sizeof(struct delayed),
    .on_readable = on_readable,
    .on_close = on_close,
    .on_turn = on_turn,
};
