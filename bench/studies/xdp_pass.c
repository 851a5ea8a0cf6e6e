// xdp_pass INTERFACE: attach an XDP program that passes every packet, print "ready", and stay until
// standard input ends: a veth pair, on which MSG_ZEROCOPY otherwise copies, then behaves as a
// network card does.
#define _GNU_SOURCE
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../tests/native/xdp.h"

int main(int count, char **arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: xdp_pass INTERFACE\n");
    return 2;
  }
  if (xdp_attach(if_nametoindex(arguments[1])) < 0) {
    perror("xdp_pass: attach the program");
    return EXIT_FAILURE;
  }
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) {}
}
