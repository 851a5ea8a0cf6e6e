#define _GNU_SOURCE
#include "idle.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "connection.h"
#include "options.h"

static struct connection *all;

static void on_noise(struct connection *c, uint32_t events) {
  (void)events;
  if (connection_read(c, 1) > 0) connection_reject(c, "it is idle, and got bytes");
}

static void on_answer(struct connection *c, uint32_t events) {
  if (events & EPOLLOUT) connection_send(c);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) connection_receive(c, CONNECTION_READ_BYTES);
}

// Waits until so many bytes have left, and so many have come.
static void ask(struct connection *c, uint64_t sent, uint64_t received) {
  uint64_t end = now_nanos() + (uint64_t)(options.patience_seconds * 1e9);
  c->on_event = on_answer;
  c->due_bytes = sent;
  connection_send(c);
  while (c->sent_bytes < sent || c->received_bytes < received) {
    if (now_nanos() > end) connection_reject(c, "no answer to its one message");
    connections_turn(100);
  }
}

void idle_open(int first_id) {
  all = calloc((size_t)options.idle + 1, sizeof *all);
  if (all == NULL) wire_fail("calloc");
  for (int i = 0; i < options.idle; i++) {
    all[i].id = first_id + i;
    connection_open(&all[i], true);
    ask(&all[i], options.wire_bytes, options.wire_bytes);
    all[i].on_event = on_noise;
  }
}

void idle_hold(void) {
  char ignored[64];
  uint64_t bytes = options.wire_bytes;
  for (int i = 0; i < options.held; i++) ask(&all[i], bytes + bytes / 2, bytes);
  printf("ready\n");
  fflush(stdout);
  while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) continue;
  for (int i = 0; i < options.held; i++) ask(&all[i], 2 * bytes, 2 * bytes);
}
