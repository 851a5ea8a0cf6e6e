// A load for echo servers over UDP that believes nothing: every byte that comes back is compared.
//
//   udp_load -p PORT [-S PID] [-c SENDERS] [-s BYTES] [-b BURST] [-t SECONDS] [-w SECONDS] [-g] [-q]
//
// A sender sends BURST datagrams at once, waits for all answers, and so on. -g: as one train (UDP_SEGMENT). -q: only
// the last one of a burst of 64 is answered. What is not answered within 200 ms is asked again, and counted as late if
// it comes all the same, or as lost.
//
// Prints one line of JSON. Ends with 3 when the server lies.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "process_cpu.h"
#include "wire.h"

#define BURST_MAX 64
#define BYTES_MAX 1500
#define TRAIN_BYTES_MAX 65000
#define HEAD_BYTES 9  // the number of a datagram, and whether only the last one of a burst is answered
#define SOCKET_BYTES (4 << 20)
#define PATIENCE_NANOS 200000000ull
#define DRAIN_NANOS 20000000ull

struct sender {
  int fd, id, left;
  uint64_t first;  // the number of the first datagram of its burst
  uint64_t since;
  bool has[BURST_MAX];
};

static struct {
  const char *port;
  pid_t server;
  int senders, burst;
  size_t bytes;
  double seconds, warmup_seconds;
  bool is_train, is_quiet;
} options = {.senders = 1, .burst = 1, .bytes = 64, .seconds = 1, .warmup_seconds = 0.1};
static struct sender *all;
static uint64_t answered, lost, late;
static char out[BURST_MAX * BYTES_MAX], in[BURST_MAX][BYTES_MAX];
static int epoll_fd;

// The bytes of a datagram: its head, and the pattern of its sender.
static void fill(char *to, const struct sender *s, uint64_t number) {
  size_t there;
  memcpy(to, &number, sizeof number);
  to[sizeof number] = options.is_quiet;
  memcpy(to + HEAD_BYTES, wire_at(s->id, number * options.bytes, &there), options.bytes - HEAD_BYTES);
}

static void send_train(const struct sender *s, int count) {
  union { struct cmsghdr head; char bytes[CMSG_SPACE(sizeof(uint16_t))]; } control = {.head = {
    CMSG_LEN(sizeof(uint16_t)), SOL_UDP, UDP_SEGMENT}};
  int most = (int)(TRAIN_BYTES_MAX / options.bytes);
  uint16_t segment = (uint16_t)options.bytes;
  memcpy(CMSG_DATA(&control.head), &segment, sizeof segment);
  for (int at = 0; at < count; at += most) {
    int part = count - at < most ? count - at : most;
    struct iovec piece = {out + (size_t)at * options.bytes, (size_t)part * options.bytes};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    if (sendmsg(s->fd, &message, 0) < 0) wire_fail("sendmsg");
  }
}

static void send_singly(const struct sender *s, int count) {
  struct iovec pieces[BURST_MAX];
  struct mmsghdr messages[BURST_MAX] = {0};
  for (int i = 0; i < count; i++) {
    pieces[i] = (struct iovec){out + (size_t)i * options.bytes, options.bytes};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  for (int at = 0, sent; at < count; at += sent) {
    sent = sendmmsg(s->fd, messages + at, (unsigned)(count - at), 0);
    if (sent < 0) wire_fail("sendmmsg");
  }
}

static void ask(struct sender *s) {
  int count = options.burst;
  for (int i = 0; i < count; i++) fill(out + (size_t)i * options.bytes, s, s->first + (uint64_t)i);
  memset(s->has, 0, sizeof s->has);
  s->left = options.is_quiet ? 1 : count;
  s->since = now_nanos();
  if (options.is_train && count > 1) send_train(s, count);
  else send_singly(s, count);
}

// From one burst to the next. Numbers of a burst of 64 begin at a multiple of it.
static void go_on(struct sender *s) {
  s->first += (uint64_t)options.burst;
  ask(s);
}

static void take(struct sender *s, const char *bytes, size_t length) {
  char want[BYTES_MAX];
  uint64_t number;
  if (length < HEAD_BYTES) exit(3);
  memcpy(&number, bytes, sizeof number);
  uint64_t place = number - s->first;
  if (number < s->first) {
    late++;
    return;
  }
  fill(want, s, number);
  bool is_right = place < (uint64_t)options.burst && !s->has[place] && length == options.bytes &&
                  memcmp(bytes, want, length) == 0;
  if (!is_right) {
    fprintf(stderr, "sender %d got %zu bytes that it did not expect\n", s->id, length);
    exit(3);
  }
  s->has[place] = true;
  s->left--;
  answered += options.is_quiet ? (uint64_t)options.burst : 1;
}

static void on_event(struct sender *s) {
  struct iovec pieces[BURST_MAX];
  struct mmsghdr messages[BURST_MAX] = {0};
  for (int i = 0; i < options.burst; i++) {
    pieces[i] = (struct iovec){in[i], sizeof in[i]};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  int count = recvmmsg(s->fd, messages, (unsigned)options.burst, MSG_DONTWAIT, NULL);
  if (count < 0 && errno != EAGAIN) wire_fail("recvmmsg");
  for (int i = 0; i < count; i++) take(s, in[i], messages[i].msg_len);
  if (s->left == 0) go_on(s);
}

static void look_for_lost(void) {
  for (int i = 0; i < options.senders; i++) {
    if (now_nanos() - all[i].since < PATIENCE_NANOS) continue;
    lost += (uint64_t)all[i].left;
    go_on(&all[i]);
  }
}

static void turn(void) {
  struct epoll_event events[64];
  int count = epoll_wait(epoll_fd, events, 64, 50);
  if (count == 0) look_for_lost();
  for (int i = 0; i < count; i++) on_event(events[i].data.ptr);
}

static void run_for(double seconds) {
  for (uint64_t until = now_nanos() + (uint64_t)(seconds * 1e9); now_nanos() < until;) turn();
}

// An answer to a socket that has closed would be an error of the server's.
static void drain(void) {
  for (uint64_t until = now_nanos() + DRAIN_NANOS; now_nanos() < until;) {
    for (int i = 0; i < options.senders; i++) while (recv(all[i].fd, in[0], sizeof in[0], MSG_DONTWAIT) >= 0) continue;
  }
}

static void open_all(void) {
  struct endpoint to = endpoint_tcp("127.0.0.1", options.port);
  int room = SOCKET_BYTES;
  all = calloc((size_t)options.senders, sizeof *all);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (all == NULL || epoll_fd < 0) wire_fail("epoll_create1");
  for (int i = 0; i < options.senders; i++) {
    struct sender *s = &all[i];
    s->id = i;
    s->fd = socket(to.address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    struct epoll_event reading = {.events = EPOLLIN, .data.ptr = s};
    if (connect(s->fd, (const struct sockaddr *)&to.address, to.bytes) != 0) wire_fail("connect");
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &reading) != 0) wire_fail("epoll_ctl");
  }
}

static void parse(int argc, char **argv) {
  for (int o; (o = getopt(argc, argv, "p:S:c:s:b:t:w:gq")) != -1;) {
    switch (o) {
      case 'p': options.port = optarg; break;
      case 'S': options.server = atoi(optarg); break;
      case 'c': options.senders = atoi(optarg); break;
      case 's': options.bytes = strtoull(optarg, NULL, 10); break;
      case 'b': options.burst = atoi(optarg); break;
      case 't': options.seconds = atof(optarg); break;
      case 'w': options.warmup_seconds = atof(optarg); break;
      case 'g': options.is_train = true; break;
      case 'q': options.is_quiet = true; break;
      default: exit(2);
    }
  }
  bool is_possible = options.port != NULL && options.senders >= 1 && options.burst >= 1 &&
                    options.burst <= BURST_MAX && options.bytes > HEAD_BYTES && options.bytes <= BYTES_MAX;
  if (!is_possible || (options.is_quiet && options.burst != BURST_MAX)) exit(2);
}

int main(int argc, char **argv) {
  parse(argc, argv);
  wire_limits();
  wire_prepare(options.bytes);
  open_all();
  for (int i = 0; i < options.senders; i++) ask(&all[i]);
  run_for(options.warmup_seconds);
  answered = lost = late = 0;
  uint64_t from = now_nanos();
  struct process_cpu before = {0}, after = {0};
  if (options.server > 0) before = process_cpu_read(options.server);
  run_for(options.seconds);
  if (options.server > 0) after = process_cpu_read(options.server);
  double seconds = (double)(now_nanos() - from) / 1e9, micros = (after.total_nanos - before.total_nanos) / 1e3;
  drain();
  printf("{\"datagrams\": %lu, \"datagrams_per_s\": %.0f, \"server_us_per_datagram\": %.4f, \"lost\": %lu, "
         "\"late\": %lu}\n", answered, (double)answered / seconds, answered ? micros / (double)answered : 0,
         lost, late);
  return 0;
}
