#define _GNU_SOURCE
#include "slow.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"
#include "report.h"

#define TURN_MS 10
#define AHEAD_BYTES (64 * 1024) // what is offered to the socket in a turn, beyond what it took
// Small ones, so that the server soon feels that nobody reads.
#define SOCKET_BUFFER_BYTES (64 * 1024)

static struct connection *all;
static int count;
static uint64_t began, next;

static void on_event(struct connection *c, uint32_t events) {
  if (events & (EPOLLERR | EPOLLHUP)) connection_reject(c, "the server closed it");
  connection_send(c);
}

void slow_open(int first_id) {
  int bytes = SOCKET_BUFFER_BYTES;
  all = calloc((size_t)options.slow + 1, sizeof *all);
  if (all == NULL) wire_fail("calloc");
  for (count = 0; count < options.slow; count++) {
    struct connection *c = &all[count];
    c->id = first_id + count;
    c->on_event = on_event;
    c->reads_by_clock = true;
    connection_open(c, true);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
  began = next = now_nanos();
}

static void read_due(struct connection *c, uint64_t due_bytes) {
  if (due_bytes <= c->received_bytes) return;
  uint64_t due = due_bytes - c->received_bytes;
  size_t bytes = connection_receive(c, due < CONNECTION_READ_BYTES ? due : CONNECTION_READ_BYTES);
  if (figures.phase == MEASURING) figures.slow_bytes += bytes;
}

int slow_turn(void) {
  uint64_t now = now_nanos();
  if (now >= next) {
    uint64_t due_bytes = (uint64_t)((double)(now - began) / 1e9 * options.slow_bytes_per_s);
    for (int i = 0; i < count; i++) {
      read_due(&all[i], due_bytes);
      all[i].due_bytes = all[i].sent_bytes + AHEAD_BYTES;
      if (!all[i].wants_out) connection_send(&all[i]);
    }
    next = now + TURN_MS * 1000000ull;
  }
  return (int)((next - now) / 1000000 + 1);
}

const struct connection *slow_starved(void) {
  for (int i = 0; i < count; i++) {
    if (all[i].received_bytes == 0) return &all[i];
  }
  return NULL;
}

void slow_close(void) {
  for (int i = 0; i < count; i++) close(all[i].fd);
  count = 0;
}
