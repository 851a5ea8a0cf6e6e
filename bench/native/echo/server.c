#define _GNU_SOURCE
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define BACKLOG 4096
#define THREADS_MAX 256

_Thread_local char *server_buffer;
size_t server_buffer_bytes = 64 * 1024;

static const struct mode *mode;
// Of this thread; the one that accepts for others adds connections to each of theirs.
static _Thread_local int epoll_fd;
// Of the threads that serve, when another accepts; none otherwise.
static int served_by[THREADS_MAX], served_by_count;

void server_fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch_in(int epoll, struct connection *c, int operation) {
  struct epoll_event event = {.data.ptr = c};
  event.events = c->wants_out ? EPOLLOUT : c->is_paused ? 0 : EPOLLIN | EPOLLRDHUP;
  if (epoll_ctl(epoll, operation, c->fd, &event) != 0) server_fail("epoll_ctl");
}

static void watch(struct connection *c, int operation) { watch_in(epoll_fd, c, operation); }

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

// A client that is not read from has an event only when its connection is broken.
static bool on_event(struct connection *c) {
  if (c->wants_out) return send_unsent(c);
  return !c->is_paused && mode->on_readable(c);
}

static int next_epoll(void) {
  static unsigned turn; // one thread accepts for others
  return served_by_count == 0 ? epoll_fd : served_by[turn++ % (unsigned)served_by_count];
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = calloc(1, mode->connection_bytes);
    if (c == NULL) server_fail("calloc");
    c->fd = fd;
    if (mode->on_open != NULL) mode->on_open(c);
    watch_in(next_epoll(), c, EPOLL_CTL_ADD); // from here on it may be another thread's
  }
}

static int open_listener(const char *host, int port, bool shares_port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t bytes = sizeof address;
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) server_fail(host);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (shares_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&address, bytes) != 0) server_fail("bind");
  if (listen(fd, BACKLOG) != 0) server_fail("listen");
  return fd;
}

static int port_of(int listener) {
  struct sockaddr_in address;
  socklen_t bytes = sizeof address;
  if (getsockname(listener, (struct sockaddr *)&address, &bytes) != 0) server_fail("getsockname");
  return ntohs(address.sin_port);
}

static int open_epoll(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) server_fail("epoll_create1");
  return epoll;
}

// Serves what comes to an epoll, and what a listener brings (-1: none).
static _Noreturn void serve(int epoll, int listener) {
  struct epoll_event events[EVENTS_MAX], accepting = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_fd = epoll;
  server_buffer = malloc(server_buffer_bytes);
  if (server_buffer == NULL) server_fail("malloc");
  if (listener >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting) != 0) server_fail("epoll_ctl");
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

struct post {
  int epoll, listener;
};

static void *take_post(void *argument) {
  struct post post = *(struct post *)argument;
  free(argument);
  serve(post.epoll, post.listener);
}

static void start_thread(int epoll, int listener) {
  pthread_t thread;
  struct post *post = malloc(sizeof *post);
  if (post == NULL) server_fail("malloc");
  *post = (struct post){epoll, listener};
  errno = pthread_create(&thread, NULL, take_post, post);
  if (errno != 0) server_fail("pthread_create");
}

void server_run(const struct mode *chosen, const char *host, int port, struct placement placement) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  mode = chosen;
  errno = EINVAL;
  if (placement.threads > THREADS_MAX) server_fail("so many threads");
  if (placement.threads > 0 && !mode->is_threadable) server_fail("threads in this mode");
  bool shares_port = placement.threads > 0 && placement.accepting == REUSEPORT;
  int listener = open_listener(host, port, shares_port);
  port = port_of(listener);
  // With a port for all this thread is the last of them; else it accepts for them, or serves alone.
  for (int n = shares_port ? 1 : 0; n < placement.threads; n++) {
    int epoll = open_epoll();
    if (!shares_port) served_by[served_by_count++] = epoll;
    start_thread(epoll, shares_port ? open_listener(host, port, true) : -1);
  }
  printf("listening %d\n", port);
  fflush(stdout);
  serve(open_epoll(), listener);
}
