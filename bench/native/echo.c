// The least a server on epoll can do for an echo: what every other figure is divided by.
//
//   echo [-h HOST] [-p PORT] [-b BUFFER_BYTES] [-m echo|framed|tail|broadcast] [-t THREADS [-r]]
//
// One thread, level-triggered, one recv and one send an event. Prints "listening PORT". The modes
// are those of the bench's scenarios: echo/framed.c, echo/tail.c, echo/broadcast.c. With -t an echo
// has THREADS threads to serve, and one more that accepts and hands over, or (-r) none more:
// each accepts from a socket of its own.
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echo/server.h"

static bool echo(struct connection *c) {
  ssize_t count = recv(c->fd, server_buffer, server_buffer_bytes, 0);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  return count > 0 && server_send(c, server_buffer, (size_t)count);
}

const struct mode echo_mode = {
    .name = "echo",
    .connection_bytes = sizeof(struct connection),
    .is_threadable = true,
    .on_readable = echo,
};

static const struct mode *mode_named(const char *name) {
  static const struct mode *const modes[] = {&echo_mode, &framed_mode, &tail_mode, &broadcast_mode};
  for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    if (strcmp(modes[i]->name, name) == 0) return modes[i];
  }
  errno = EINVAL;
  server_fail(name);
}

int main(int argc, char **argv) {
  const char *host = "127.0.0.1";
  const struct mode *mode = &echo_mode;
  struct placement placement = {0, HANDOVER};
  int port = 0;
  for (int option; (option = getopt(argc, argv, "h:p:b:m:t:r")) != -1;) {
    if (option == 'h') host = optarg;
    else if (option == 'p') port = atoi(optarg);
    else if (option == 'b') server_buffer_bytes = strtoul(optarg, NULL, 10);
    else if (option == 'm') mode = mode_named(optarg);
    else if (option == 't') placement.threads = atoi(optarg);
    else if (option == 'r') placement.accepting = REUSEPORT;
    else return 2;
  }
  server_run(mode, host, port, placement);
}
