// Receives what build/pour sends: `drain [ADDRESS]` listens on 127.0.0.1 or another address, prints
// "listening PORT" and serves until it is killed.
//
// The first byte of a connection says what to do with the rest: 'v' compare it with the pattern,
// 'd' let the kernel drop it uncopied. At the end it sends back how many bytes came.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire.h"

#define PIECE_BYTES (1 << 20)

static void *swallow(void *argument) {
  int fd = (int)(intptr_t)argument;
  char *bytes = malloc(PIECE_BYTES), first = 0;
  uint64_t total = 0;
  ssize_t asked = recv(fd, &first, 1, 0);  // 0 from a client that only looks for a listener
  for (ssize_t count; asked == 1 && (count = recv(fd, bytes, PIECE_BYTES, first == 'd' ? MSG_TRUNC : 0)) > 0;) {
    if (first == 'v' && wire_matching(0, total, bytes, (size_t)count) < (size_t)count) {
      fprintf(stderr, "drain: another byte came after %llu\n", (unsigned long long)total);
      exit(3);
    }
    total += (uint64_t)count;
  }
  if (asked == 1 && send(fd, &total, sizeof total, 0) != sizeof total) perror("send");
  close(fd);
  free(bytes);
  return NULL;
}

int main(int argc, char **argv) {
  wire_limits();
  wire_prepare(PIECE_BYTES);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (argc > 1 && inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) return 2;
  socklen_t bytes = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 128) < 0) wire_fail("listen");
  getsockname(listener, (struct sockaddr *)&at, &bytes);
  printf("listening %d\n", ntohs(at.sin_port));
  fflush(stdout);
  for (;;) {
    pthread_t thread;
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || pthread_create(&thread, NULL, swallow, (void *)(intptr_t)fd)) wire_fail("accept");
    pthread_detach(thread);
  }
}
