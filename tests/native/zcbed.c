// zcbed [OPTIONS] COMMAND…: run a command where MSG_ZEROCOPY over 127.0.0.1 and ::1 really does not copy.
//
//   -c    plain loopback instead: completions say COPIED
//   -o N  net.core.optmem_max: at 0 every zero-copy send is ENOBUFS, at 900 all but one under way
//   -l N  RLIMIT_MEMLOCK, in bytes
//   -u N  run the command as this user, without CAP_IPC_LOCK: then the limit binds
//
// The command runs in a network namespace of its own, whose loopback has an XDP program that passes
// every packet (xdp.h): the kernel plays the network card. Everything is gone when the command ends.
// It needs CAP_NET_ADMIN and CAP_BPF, and ends with 77 where it cannot be.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xdp.h"

enum { SKIPPED = 77 };

static void need(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "zcbed: %s: %s\n", what, strerror(errno));
  exit(SKIPPED);
}

static void raise_loopback(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  need(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "raise lo");
  close(fd);
}

static void set_optmem(const char *bytes) {
  int fd = open("/proc/sys/net/core/optmem_max", O_WRONLY);
  need(fd >= 0 && write(fd, bytes, strlen(bytes)) > 0, "set net.core.optmem_max");
  close(fd);
}

// The link stays attached for as long as its descriptor is open: the command inherits it.
static void pass_packets(void) {
  int attached = xdp_attach(if_nametoindex("lo"));
  need(attached >= 0, "attach the XDP program");
  fcntl(attached, F_SETFD, 0);
}

int main(int count, char **arguments) {
  const char *optmem = NULL;
  long memlock = -1, user = -1;
  int is_plain = 0;
  for (int option; (option = getopt(count, arguments, "+co:l:u:")) != -1;) {
    if (option == 'c') is_plain = 1;
    else if (option == 'o') optmem = optarg;
    else if (option == 'l') memlock = atol(optarg);
    else if (option == 'u') user = atol(optarg);
    else return 2;
  }
  if (optind >= count) {
    fprintf(stderr, "usage: zcbed [-c] [-o optmem_max] [-l memlock] [-u user] COMMAND...\n");
    return 2;
  }
  need(unshare(CLONE_NEWNET) == 0, "make a network namespace");
  raise_loopback();
  if (optmem) set_optmem(optmem);
  if (!is_plain) pass_packets();
  struct rlimit limit = {(rlim_t)memlock, (rlim_t)memlock};
  if (memlock >= 0) need(setrlimit(RLIMIT_MEMLOCK, &limit) == 0, "set RLIMIT_MEMLOCK");
  uid_t id = (uid_t)user;
  if (user >= 0) need(!setgroups(0, NULL) && !setresgid(id, id, id) && !setresuid(id, id, id), "change the user");
  execvp(arguments[optind], arguments + optind);
  need(0, arguments[optind]);
}
