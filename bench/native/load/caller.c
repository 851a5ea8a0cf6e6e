// Connections that each send messages and get them back, in a closed loop or by the clock.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"
#include "report.h"
#include "workload.h"

struct caller {
  struct connection connection; // first: events are told to it
  uint64_t issued, done;        // messages on this connection
  uint64_t *since;              // ring: when each message in flight was due
};

static struct caller *all;
static uint64_t ring_mask;
static int turn; // whose turn it is in an open loop

static bool may_issue(const struct caller *c) {
  if (figures.phase == OVER) return false;
  if (options.job > 0 && c->issued == options.job) return false;
  return options.churn == 0 || c->issued < (uint64_t)options.churn;
}

static void issue(struct caller *c, uint64_t due) {
  c->since[c->issued++ & ring_mask] = due;
  c->connection.due_bytes += options.wire_bytes;
}

static void start(struct caller *c) {
  if (options.rate > 0) return; // issued by the clock alone
  uint64_t now = now_nanos();
  for (int i = 0; i < options.depth && may_issue(c); i++) issue(c, now);
  connection_send(&c->connection);
}

static void on_event(struct connection *connection, uint32_t events);

static void on_connected(struct connection *connection, uint32_t events) {
  connection_opened(connection, events);
  connection->on_event = on_event;
  start((struct caller *)connection);
}

static void open_one(struct caller *c, bool blocking) {
  c->issued = c->done = 0;
  c->connection.on_event = connection_open(&c->connection, blocking) ? on_event : on_connected;
}

static void reconnect(struct caller *c) {
  struct linger reset = {.l_onoff = 1};
  if (options.resets) setsockopt(c->connection.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(c->connection.fd);
  open_one(c, false);
  if (c->connection.on_event == on_event) start(c);
}

static void complete(struct caller *c, uint64_t count) {
  uint64_t now = now_nanos();
  for (uint64_t i = 0; i < count; i++) {
    figures_add_answer(c->since[c->done++ & ring_mask], now);
    if (options.rate <= 0 && may_issue(c)) issue(c, now);
  }
}

// Reads once. True when there may be more.
static bool receive(struct caller *c) {
  uint64_t before = c->connection.received_bytes / options.wire_bytes;
  size_t count = connection_receive(&c->connection, CONNECTION_READ_BYTES);
  if (figures.phase == MEASURING) figures.bytes += count;
  uint64_t completed = c->connection.received_bytes / options.wire_bytes - before;
  if (completed > 0) {
    complete(c, completed);
    if (options.churn > 0 && c->done == (uint64_t)options.churn && figures.phase != OVER) {
      reconnect(c);
      return false;
    }
    connection_send(&c->connection);
  }
  return count == CONNECTION_READ_BYTES;
}

static void on_event(struct connection *connection, uint32_t events) {
  if (events & EPOLLOUT) connection_send(connection);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  while (receive((struct caller *)connection)) continue;
}

static void open_all(void) {
  uint64_t ring = workload_ring();
  ring_mask = ring - 1;
  all = calloc((size_t)options.connections, sizeof *all);
  if (all == NULL) wire_fail("calloc");
  for (int i = 0; i < options.connections; i++) {
    all[i].connection.id = i;
    all[i].since = malloc(ring * sizeof *all[i].since);
    if (all[i].since == NULL) wire_fail("malloc");
    open_one(&all[i], true);
  }
}

static void start_all(void) {
  for (int i = 0; i < options.connections; i++) start(&all[i]);
}

static bool issue_next(uint64_t due) {
  struct caller *c = &all[turn];
  turn = (turn + 1) % options.connections;
  if (c->connection.on_event != on_event || !may_issue(c) || c->issued - c->done > ring_mask) return false;
  issue(c, due);
  connection_send(&c->connection);
  return true;
}

static const struct connection *owed(void) {
  for (int i = 0; i < options.connections; i++) {
    if (all[i].issued > all[i].done) return &all[i].connection;
  }
  return NULL;
}

const struct workload callers = {open_all, start_all, issue_next, owed};
