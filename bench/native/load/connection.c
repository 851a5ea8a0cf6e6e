#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "options.h"
#include "report.h"

#define EVENTS_MAX 512
#define PIECES_MAX 64

char connection_input[CONNECTION_READ_BYTES];
static int epoll_fd;

void connections_prepare(void) {
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) wire_fail("epoll_create1");
}

int connections_turn(int wait_ms) {
  struct epoll_event events[EVENTS_MAX];
  int count = epoll_wait(epoll_fd, events, EVENTS_MAX, wait_ms);
  if (count < 0 && errno != EINTR) wire_fail("epoll_wait");
  for (int i = 0; i < count; i++) {
    struct connection *c = events[i].data.ptr;
    c->on_event(c, events[i].events);
  }
  return count;
}

static void watch(struct connection *c, int operation, bool wants_out) {
  struct epoll_event event = {.data.ptr = c};
  event.events = (c->reads_by_clock ? 0 : EPOLLIN) | (wants_out ? EPOLLOUT : 0);
  if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) wire_fail("epoll_ctl");
  c->wants_out = wants_out;
}

bool connection_open(struct connection *c, bool blocking) {
  bool connected;
  c->fd = endpoint_connect(&options.to, blocking, &connected);
  c->due_bytes = c->sent_bytes = c->received_bytes = 0;
  if (c->source == NULL) c->source = c;
  figures.connects++;
  watch(c, EPOLL_CTL_ADD, !connected);
  return connected;
}

void connection_opened(struct connection *c, uint32_t events) {
  int code = 0;
  socklen_t bytes = sizeof code;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &bytes);
  errno = code;
  if (code != 0 || (events & (EPOLLERR | EPOLLHUP))) wire_fail("connect");
  watch(c, EPOLL_CTL_MOD, false);
}

static size_t gather(const struct connection *c, struct iovec *pieces) {
  size_t count = 0;
  for (uint64_t at = c->sent_bytes; at < c->due_bytes && count < PIECES_MAX; count++) {
    size_t bytes;
    pieces[count].iov_base = (void *)wire_at(c->id, at, &bytes);
    if (bytes > c->due_bytes - at) bytes = c->due_bytes - at;
    pieces[count].iov_len = bytes;
    at += bytes;
  }
  return count;
}

void connection_send(struct connection *c) {
  struct iovec pieces[PIECES_MAX];
  while (c->sent_bytes < c->due_bytes) {
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = gather(c, pieces)};
    // One piece, as always without frames, needs no list: load may be what limits a fast server.
    ssize_t sent = message.msg_iovlen == 1 ? send(c->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                                           : sendmsg(c->fd, &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      c->sent_bytes += (uint64_t)sent;
    } else if (errno == EAGAIN) {
      if (!c->wants_out) watch(c, EPOLL_CTL_MOD, true);
      return;
    } else if (errno != EINTR) {
      connection_reject(c, strerror(errno));
    }
  }
  if (c->wants_out) watch(c, EPOLL_CTL_MOD, false);
}

size_t connection_read(struct connection *c, size_t limit) {
  ssize_t count = recv(c->fd, connection_input, limit, 0);
  if (count > 0) return (size_t)count;
  if (count == 0) connection_reject(c, "the server closed it");
  if (errno != EAGAIN && errno != EINTR) connection_reject(c, strerror(errno));
  return 0;
}

void connection_verify(struct connection *c, const char *bytes, size_t count) {
  const struct connection *source = c->source;
  if (c->received_bytes + count > source->sent_bytes) connection_reject(c, "more bytes came than were sent");
  size_t matching = wire_matching(source->id, c->received_bytes, bytes, count);
  c->received_bytes += matching;
  if (matching == count) return;
  char why[80];
  const char *what = wire_is_length(c->received_bytes) ? "frame length" : "bytes";
  snprintf(why, sizeof why, "wrong %s after %lu", what, c->received_bytes);
  connection_reject(c, why);
}

size_t connection_receive(struct connection *c, size_t limit) {
  size_t count = connection_read(c, limit);
  if (count > 0) connection_verify(c, connection_input, count);
  return count;
}

void connection_reject(const struct connection *c, const char *why) {
  fprintf(stderr, "load: connection %d: %s\n", c->id, why);
  exit(3);
}
