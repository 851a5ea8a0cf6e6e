// host LIBRARY: opens libnetpoll.so, as a runtime does, in whatever C library this was built with, and echoes through
// it over TCP. It is what `make dist-check` has of a system that no runtime runs on here.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 512, SLAB_BYTES = 2 << 20, NONBLOCKING_TRIES = 1000000 };

static void *library;

static void check(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "host: %s\n", what);
  exit(1);
}

static void *function(const char *name) {
  void *found = dlsym(library, name);
  check(found != NULL, name);
  return found;
}

int main(int count, char **arguments) {
  check(count == 2, "name the library");
  library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) check(0, dlerror());
  int32_t (*abi)(void) = function("np_abi");
  int32_t (*slab_map)(uint32_t) = function("np_slab_map");
  int32_t (*recv_into)(int32_t, uint32_t, uint32_t, uint32_t) = function("np_recv");
  int32_t (*send_from)(int32_t, uint32_t, uint32_t, uint32_t, int32_t) = function("np_send");

  int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof at;
  check(bind(listener, (void *)&at, sizeof at) == 0 && listen(listener, 1) == 0, "cannot listen");
  check(getsockname(listener, (void *)&at, &length) == 0, "cannot learn the port");
  check(connect(client, (void *)&at, sizeof at) == 0, "cannot connect");
  int server = accept(listener, NULL, NULL);
  check(server >= 0, "cannot accept");

  char sent[MESSAGE_BYTES], received[MESSAGE_BYTES];
  for (int i = 0; i < MESSAGE_BYTES; i++) sent[i] = (char)(i * 7);
  check(write(client, sent, MESSAGE_BYTES) == MESSAGE_BYTES, "cannot write");
  int32_t slab = slab_map(SLAB_BYTES);
  check(slab >= 0, "cannot map a slab");
  uint32_t have = 0;
  for (int tries = 0; have < MESSAGE_BYTES && tries < NONBLOCKING_TRIES; tries++) {
    int32_t got = recv_into(server, slab, have, MESSAGE_BYTES - have);
    if (got > 0) have += (uint32_t)got;
  }
  check(send_from(server, slab, 0, have, 0) == MESSAGE_BYTES, "cannot send what was received");
  check(recv(client, received, MESSAGE_BYTES, MSG_WAITALL) == MESSAGE_BYTES, "cannot read");
  check(memcmp(sent, received, MESSAGE_BYTES) == 0, "another byte came back");
  printf("echoed %d bytes through ABI %d\n", MESSAGE_BYTES, abi());
  return 0;
}
