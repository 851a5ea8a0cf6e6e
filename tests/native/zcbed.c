// zcbed [OPTIONS] COMMAND…: run a command where MSG_ZEROCOPY over 127.0.0.1 and ::1 really does not copy.
//
//   -c    plain loopback instead: completions say COPIED
//   -o N  net.core.optmem_max: at 0 every zero-copy send is ENOBUFS, at 900 all but one under way
//   -l N  RLIMIT_MEMLOCK, in bytes
//   -u N  run the command as this user, without CAP_IPC_LOCK: then the limit binds
//
// The command runs in a network namespace of its own, whose loopback has an XDP program that passes
// every packet. Before that program the kernel puts a copy in the place of a packet and frees the
// original as sent: it plays the network card. The program must have BPF_F_XDP_HAS_FRAGS, or large
// packets are copied earlier. Everything is gone when the command ends. It needs CAP_NET_ADMIN and
// CAP_BPF, and ends with 77 where it cannot be.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BPF_F_XDP_HAS_FRAGS  // headers before Linux 5.18
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

enum { SKIPPED = 77 };

static void need(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "zcbed: %s: %s\n", what, strerror(errno));
  exit(SKIPPED);
}

static int bpf(int command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
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
  struct bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load;
  memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_XDP;
  load.insns = (uintptr_t)program;
  load.insn_cnt = 2;
  load.license = (uintptr_t) "GPL";
  load.prog_flags = BPF_F_XDP_HAS_FRAGS;
  int loaded = bpf(BPF_PROG_LOAD, &load);
  need(loaded >= 0, "load the XDP program");
  union bpf_attr link;
  memset(&link, 0, sizeof link);
  link.link_create.prog_fd = (uint32_t)loaded;
  link.link_create.target_ifindex = if_nametoindex("lo");
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = XDP_FLAGS_SKB_MODE;
  int attached = bpf(BPF_LINK_CREATE, &link);
  need(attached >= 0, "attach the XDP program");
  fcntl(attached, F_SETFD, 0);
  close(loaded);
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
