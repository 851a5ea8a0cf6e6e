// Sends datagrams to a socket of loopback, or of another host, that throws them away: what the sender pays for each.
//
//   udp_pour [-a HOST] [-p PORT] [-s BYTES] [-n SEGMENTS] [-t SECONDS] [-z]
//
// -n: so many datagrams of BYTES in one call (UDP_SEGMENT). -z: MSG_ZEROCOPY. With -a and -p it sends there, and
// otherwise to a child of its own. At most 64 sends are under way without their completion.
//
// Prints one line of JSON; `copied_percent` are completions which say that the kernel has copied all the same.
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>  // before errqueue.h, which needs it
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define TRAIN_BYTES_MAX 65507
#define UNDER_WAY_MAX 64
#define SOCKET_BYTES (8 << 20)
#define BATCH 64

static struct {
  const char *host, *port;
  int bytes, segments;
  double seconds;
  bool is_zero_copy;
} options = {.host = "127.0.0.1", .bytes = 1200, .segments = 1, .seconds = 1};
static uint64_t completed, copied;

// Receives and throws away, until its parent has ended.
static _Noreturn void discard(int fd) {
  static char room[BATCH][2048];
  struct iovec pieces[BATCH];
  struct mmsghdr messages[BATCH] = {0};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){room[i], sizeof room[i]};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  for (;;) recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
}

// The address of a child that discards.
static struct endpoint start_sink(pid_t *child) {
  struct endpoint at = endpoint_tcp("127.0.0.1", "0");
  int fd = socket(AF_INET, SOCK_DGRAM, 0), room = SOCKET_BYTES;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(fd, (struct sockaddr *)&at.address, at.bytes) != 0) wire_fail("bind");
  if (getsockname(fd, (struct sockaddr *)&at.address, &at.bytes) != 0) wire_fail("getsockname");
  *child = fork();
  if (*child < 0) wire_fail("fork");
  if (*child == 0) discard(fd);
  close(fd);
  return at;
}

// Takes completions: each says from which send to which, and whether the kernel has copied.
static void take_completions(int fd) {
  char control[128];
  for (;;) {
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
      if (errno == EAGAIN) return;
      wire_fail("recvmsg");
    }
    struct cmsghdr *at = CMSG_FIRSTHDR(&message);
    if (at == NULL) continue;
    struct sock_extended_err told;
    memcpy(&told, CMSG_DATA(at), sizeof told);
    if (told.ee_origin != SO_EE_ORIGIN_ZEROCOPY) continue;
    uint64_t count = (uint64_t)(told.ee_data - told.ee_info) + 1;
    completed += count;
    if (told.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) copied += count;
  }
}

static double cpu_micros(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
  return seconds * 1e6 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static uint64_t pour(int fd) {
  static char bytes[TRAIN_BYTES_MAX];
  union { struct cmsghdr head; char bytes[CMSG_SPACE(sizeof(uint16_t))]; } control = {.head = {
    CMSG_LEN(sizeof(uint16_t)), SOL_UDP, UDP_SEGMENT}};
  uint16_t segment = (uint16_t)options.bytes;
  memcpy(CMSG_DATA(&control.head), &segment, sizeof segment);
  struct iovec piece = {bytes, (size_t)options.bytes * (size_t)options.segments};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  if (options.segments > 1) message.msg_control = &control, message.msg_controllen = sizeof control;
  uint64_t sent = 0;
  for (uint64_t until = now_nanos() + (uint64_t)(options.seconds * 1e9); now_nanos() < until;) {
    if (sendmsg(fd, &message, options.is_zero_copy ? MSG_ZEROCOPY : 0) >= 0) sent++;
    else if (errno != EAGAIN && errno != ENOBUFS) wire_fail("sendmsg");
    if (!options.is_zero_copy || sent - completed < UNDER_WAY_MAX) continue;
    struct pollfd told = {.fd = fd};
    poll(&told, 1, 100);
    take_completions(fd);
  }
  return sent;
}

static void parse(int argc, char **argv) {
  for (int o; (o = getopt(argc, argv, "a:p:s:n:t:z")) != -1;) {
    switch (o) {
      case 'a': options.host = optarg; break;
      case 'p': options.port = optarg; break;
      case 's': options.bytes = atoi(optarg); break;
      case 'n': options.segments = atoi(optarg); break;
      case 't': options.seconds = atof(optarg); break;
      case 'z': options.is_zero_copy = true; break;
      default: exit(2);
    }
  }
  bool is_possible = options.bytes >= 1 && options.segments >= 1 && options.segments <= 64 &&
                     options.bytes * options.segments <= TRAIN_BYTES_MAX && options.seconds > 0;
  if (!is_possible) exit(2);
}

int main(int argc, char **argv) {
  parse(argc, argv);
  pid_t child = 0;
  struct endpoint to = options.port ? endpoint_tcp(options.host, options.port) : start_sink(&child);
  int fd = socket(to.address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, room = SOCKET_BYTES;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (options.is_zero_copy && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) != 0) wire_fail("SO_ZEROCOPY");
  if (connect(fd, (struct sockaddr *)&to.address, to.bytes) != 0) wire_fail("connect");
  double before = cpu_micros();
  uint64_t sent = pour(fd) * (uint64_t)options.segments;
  double used = cpu_micros() - before;
  if (child > 0) kill(child, SIGKILL);
  printf("{\"datagrams\": %lu, \"us_per_datagram\": %.4f, \"completions\": %lu, \"copied_percent\": %.0f}\n", sent,
         sent ? used / (double)sent : 0, completed, completed ? 100.0 * (double)copied / (double)completed : 0);
  return 0;
}
