// sink: listen on every address, print "listening PORT", and discard what comes without looking at it
// (MSG_TRUNC), one connection after the other. Ends with the process that started it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BYTES_MAX = 1 << 20 };

static void need(int holds, const char *what) {
  if (holds) return;
  perror(what);
  exit(EXIT_FAILURE);
}

int main(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  need(listen(listener, 16) == 0, "listen");
  need(getsockname(listener, (void *)&address, &length) == 0, "getsockname");
  printf("listening %d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    need(fd >= 0, "accept");
    while (recv(fd, NULL, BYTES_MAX, MSG_TRUNC) > 0) {}
    close(fd);
  }
}
