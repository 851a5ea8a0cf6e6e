// The least a server on epoll can do for an echo: what every other figure is divided by.
//
//   echo [-h HOST] [-p PORT] [-b BUFFER_BYTES]
//
// One thread, level-triggered, one recv and one send an event. Prints "listening PORT".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define BACKLOG 4096

// What a client has not taken yet: only a slow one ever needs it.
struct connection {
  int fd;
  bool wants_out;
  char *unsent;
  size_t unsent_bytes;
};

static int epoll_fd;
static char *buffer;
static size_t buffer_bytes = 64 * 1024;

static _Noreturn void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(struct connection *c, int operation, bool wants_out) {
  struct epoll_event event = {.data.ptr = c};
  // Who does not take his answers is not read from: that bounds what is unsent to one buffer.
  event.events = wants_out ? EPOLLOUT : EPOLLIN | EPOLLRDHUP;
  if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) fail("epoll_ctl");
  c->wants_out = wants_out;
}

static void drop(struct connection *c) {
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
  c->unsent = malloc(count);
  if (c->unsent == NULL) return false;
  memcpy(c->unsent, bytes, count);
  c->unsent_bytes = count;
  watch(c, EPOLL_CTL_MOD, true);
  return true;
}

// False when the connection is over.
static bool echo(struct connection *c) {
  ssize_t count = recv(c->fd, buffer, buffer_bytes, 0);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;
  ssize_t sent = send_some(c->fd, buffer, (size_t)count);
  if (sent < 0) return false;
  return sent == count || keep_unsent(c, buffer + sent, (size_t)(count - sent));
}

static bool send_unsent(struct connection *c) {
  ssize_t sent = send_some(c->fd, c->unsent, c->unsent_bytes);
  if (sent < 0) return false;
  c->unsent_bytes -= (size_t)sent;
  memmove(c->unsent, c->unsent + sent, c->unsent_bytes);
  if (c->unsent_bytes > 0) return true;
  free(c->unsent);
  c->unsent = NULL;
  watch(c, EPOLL_CTL_MOD, false);
  return true;
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) fail("calloc");
    c->fd = fd;
    watch(c, EPOLL_CTL_ADD, false);
  }
}

static int open_listener(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t bytes = sizeof address;
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail(host);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&address, bytes) != 0) fail("bind");
  if (listen(fd, BACKLOG) != 0) fail("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) fail("getsockname");
  printf("listening %d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void serve(int listener) {
  struct epoll_event events[EVENTS_MAX], accepting = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting) != 0) fail("epoll_ctl");
  for (;;) {
    int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) {
        accept_all(listener);
      } else if (!(c->wants_out ? send_unsent(c) : echo(c))) {
        drop(c);
      }
    }
  }
}

int main(int argc, char **argv) {
  const char *host = "127.0.0.1";
  int port = 0;
  for (int option; (option = getopt(argc, argv, "h:p:b:")) != -1;) {
    if (option == 'h') host = optarg;
    else if (option == 'p') port = atoi(optarg);
    else if (option == 'b') buffer_bytes = strtoul(optarg, NULL, 10);
    else return 2;
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  buffer = malloc(buffer_bytes);
  if (buffer == NULL) fail("malloc");
  serve(open_listener(host, port));
}
