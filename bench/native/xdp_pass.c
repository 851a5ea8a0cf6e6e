// xdp_pass INTERFACE: attach an XDP program that passes every packet, print "ready", and stay until
// standard input ends.
//
// Generic XDP (SKB mode) with BPF_F_XDP_HAS_FRAGS: before the program the kernel puts a copy in the
// place of a packet and frees the original as sent. So a veth pair, on which MSG_ZEROCOPY otherwise
// copies, behaves as a network card does.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BPF_F_XDP_HAS_FRAGS  // headers before Linux 5.18
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

static int bpf(int command, union bpf_attr *attributes, const char *what) {
  int fd = (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
  if (fd >= 0) return fd;
  fprintf(stderr, "xdp_pass: %s: %s\n", what, strerror(errno));
  exit(EXIT_FAILURE);
}

int main(int count, char **arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: xdp_pass INTERFACE\n");
    return 2;
  }
  struct bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load, link;
  memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_XDP;
  load.insns = (uintptr_t)program;
  load.insn_cnt = 2;
  load.license = (uintptr_t) "GPL";
  load.prog_flags = BPF_F_XDP_HAS_FRAGS;
  memset(&link, 0, sizeof link);
  link.link_create.prog_fd = (uint32_t)bpf(BPF_PROG_LOAD, &load, "load the program");
  link.link_create.target_ifindex = if_nametoindex(arguments[1]);
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = XDP_FLAGS_SKB_MODE;
  bpf(BPF_LINK_CREATE, &link, "attach the program");  // attached for as long as this process lives
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) {}
}
