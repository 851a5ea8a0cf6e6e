// An XDP program that passes every packet, attached where MSG_ZEROCOPY shall not copy.
//
// Generic XDP (SKB mode) with BPF_F_XDP_HAS_FRAGS: before the program the kernel puts a copy in the
// place of a packet and frees the original as sent, as a network card does. Without that flag large
// packets are copied earlier, and completions say so.
#pragma once
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BPF_F_XDP_HAS_FRAGS  // headers before Linux 5.18
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

static int xdp_call(int command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

// Attaches it to an interface for as long as the descriptor that it returns is open; -1 and errno.
// Needs CAP_NET_ADMIN and CAP_BPF.
static int xdp_attach(unsigned interface) {
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
  int loaded = xdp_call(BPF_PROG_LOAD, &load);
  if (loaded < 0) return -1;
  memset(&link, 0, sizeof link);
  link.link_create.prog_fd = (uint32_t)loaded;
  link.link_create.target_ifindex = interface;
  link.link_create.attach_type = BPF_XDP;
  link.link_create.flags = XDP_FLAGS_SKB_MODE;
  int attached = xdp_call(BPF_LINK_CREATE, &link);
  if (attached >= 0) close(loaded);  // the link keeps it
  return attached;
}
