// One connection that sends frames, and others that each must get every one of them, once.
//
// A server may accept a connection long after connect() has returned, so the sender first sends
// greetings, frames of another length, until everybody has got one; the stream begins after them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "options.h"
#include "report.h"
#include "workload.h"

#define GREETING_WAIT_MS 50
#define GREETING_BYTES_MAX (WIRE_LENGTH_BYTES + 2)

struct receiver {
  struct connection connection; // first: events are told to it
  bool is_greeted, is_in_stream;
  char begun[GREETING_BYTES_MAX]; // a frame before the stream
  size_t begun_bytes;
};

static struct receiver *all;
static struct connection sender;
static int greeted;
static char greeting[GREETING_BYTES_MAX];
static size_t greeting_bytes;

static uint64_t ring_mask, issued, done; // frames
static struct {
  uint64_t due;
  int missing; // deliveries
} *in_flight;  // ring

static bool may_issue(void) {
  return figures.phase != OVER && (options.job == 0 || issued < options.job);
}

static void issue(uint64_t due) {
  in_flight[issued & ring_mask].due = due;
  in_flight[issued++ & ring_mask].missing = options.receivers;
  sender.due_bytes += options.wire_bytes;
}

static void deliver(uint64_t frame, uint64_t now) {
  figures_add_answer(in_flight[frame & ring_mask].due, now);
  in_flight[frame & ring_mask].missing--;
}

// Everybody has a frame: the next ones of a closed loop leave.
static void complete(uint64_t now) {
  uint64_t before = done;
  while (done < issued && in_flight[done & ring_mask].missing == 0) done++;
  if (done == before || options.rate > 0) return;
  while (issued - done < (uint64_t)options.depth && may_issue()) issue(now);
  connection_send(&sender);
}

// Takes what comes before the stream. How many bytes that was.
static size_t take_greetings(struct receiver *r, size_t count) {
  size_t taken = 0;
  while (taken < count && !r->is_in_stream) {
    r->begun[r->begun_bytes++] = connection_input[taken++];
    if (r->begun_bytes == WIRE_LENGTH_BYTES && memcmp(r->begun, greeting, WIRE_LENGTH_BYTES) != 0) {
      if (!r->is_greeted) connection_reject(&r->connection, "wrong frame length before the stream");
      r->is_in_stream = true;
      connection_verify(&r->connection, r->begun, WIRE_LENGTH_BYTES);
    } else if (r->begun_bytes == greeting_bytes) {
      if (memcmp(r->begun, greeting, greeting_bytes) != 0) {
        connection_reject(&r->connection, "wrong bytes before the stream");
      }
      greeted += !r->is_greeted;
      r->is_greeted = true;
      r->begun_bytes = 0;
    }
  }
  return taken;
}

// Reads once. True when there may be more.
static bool receive(struct receiver *r) {
  size_t count = connection_read(&r->connection, CONNECTION_READ_BYTES);
  uint64_t frame = r->connection.received_bytes / options.wire_bytes;
  size_t greetings = r->is_in_stream ? 0 : take_greetings(r, count);
  connection_verify(&r->connection, connection_input + greetings, count - greetings);
  if (figures.phase == MEASURING) figures.bytes += count;
  uint64_t end = r->connection.received_bytes / options.wire_bytes, now = now_nanos();
  for (; frame < end; frame++) deliver(frame, now);
  complete(now);
  return count == CONNECTION_READ_BYTES;
}

static void on_receiver(struct connection *connection, uint32_t events) {
  (void)events;
  while (receive((struct receiver *)connection)) continue;
}

static void on_sender(struct connection *connection, uint32_t events) {
  if (events & EPOLLOUT) connection_send(connection);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  if (connection_read(connection, 1) > 0) connection_reject(connection, "the sender got bytes");
}

static void greet_all(void) {
  uint32_t length = options.message_bytes == 1 ? 2 : 1;
  greeting_bytes = WIRE_LENGTH_BYTES + length;
  length = htonl(length);
  memcpy(greeting, &length, sizeof length);
  uint64_t end = now_nanos() + (uint64_t)(options.patience_seconds * 1e9);
  while (greeted < options.receivers) {
    if (now_nanos() > end) connection_reject(&sender, "not everybody gets what it sends");
    if (send(sender.fd, greeting, greeting_bytes, MSG_NOSIGNAL) < 0) wire_fail("send");
    uint64_t next = now_nanos() + GREETING_WAIT_MS * 1000000ull;
    while (greeted < options.receivers && now_nanos() < next) connections_turn(GREETING_WAIT_MS);
  }
}

static void open_all(void) {
  uint64_t ring = workload_ring();
  ring_mask = ring - 1;
  in_flight = calloc(ring, sizeof *in_flight);
  all = calloc((size_t)options.receivers, sizeof *all);
  if (all == NULL || in_flight == NULL) wire_fail("calloc");
  for (int i = 0; i < options.receivers; i++) {
    struct connection *c = &all[i].connection;
    c->id = i + 1;
    c->source = &sender;
    c->on_event = on_receiver;
    connection_open(c, true);
  }
  sender.on_event = on_sender;
  connection_open(&sender, true);
  greet_all();
}

static void start(void) {
  if (options.rate > 0) return;
  uint64_t now = now_nanos();
  for (int i = 0; i < options.depth && may_issue(); i++) issue(now);
  connection_send(&sender);
}

static bool issue_next(uint64_t due) {
  if (!may_issue() || issued - done > ring_mask) return false;
  issue(due);
  connection_send(&sender);
  return true;
}

static const struct connection *owed(void) {
  for (int i = 0; done < issued && i < options.receivers; i++) {
    if (all[i].connection.received_bytes < issued * options.wire_bytes) return &all[i].connection;
  }
  return NULL;
}

const struct workload broadcast = {open_all, start, issue_next, owed};
