#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

enum { ADD = EPOLL_CTL_ADD, DEL = EPOLL_CTL_DEL, MOD = EPOLL_CTL_MOD };

static uint32_t seen[2 * EVENTS_MAX];

static int32_t an_epoll(void) {
  int32_t epoll = np_epoll_create();
  CHECK(epoll >= 0);
  return epoll;
}

// Exactly one event, of this token.
static void check_event(int32_t epoll, uint32_t token, uint32_t events) {
  CHECK_EQUAL(np_epoll_wait(epoll, seen, EVENTS_MAX, 0), 1);
  CHECK_EQUAL(seen[0], token);
  CHECK_EQUAL(seen[1], events);
}

static void check_silence(int32_t epoll) {
  CHECK_EQUAL(np_epoll_wait(epoll, seen, EVENTS_MAX, 0), 0);
}

TEST("np_epoll_create() is close-on-exec") {
  int32_t epoll = an_epoll();
  CHECK(fcntl(epoll, F_GETFD) & FD_CLOEXEC);
}

TEST("np_epoll_ctl() is -errno for what cannot be watched") {
  int32_t epoll = an_epoll(), fd = np_eventfd();
  int32_t file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, -1, 0, EPOLLIN), -EBADF);
  CHECK_EQUAL(np_epoll_ctl(-1, ADD, fd, 0, EPOLLIN), -EBADF);
  CHECK_EQUAL(np_epoll_ctl(epoll, MOD, fd, 0, EPOLLIN), -ENOENT);
  CHECK_EQUAL(np_epoll_ctl(epoll, DEL, fd, 0, 0), -ENOENT);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, fd, 0, EPOLLIN), 0);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, fd, 0, EPOLLIN), -EEXIST);
  CHECK_EQUAL(np_epoll_ctl(epoll, 99, fd, 0, EPOLLIN), -EINVAL);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, epoll, 0, EPOLLIN), -EINVAL);
  if (file >= 0) CHECK_EQUAL(np_epoll_ctl(epoll, ADD, file, 0, EPOLLIN), -EPERM);
}

TEST("np_epoll_ctl() carries the new token after ADD, DEL, ADD (netpoll 171)") {
  int32_t epoll = an_epoll(), fd = np_eventfd();
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, fd, 1, EPOLLOUT), 0);
  check_event(epoll, 1, EPOLLOUT);
  CHECK_EQUAL(np_epoll_ctl(epoll, DEL, fd, 1, EPOLLOUT), 0);
  check_silence(epoll);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, fd, UINT32_MAX, EPOLLOUT), 0);
  check_event(epoll, UINT32_MAX, EPOLLOUT);  // all 32 bits of a token are its own
}

TEST("np_epoll_ctl() keeps the last token and interest after ADD, MOD, MOD (netpoll 172)") {
  int32_t epoll = an_epoll(), fd = np_eventfd();
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, fd, 1, EPOLLOUT), 0);
  CHECK_EQUAL(np_epoll_ctl(epoll, MOD, fd, 2, EPOLLIN), 0);
  check_silence(epoll);
  CHECK_EQUAL(np_epoll_ctl(epoll, MOD, fd, 0x80000003, EPOLLIN | EPOLLOUT), 0);
  check_event(epoll, 0x80000003, EPOLLOUT);
}

TEST("np_epoll_wait() tells writable, readable and hung up apart (netpoll 173)") {
  int32_t epoll = an_epoll(), pair[2];
  connect_tcp(pair);
  uint32_t slab = a_slab();
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, pair[0], 7, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR), 0);
  check_event(epoll, 7, EPOLLOUT);
  CHECK_EQUAL(np_send(pair[1], slab, 0, 5, 0), 5);
  await(pair[0], POLLIN);
  check_event(epoll, 7, EPOLLIN | EPOLLOUT);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 10), 5);
  check_event(epoll, 7, EPOLLOUT);
  np_close(pair[1]);
  await(pair[0], POLLRDHUP);
  check_event(epoll, 7, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

TEST("np_epoll_wait() reports an edge once, and none of the own close (netpoll 174)") {
  int32_t epoll = an_epoll(), pair[2], other[2];
  connect_tcp(pair);
  connect_tcp(other);
  uint32_t slab = a_slab();
  // EPOLLET is bit 31: the u32 must arrive whole.
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, pair[0], 1, EPOLLIN | EPOLLRDHUP | EPOLLET), 0);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, other[0], 2, EPOLLIN | EPOLLRDHUP | EPOLLET), 0);
  np_close(other[0]);
  CHECK_EQUAL(np_send(pair[1], slab, 0, 5, 0), 5);
  await(pair[0], POLLIN);
  check_event(epoll, 1, EPOLLIN);
  check_silence(epoll);  // still readable, but no new edge
  np_close(pair[1]);
  await(pair[0], POLLRDHUP);
  check_event(epoll, 1, EPOLLIN | EPOLLRDHUP);
  check_silence(epoll);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 5), 5);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 5), 0);
}

TEST("np_epoll_ctl() removes whatever the interest it is given (netpoll 175)") {
  int32_t epoll = an_epoll(), fd = np_eventfd();
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, fd, 1, EPOLLOUT), 0);
  CHECK_EQUAL(np_epoll_ctl(epoll, DEL, fd, 99, UINT32_MAX), 0);
  check_silence(epoll);
  CHECK_EQUAL(np_epoll_ctl(epoll, DEL, fd, 1, EPOLLOUT), -ENOENT);
}

TEST("np_epoll_wait() gives the new token for a descriptor number that is used again (netpoll 176)") {
  int32_t epoll = an_epoll(), fd = np_eventfd();
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, fd, 1, EPOLLOUT), 0);
  CHECK_EQUAL(np_close(fd), 0);
  check_silence(epoll);
  int32_t again = np_eventfd();
  CHECK_EQUAL(again, fd);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, again, 2, EPOLLOUT), 0);
  check_event(epoll, 2, EPOLLOUT);
}

TEST("np_epoll_wait() still reports what another descriptor of the same socket keeps open (netpoll 176)") {
  int32_t epoll = an_epoll(), fd = np_eventfd(), kept = dup(fd);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, fd, 1, EPOLLOUT), 0);
  CHECK_EQUAL(np_close(fd), 0);
  int32_t again = np_eventfd();
  CHECK_EQUAL(again, fd);
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, again, 2, EPOLLOUT), 0);
  // The stale registration comes with the stale token: the generation in it is what tells them
  // apart.
  CHECK_EQUAL(np_epoll_wait(epoll, seen, EVENTS_MAX, 0), 2);
  CHECK_EQUAL(seen[0] + seen[2], 3);
  np_close(kept);
  check_event(epoll, 2, EPOLLOUT);
}

TEST("np_epoll_wait() returns at most `capacity` and never more than 256 events") {
  int32_t epoll = an_epoll();
  struct rlimit limit;
  CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur < 400) SKIP("fewer than 400 descriptors allowed");
  for (uint32_t n = 0; n < 300; n++) CHECK_EQUAL(np_epoll_ctl(epoll, ADD, np_eventfd(), n, EPOLLOUT), 0);
  static uint32_t room[2 * 1000];
  CHECK_EQUAL(np_epoll_wait(epoll, room, 10, 0), 10);
  CHECK_EQUAL(room[20] + room[21], 0);
  CHECK_EQUAL(np_epoll_wait(epoll, room, 1000, 0), EVENTS_MAX);
  CHECK_EQUAL(np_epoll_wait(epoll, room, 0, 0), -EINVAL);
  CHECK_EQUAL(np_epoll_wait(epoll, room, -1, 0), -EINVAL);
  CHECK_EQUAL(np_epoll_wait(epoll, room, INT32_MIN, 100), -EINVAL);
  CHECK_EQUAL(np_epoll_wait(-1, room, 1, 0), -EBADF);
  CHECK_EQUAL(np_epoll_wait(-1, room, 1, 100), -EBADF);
  CHECK_EQUAL(np_epoll_wait(np_eventfd(), room, 1, -1), -EINVAL);
}

static int has_microseconds(void) {
#ifdef SYS_epoll_pwait2
  return syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, (size_t)8) < 0 && errno != ENOSYS && errno != EPERM;
#else
  return 0;
#endif
}

TEST("np_epoll_wait() waits for microseconds, not for whole milliseconds") {
  int32_t epoll = an_epoll();
  double shortest = 1e9;
  for (int n = 0; n < 100; n++) {
    double from = np_now();
    check_silence(epoll);
    CHECK_EQUAL(np_epoll_wait(epoll, seen, EVENTS_MAX, 300), 0);
    double micros = np_now() - from;
    CHECK(micros >= 300);
    if (micros < shortest) shortest = micros;
  }
  if (!has_microseconds()) SKIP("no epoll_pwait2 here");
  CHECK(shortest < 1000);  // the shortest of many: the others may have lost the processor
}

TEST("np_epoll_wait() waits for seconds and microseconds together") {
  double from = np_now();
  CHECK_EQUAL(np_epoll_wait(an_epoll(), seen, EVENTS_MAX, 1000100), 0);
  double micros = np_now() - from;
  CHECK(micros >= 1000100);
}

TEST("np_epoll_wait() of -1 has no end but an event") {
  int32_t epoll = an_epoll(), timer = np_timerfd();
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, timer, 5, EPOLLIN), 0);
  CHECK_EQUAL(np_timerfd_set(timer, 20000), 0);
  double from = np_now();
  CHECK_EQUAL(np_epoll_wait(epoll, seen, EVENTS_MAX, -1), 1);
  CHECK(np_now() - from >= 15000);
  CHECK_EQUAL(seen[0], 5);
  CHECK_EQUAL(seen[1], EPOLLIN);
}

TEST("np_epoll_wait() sees nothing when a signal interrupts it") {
  static const int32_t MICROS[] = {-1, 25000000};
  for (int n = 0; n < 2; n++) {
    interrupt(1, nothing);
    CHECK_EQUAL(np_epoll_wait(an_epoll(), seen, EVENTS_MAX, MICROS[n]), 0);
    CHECK_EQUAL(interruptions, 1);
  }
}

// From now on epoll_pwait2 fails in this process, as on kernels before 5.11 or under a container's
// filter.
static void refuse_pwait2(int code) {
#ifdef SYS_epoll_pwait2
  struct sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)code),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof program / sizeof *program, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
    SKIP("no seccomp here");
  }
  if (syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, (size_t)8) != -1 || errno != code) SKIP("no seccomp here");
#else
  (void)code;
#endif
}

static void check_milliseconds(void) {
  int32_t epoll = an_epoll();
  double from = np_now();
  CHECK_EQUAL(np_epoll_wait(epoll, seen, EVENTS_MAX, 300), 0);
  CHECK(np_now() - from >= 300);  // rounded up, never down
  CHECK_EQUAL(np_epoll_ctl(epoll, ADD, np_eventfd(), 3, EPOLLOUT), 0);
  CHECK_EQUAL(np_epoll_wait(epoll, seen, EVENTS_MAX, 1), 1);
  CHECK_EQUAL(np_epoll_wait(epoll, seen, EVENTS_MAX, INT32_MAX), 1);  // and rounding does not overflow
}

TEST("np_epoll_wait() falls back to milliseconds where the kernel has no epoll_pwait2") {
  refuse_pwait2(ENOSYS);
  check_milliseconds();
}

TEST("np_epoll_wait() falls back to milliseconds where a filter refuses epoll_pwait2 with EPERM") {
  refuse_pwait2(EPERM);
  check_milliseconds();
}
