#define _GNU_SOURCE
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define BACKLOG 4096

char *server_buffer;
size_t server_buffer_bytes = 64 * 1024;

static const struct mode *mode;
static int epoll_fd;

void server_fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(struct connection *c, int operation) {
  struct epoll_event event = {.data.ptr = c};
  event.events = c->wants_out ? EPOLLOUT : c->is_paused ? 0 : EPOLLIN | EPOLLRDHUP;
  if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) server_fail("epoll_ctl");
}

void server_pause(struct connection *c, bool is_paused) {
  if (c->is_paused == is_paused) return;
  c->is_paused = is_paused;
  if (!c->wants_out) watch(c, EPOLL_CTL_MOD);
}

void server_drop(struct connection *c) {
  if (mode->on_close != NULL) mode->on_close(c);
  close(c->fd);
  free(c->unsent);
  free(c);
}

// Sends what the socket takes: how many bytes, or -1 when the connection is broken.
static ssize_t send_some(int fd, const char *bytes, size_t count) {
  size_t sent = 0;
  while (sent < count) {
    ssize_t n = send(fd, bytes + sent, count - sent, MSG_NOSIGNAL);
    if (n >= 0) {
      sent += (size_t)n;
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      return -1;
    }
  }
  return (ssize_t)sent;
}

static bool keep_unsent(struct connection *c, const char *bytes, size_t count) {
  char *larger = realloc(c->unsent, c->unsent_bytes + count);
  if (larger == NULL) return false;
  c->unsent = larger;
  memcpy(c->unsent + c->unsent_bytes, bytes, count);
  c->unsent_bytes += count;
  if (c->wants_out) return true;
  c->wants_out = true;
  watch(c, EPOLL_CTL_MOD);
  return true;
}

bool server_send(struct connection *c, const char *bytes, size_t count) {
  ssize_t sent = c->wants_out ? 0 : send_some(c->fd, bytes, count);
  if (sent < 0) return false;
  return (size_t)sent == count || keep_unsent(c, bytes + sent, count - (size_t)sent);
}

static bool send_unsent(struct connection *c) {
  ssize_t sent = send_some(c->fd, c->unsent, c->unsent_bytes);
  if (sent < 0) return false;
  c->unsent_bytes -= (size_t)sent;
  memmove(c->unsent, c->unsent + sent, c->unsent_bytes);
  if (c->unsent_bytes == 0) {
    free(c->unsent);
    c->unsent = NULL;
    c->wants_out = false;
    watch(c, EPOLL_CTL_MOD);
  }
  if (mode->on_sent != NULL) mode->on_sent(c);
  return true;
}

// Who is not read from has an event only when the connection is broken.
static bool on_event(struct connection *c) {
  if (c->wants_out) return send_unsent(c);
  return !c->is_paused && mode->on_readable(c);
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = calloc(1, mode->connection_bytes);
    if (c == NULL) server_fail("calloc");
    c->fd = fd;
    watch(c, EPOLL_CTL_ADD);
    if (mode->on_open != NULL) mode->on_open(c);
  }
}

static int open_listener(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t bytes = sizeof address;
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) server_fail(host);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&address, bytes) != 0) server_fail("bind");
  if (listen(fd, BACKLOG) != 0) server_fail("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) server_fail("getsockname");
  printf("listening %d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static _Noreturn void serve(int listener) {
  struct epoll_event events[EVENTS_MAX], accepting = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting) != 0) server_fail("epoll_ctl");
  for (int wait_ms = -1;;) {
    int count = epoll_wait(epoll_fd, events, EVENTS_MAX, wait_ms);
    if (count < 0 && errno != EINTR) server_fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) {
        accept_all(listener);
      } else if (!on_event(c)) {
        server_drop(c);
      }
    }
    if (mode->on_turn != NULL) wait_ms = mode->on_turn();
  }
}

void server_run(const struct mode *chosen, const char *host, int port) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  server_buffer = malloc(server_buffer_bytes);
  if (server_buffer == NULL) server_fail("malloc");
  mode = chosen;
  serve(open_listener(host, port));
}
