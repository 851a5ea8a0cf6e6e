// Many connections that do nothing, so that what each costs can be looked at.
//
//   hold -p PORT [-c COUNT] [-b COUNT] [-s BYTES]
//
// Opens -c connections (1000); each sends one message of -s bytes (64) and gets it back, every byte
// compared. Then -b of them (0) are busy: they send half a message more, so that the server waits
// for the rest of it. Prints "ready", and waits for the end of its standard input. Then the halves
// are completed and compared.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire.h"

#define WAIT_MS_MAX 10000

struct connection {
  int fd, id;
  uint64_t sent, received;
};

static size_t message_bytes = 64;

static void wait_for(const struct connection *c, short events) {
  struct pollfd waiting = {.fd = c->fd, .events = events};
  errno = ETIMEDOUT;
  if (poll(&waiting, 1, WAIT_MS_MAX) != 1) wire_fail(events == POLLIN ? "waiting for an echo" : "sending");
}

static void send_until(struct connection *c, uint64_t end) {
  while (c->sent < end) {
    size_t piece;
    const char *bytes = wire_at(c->id, c->sent, &piece);
    if (piece > end - c->sent) piece = end - c->sent;
    ssize_t count = send(c->fd, bytes, piece, 0);
    if (count > 0) c->sent += (uint64_t)count;
    else if (errno == EAGAIN) wait_for(c, POLLOUT);
    else wire_fail("send");
  }
}

static void receive_until(struct connection *c, uint64_t end) {
  char received[64 * 1024];
  while (c->received < end) {
    size_t wanted = end - c->received < sizeof received ? end - c->received : sizeof received;
    ssize_t count = recv(c->fd, received, wanted, 0);
    if (count < 0 && errno == EAGAIN) {
      wait_for(c, POLLIN);
      continue;
    }
    if (count < 0) wire_fail("recv");
    if (count == 0 || wire_matching(c->id, c->received, received, (size_t)count) < (size_t)count) {
      fprintf(stderr, "hold: connection %d: closed, or wrong bytes, after %lu\n", c->id, c->received);
      exit(3);
    }
    c->received += (uint64_t)count;
  }
}

static void open_all(struct connection *all, int count, const struct endpoint *to) {
  for (int i = 0; i < count; i++) {
    bool connected;
    all[i].id = i;
    all[i].fd = endpoint_connect(to, true, &connected);
    send_until(&all[i], message_bytes);
    receive_until(&all[i], message_bytes);
  }
}

static void wait_for_end_of_input(void) {
  char ignored[64];
  printf("ready\n");
  fflush(stdout);
  while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) continue;
}

int main(int argc, char **argv) {
  const char *port = NULL;
  int count = 1000, busy = 0;
  for (int option; (option = getopt(argc, argv, "p:c:b:s:")) != -1;) {
    if (option == 'p') port = optarg;
    else if (option == 'c') count = atoi(optarg);
    else if (option == 'b') busy = atoi(optarg);
    else if (option == 's') message_bytes = strtoul(optarg, NULL, 10);
    else return 2;
  }
  struct connection *all = calloc((size_t)count, sizeof *all);
  if (port == NULL || all == NULL || busy > count) return 2;
  wire_limits();
  wire_prepare(message_bytes);
  struct endpoint to = endpoint_tcp("127.0.0.1", port);
  open_all(all, count, &to);
  for (int i = 0; i < busy; i++) send_until(&all[i], message_bytes + message_bytes / 2);
  wait_for_end_of_input();
  for (int i = 0; i < busy; i++) send_until(&all[i], 2 * message_bytes);
  for (int i = 0; i < busy; i++) receive_until(&all[i], 2 * message_bytes);
  return 0;
}
