// On loopback, where the kernel copies what arrives: the code of a completion is 1 here. zcbed.c has
// the place where it is 0.
#include <linux/net_tstamp.h>

enum { COPIED = SO_EE_CODE_ZEROCOPY_COPIED, PIECE = 16 << 10 };

static uint32_t ranges[COMPLETION_WORDS * COMPLETIONS_MAX];
static uint32_t waited[2 * 2 + 2 * COMPLETION_WORDS * COMPLETIONS_MAX];

static void allow_zero_copy(int32_t fd) {
  CHECK_EQUAL(np_setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, ON, sizeof *ON), 0);
}

// Two connected sockets of a family, from an address to itself.
static void connect_family(int32_t pair[2], struct address at, const void *to, uint32_t family) {
  int32_t listener = np_socket(at.family);
  if (listener == -EAFNOSUPPORT) SKIP("no IPv6 here");
  if (np_bind(listener, &at) == -EADDRNOTAVAIL) SKIP("no IPv6 address here");
  struct address peer;
  CHECK_EQUAL(np_listen(listener, 1), 0);
  CHECK_EQUAL(np_name(listener, 0, &at), 0);
  at = (struct address){.family = family, .port = at.port, .length = 16};
  memcpy(at.bytes, to, 16);
  pair[0] = np_socket(family);
  int32_t code = np_connect(pair[0], &at);
  CHECK(code == 0 || code == -EINPROGRESS);
  await(listener, POLLIN);
  pair[1] = np_accept(listener, &peer);
  CHECK(pair[1] >= 0);
  np_close(listener);
}

static int32_t send_pinned(int32_t fd, uint32_t slab, uint32_t bytes) {
  const uint32_t whole[1][3] = {{slab, 0, bytes}};
  return np_sendmsg_zero_copy(fd, table_of(1, whole), 1, 0);
}

static void receive_all(int32_t fd, uint32_t slab, int64_t bytes) {
  while (bytes > 0) {
    await(fd, POLLIN);
    int32_t count = np_recv(fd, slab, 0, PIECE);
    CHECK(count > 0);
    bytes -= count;
  }
}

// The next range in the error queue.
static void check_range(int32_t fd, uint32_t lo, uint32_t hi) {
  await(fd, 0);  // POLLERR cannot be masked
  CHECK_EQUAL(np_completions(fd, ranges), 1);
  CHECK_EQUAL(ranges[0], 0);
  CHECK_EQUAL(ranges[1], lo);
  CHECK_EQUAL(ranges[2], hi);
}

TEST("np_sendmsg_zero_copy() numbers the sends of a socket from 0, and np_completions() tells them") {
  int32_t pair[2];
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  uint32_t from = a_filled_slab(), to = a_slab();
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
  for (uint32_t n = 0; n < 3; n++) {
    CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
    receive_all(pair[1], to, PIECE);
    check_range(pair[0], n, n);
    CHECK_EQUAL(ranges[3], COPIED);
  }
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
}

TEST("np_sendmsg_zero_copy() numbers only what moved bytes (zero copy 6)") {
  int32_t pair[2];
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  uint32_t from = a_filled_slab(), to = a_slab();
  const uint32_t outside[1][3] = {{from, HUGE_PAGE_BYTES, 1}};
  CHECK_EQUAL(np_sendmsg_zero_copy(pair[0], table_of(1, outside), 1, 0), -EFAULT);
  CHECK_EQUAL(np_sendmsg_zero_copy(pair[0], table_of(1, outside), IOVECS_MAX + 1, 0), -EINVAL);
  CHECK_EQUAL(send_pinned(pair[0], from, 0), 0);
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
  int64_t sent = PIECE + fill_socket(pair[0], from);
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), -EAGAIN);
  receive_all(pair[1], to, sent);
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
  receive_all(pair[1], to, PIECE);
  check_range(pair[0], 0, 1);
}

TEST("np_completions() merges what is not taken (zero copy 9)") {
  int32_t pair[2];
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  uint32_t from = a_filled_slab(), to = a_slab();
  for (int n = 0; n < 1000; n++) {
    CHECK_EQUAL(send_pinned(pair[0], from, 4096), 4096);
    receive_all(pair[1], to, 4096);
  }
  check_range(pair[0], 0, 999);
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
}

TEST("np_completions() reads what IPv6 sockets tell, and those with IPv4 mapped into them (zero copy 33)") {
  static const uint8_t MAPPED[16] = {[10] = 255, [11] = 255, 127, 0, 0, 1};
  struct address six = address_of(AF_INET6, LOOPBACK6, 16), any = address_of(AF_INET6, (uint8_t[16]){0}, 16);
  uint32_t from = a_filled_slab(), to = a_slab();
  for (int n = 0; n < 2; n++) {
    int32_t pair[2];
    connect_family(pair, n ? any : six, n ? MAPPED : LOOPBACK6, AF_INET6);
    allow_zero_copy(pair[0]);
    CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
    receive_all(pair[1], to, PIECE);
    check_range(pair[0], 0, 0);
  }
}

TEST("np_completions() passes over timestamps in the same queue (zero copy 34)") {
  int32_t pair[2];
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  int32_t stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_SOFTWARE;
  CHECK_EQUAL(np_setsockopt(pair[0], SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps), 0);
  uint32_t from = a_filled_slab(), to = a_slab();
  CHECK_EQUAL(np_send(pair[0], from, 0, 100, 0), 100);
  receive_all(pair[1], to, 100);
  await(pair[0], 0);  // the timestamp
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
  receive_all(pair[1], to, PIECE);
  int32_t count = 0;
  while (count == 0) count = np_completions(pair[0], ranges);
  CHECK_EQUAL(count, 1);
  CHECK_EQUAL(ranges[1], 0);
  CHECK_EQUAL(ranges[2], 0);
}

TEST("np_completions() finds nothing on a socket without an error queue: it ends, and reads nothing") {
  int32_t pair[2];
  make_pair(pair);
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
  uint32_t slab = a_filled_slab();
  CHECK_EQUAL(np_send(pair[1], slab, 0, 5, 0), 5);
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
  CHECK_EQUAL(np_unread(pair[0]), 5);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 5), 5);
  np_close(pair[1]);  // now every recvmsg() succeeds, with nothing
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
}

// Everything that puts a message of its own beside a notification (socket(7), ip(7), ipv6(7)).
static void ask_for_all(int32_t fd) {
  static const int STAMPS = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_ACK |
                            SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_CMSG |
                            SOF_TIMESTAMPING_OPT_ID;
  static const int OPTIONS[][2] = {
      {SOL_SOCKET, SO_TIMESTAMPNS}, {SOL_SOCKET, SO_RXQ_OVFL}, {SOL_SOCKET, SO_WIFI_STATUS},
      {IPPROTO_IP, IP_PKTINFO}, {IPPROTO_IP, IP_RECVTTL}, {IPPROTO_IP, IP_RECVTOS}, {IPPROTO_IP, IP_RECVOPTS},
      {IPPROTO_IP, IP_RETOPTS}, {IPPROTO_IP, IP_RECVORIGDSTADDR}, {IPPROTO_IP, IP_RECVERR},
      {IPPROTO_IPV6, IPV6_RECVPKTINFO}, {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}, {IPPROTO_IPV6, IPV6_RECVTCLASS},
      {IPPROTO_IPV6, IPV6_RECVORIGDSTADDR}, {IPPROTO_IPV6, IPV6_RECVERR},
  };
  // A send that this kernel, or this family, cannot do puts nothing there either.
  for (size_t n = 0; n < sizeof OPTIONS / sizeof *OPTIONS; n++) {
    np_setsockopt(fd, OPTIONS[n][0], OPTIONS[n][1], ON, sizeof *ON);
  }
  CHECK_EQUAL(np_setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &STAMPS, sizeof STAMPS), 0);
}

// The bytes of control messages of the longest message in the error queue; it is lost.
static size_t longest_control(int32_t fd) {
  size_t longest = 0;
  for (;;) {
    static _Alignas(struct cmsghdr) char control[1 << 16];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return longest;
    if (message.msg_controllen > longest) longest = message.msg_controllen;
  }
}

TEST("np_completions() has room for the longest notification: none is cut (zero copy 35)") {
  uint32_t from = a_filled_slab(), to = a_slab();
  for (int n = 0; n < 2; n++) {
    int32_t pair[2];
    if (n) connect_family(pair, address_of(AF_INET6, LOOPBACK6, 16), LOOPBACK6, AF_INET6);
    else connect_tcp(pair);
    allow_zero_copy(pair[0]);
    ask_for_all(pair[0]);
    CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
    receive_all(pair[1], to, PIECE);
    await(pair[0], 0);
    size_t longest = longest_control(pair[0]);
    CHECK(longest > 0);
    CHECK(longest <= CONTROL_BYTES);
    CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
    receive_all(pair[1], to, PIECE);
    int32_t count = 0;
    while (count == 0) count = np_completions(pair[0], ranges);
    CHECK_EQUAL(ranges[2], 1);
  }
}

TEST("a notification that does not fit is lost, and the kernel says so (zero copy 35)") {
  int32_t pair[2];
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  uint32_t from = a_filled_slab(), to = a_slab();
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
  receive_all(pair[1], to, PIECE);
  await(pair[0], 0);
  _Alignas(struct cmsghdr) char control[20];
  struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
  CHECK_EQUAL(recvmsg(pair[0], &message, MSG_ERRQUEUE | MSG_DONTWAIT), 0);
  CHECK(message.msg_flags & MSG_CTRUNC);
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
}

TEST("SO_ZEROCOPY is inherited from a listener, but not by what was in its queue (zero copy 1)") {
  struct address at, peer;
  int32_t listener = listen_tcp(&at), value = 1;
  int32_t before = np_socket(AF_INET), after = np_socket(AF_INET);
  np_connect(before, &at);
  await(listener, POLLIN);
  allow_zero_copy(listener);
  np_connect(after, &at);
  int32_t first = np_accept(listener, &peer);
  await(listener, POLLIN);
  int32_t second = np_accept(listener, &peer);
  CHECK_EQUAL(np_getsockopt(first, SOL_SOCKET, SO_ZEROCOPY, &value, sizeof value), sizeof value);
  CHECK_EQUAL(value, 0);
  CHECK_EQUAL(np_getsockopt(second, SOL_SOCKET, SO_ZEROCOPY, &value, sizeof value), sizeof value);
  CHECK_EQUAL(value, 1);
  allow_zero_copy(first);  // and it can be set on an accepted one
}

TEST("SO_ZEROCOPY is refused by Unix sockets; without it nothing is numbered (zero copy 2, 3)") {
  int32_t pair[2];
  make_pair(pair);
  CHECK_EQUAL(np_setsockopt(pair[0], SOL_SOCKET, SO_ZEROCOPY, ON, sizeof *ON), -EOPNOTSUPP);
  uint32_t from = a_filled_slab(), to = a_slab();
  CHECK_EQUAL(send_pinned(pair[0], from, 100), 100);
  CHECK_EQUAL(np_recv(pair[1], to, 0, 200), 100);
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
  connect_tcp(pair);
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
  receive_all(pair[1], to, PIECE);
  CHECK_EQUAL(np_completions(pair[0], ranges), 0);
}

// A socket with a completion that waits in its error queue, watched as token 7.
static int32_t watch_completed(int32_t epoll, uint32_t events, int32_t pair[2]) {
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  uint32_t from = a_filled_slab();
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), PIECE);
  receive_all(pair[1], a_slab(), PIECE);
  await(pair[0], 0);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, pair[0], 7, events), 0);
  return pair[0];
}

TEST("np_epoll_wait() tells completions apart from events, in every way to watch (zero copy 29)") {
  static const uint32_t WAYS[] = {0, EPOLLET, EPOLLONESHOT, EPOLLIN | EPOLLRDHUP, EPOLLET | EPOLLIN};
  for (int n = 0; n < 5; n++) {
    int32_t pair[2], epoll = an_epoll();
    watch_completed(epoll, COMPLETIONS | WAYS[n], pair);
    CHECK_EQUAL(np_epoll_wait(epoll, waited, 2, 0), 1 << 16);
    CHECK_EQUAL(waited[4], 7);
    CHECK_EQUAL(waited[5], 0);
    CHECK_EQUAL(waited[6], 0);
    CHECK_EQUAL(waited[7], COPIED);
    CHECK_EQUAL(np_epoll_wait(epoll, waited, 2, 0), 0);
  }
}

TEST("np_epoll_wait() tells what else happened beside a completion") {
  int32_t pair[2], epoll = an_epoll();
  watch_completed(epoll, COMPLETIONS | EPOLLOUT | EPOLLIN, pair);
  CHECK_EQUAL(np_epoll_wait(epoll, waited, 2, 0), 1 | 1 << 16);
  CHECK_EQUAL(waited[0], 7);
  CHECK_EQUAL(waited[1], EPOLLOUT);
  CHECK_EQUAL(waited[4], 7);
}

TEST("np_epoll_wait() leaves the error queue alone unless it was asked to drain it") {
  int32_t pair[2], epoll = an_epoll();
  watch_completed(epoll, 0, pair);
  CHECK_EQUAL(np_epoll_wait(epoll, waited, 2, 0), 1);
  CHECK_EQUAL(waited[1], EPOLLERR);
  check_range(pair[0], 0, 0);
}

TEST("np_epoll_wait() tells a reset together with the completions that it brings (zero copy 30)") {
  int32_t pair[2], epoll = an_epoll(), error = 0;
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  uint32_t from = a_filled_slab();
  int32_t sent = send_pinned(pair[0], from, 1 << 20);
  CHECK(sent > 0);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, pair[0], 7, COMPLETIONS | EPOLLIN), 0);
  np_close(pair[1]);  // with bytes unread: a reset
  await(pair[0], POLLHUP);
  CHECK_EQUAL(np_epoll_wait(epoll, waited, 2, -1), 1 | 1 << 16);
  CHECK(waited[1] & EPOLLERR);
  CHECK(waited[1] & EPOLLHUP);
  CHECK_EQUAL(waited[5], 0);
  // Taking completions has not taken the error, and that is there once (zero copy 32).
  CHECK_EQUAL(np_getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &error, sizeof error), sizeof error);
  CHECK_EQUAL(error, ECONNRESET);
  CHECK_EQUAL(np_getsockopt(pair[0], SOL_SOCKET, SO_ERROR, &error, sizeof error), sizeof error);
  CHECK_EQUAL(error, 0);
}

TEST("np_disconnect() completes what is under way, resets the peer, and leaves the descriptor open") {
  int32_t pair[2];
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  uint32_t from = a_filled_slab(), to = a_slab();
  uint32_t calls = 0;
  while (send_pinned(pair[0], from, 256 << 10) > 0) calls++;
  CHECK_EQUAL(np_disconnect(pair[0]), 0);
  uint32_t done = 0;
  for (int32_t count; (count = np_completions(pair[0], ranges)) > 0;) {
    for (int32_t n = 0; n < count; n++) done += ranges[4 * n + 2] - ranges[4 * n + 1] + 1;
  }
  CHECK_EQUAL(done, calls);
  int32_t code;
  while ((code = np_recv(pair[1], to, 0, HUGE_PAGE_BYTES)) > 0) {}
  CHECK_EQUAL(code, -ECONNRESET);
  CHECK_EQUAL(np_close(pair[0]), 0);
  CHECK_EQUAL(np_disconnect(-1), -EBADF);
}

TEST("np_pinned_max() is RLIMIT_MEMLOCK without CAP_IPC_LOCK, and has no bound with it") {
  struct rlimit limit = {192 << 10, 192 << 10};
  CHECK_EQUAL(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
  if (geteuid() != 0) {
    CHECK_EQUAL(np_pinned_max(), 192);
    return;
  }
  CHECK_EQUAL(np_pinned_max(), INT32_MAX);
  CHECK_EQUAL(setuid(65534), 0);
  CHECK_EQUAL(np_pinned_max(), 192);
}

#ifdef NP_FAULTS
TEST("np_fault() refuses zero-copy sends, shortens them, and lets completions say what they like") {
  int32_t pair[2];
  connect_tcp(pair);
  allow_zero_copy(pair[0]);
  uint32_t from = a_filled_slab(), to = a_slab();
  CHECK_EQUAL(np_fault(FAULT_SEND_ZERO_COPY, ANY, 0, 1, -ENOBUFS), 0);
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), -ENOBUFS);
  CHECK_EQUAL(np_fault(FAULT_SEND_ZERO_COPY, ANY, 0, 1, 1000), 0);
  CHECK_EQUAL(send_pinned(pair[0], from, PIECE), 1000);
  CHECK_EQUAL(np_fault(FAULT_COPIED, ANY, 0, 1, 2), 0);
  receive_all(pair[1], to, 1000);
  check_range(pair[0], 0, 0);
  CHECK_EQUAL(ranges[3], 2);
}
#endif

// Sends from a slab of its own, and leaves the other end to whoever asks.
static void *send_pinned_and_end(void *argument) {
  int32_t pair[2];
  connect_tcp(pair);
  if (*(int32_t *)argument) allow_zero_copy(pair[0]);
  CHECK_EQUAL(send_pinned(pair[0], a_filled_slab(), PIECE), PIECE);
  *(int32_t *)argument = np_disown(pair[1]);
  return NULL;
}

TEST("np_owner: the end of a thread aborts what it sends from its slabs, and ends what it sent by copying") {
  uint32_t to = a_slab();
  for (int32_t is_pinned = 0; is_pinned < 2; is_pinned++) {
    int32_t fd = is_pinned, code;
    in_a_thread(send_pinned_and_end, &fd);
    do {
      await(fd, POLLIN);
      code = np_recv(fd, to, 0, PIECE);
    } while (code > 0);
    CHECK_EQUAL(code, is_pinned ? -ECONNRESET : 0);
  }
}
