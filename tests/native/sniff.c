// sniff: see every packet of this network namespace, as tcpdump does, print "ready", and stay until
// standard input ends. Meanwhile the kernel copies what was sent by MSG_ZEROCOPY. Ends with 77 where
// it may not.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <sys/socket.h>

enum { SKIPPED = 77 };

int main(void) {
  if (socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) < 0) {
    perror("sniff");
    return SKIPPED;
  }
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) {}
}
