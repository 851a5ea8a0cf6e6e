// An echo over UDP as cheap as C makes it: udp_echo batch | trains | one.
//
// batch: recvmmsg and sendmmsg. trains: those with UDP_GRO and UDP_SEGMENT. one: recvfrom and sendto. A datagram whose
// byte 8 is not 0 is answered only if its number (byte 0) is the last one of 64.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BATCH 64
#define SLOT_BYTES 65536
#define SOCKET_BYTES (4 << 20)

union train { struct cmsghdr head; char bytes[CMSG_SPACE(sizeof(int))]; };

static char memory[BATCH][SLOT_BYTES];
static struct mmsghdr received[BATCH], answers[BATCH];
static struct iovec slots[BATCH], pieces[BATCH];
static struct sockaddr_in peers[BATCH];
static union train coming[BATCH], leaving[BATCH];
static bool has_trains;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static bool is_answered(const char *bytes, size_t length) {
  return length < 9 || bytes[8] == 0 || (bytes[0] & 63) == 63;
}

// The size of the datagrams of a train; 0 for one that came alone.
static uint16_t segment_of(struct msghdr *message, size_t length) {
  struct cmsghdr *control = has_trains ? CMSG_FIRSTHDR(message) : NULL;
  if (control == NULL || control->cmsg_type != UDP_GRO) return 0;
  int segment;
  memcpy(&segment, CMSG_DATA(control), sizeof segment);
  return (size_t)segment < length ? (uint16_t)segment : 0;
}

static void receive_into(int i) {
  slots[i] = (struct iovec){memory[i], SLOT_BYTES};
  received[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &slots[i],
    .msg_iovlen = 1, .msg_control = has_trains ? &coming[i] : NULL,
    .msg_controllen = has_trains ? sizeof coming[i] : 0};
}

static void answer_with(int to, int from, size_t at, size_t length, uint16_t segment) {
  pieces[to] = (struct iovec){memory[from] + at, length};
  answers[to].msg_hdr = (struct msghdr){.msg_name = &peers[from], .msg_namelen = sizeof peers[from],
                                        .msg_iov = &pieces[to], .msg_iovlen = 1};
  if (segment == 0) return;
  leaving[to].head = (struct cmsghdr){CMSG_LEN(sizeof segment), SOL_UDP, UDP_SEGMENT};
  memcpy(CMSG_DATA(&leaving[to].head), &segment, sizeof segment);
  answers[to].msg_hdr.msg_control = &leaving[to];
  answers[to].msg_hdr.msg_controllen = CMSG_SPACE(sizeof segment);
}

static void send_all(int fd, int count) {
  for (int at = 0, sent; at < count; at += sent) {
    sent = sendmmsg(fd, answers + at, (unsigned)(count - at), 0);
    if (sent < 0) fail("sendmmsg");
  }
}

static void echo_batch(int fd) {
  for (int i = 0; i < BATCH; i++) receive_into(i);
  int count = recvmmsg(fd, received, BATCH, MSG_DONTWAIT, NULL), leaving_count = 0;
  for (int i = 0; i < count; i++) {
    size_t length = received[i].msg_len;
    uint16_t segment = segment_of(&received[i].msg_hdr, length);
    bool is_quiet = length >= 9 && memory[i][8] != 0;
    if (!is_quiet) answer_with(leaving_count++, i, 0, length, segment);
    for (size_t at = 0, step = segment ? segment : length; is_quiet && at < length; at += step) {
      size_t part = length - at < step ? length - at : step;
      if (!is_answered(memory[i] + at, part)) continue;
      if (leaving_count == BATCH) send_all(fd, leaving_count), leaving_count = 0;
      answer_with(leaving_count++, i, at, part, 0);
    }
  }
  send_all(fd, leaving_count);
}

static void echo_one(int fd) {
  struct sockaddr_in from;
  socklen_t bytes = sizeof from;
  ssize_t length = recvfrom(fd, memory[0], SLOT_BYTES, MSG_DONTWAIT, (struct sockaddr *)&from, &bytes);
  if (length < 0 || !is_answered(memory[0], (size_t)length)) return;
  if (sendto(fd, memory[0], (size_t)length, 0, (struct sockaddr *)&from, bytes) < 0) fail("sendto");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  bool is_single = strcmp(argv[1], "one") == 0;
  has_trains = strcmp(argv[1], "trains") == 0;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t bytes = sizeof address;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), room = SOCKET_BYTES, on = 1;
  if (bind(fd, (struct sockaddr *)&address, bytes) != 0) fail("bind");
  if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) fail("getsockname");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (has_trains && setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) != 0) fail("UDP_GRO");
  int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  printf("listening %d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    if (epoll_wait(epoll_fd, &event, 1, -1) < 1) continue;
    if (is_single) echo_one(fd);
    else echo_batch(fd);
  }
}
