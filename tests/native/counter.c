TEST("np_now() only goes forward, in microseconds") {
  double before = np_now();
  struct timespec clock;
  clock_gettime(CLOCK_MONOTONIC, &clock);
  double between = (double)clock.tv_sec * 1e6 + (double)clock.tv_nsec / 1e3;
  CHECK(before <= between);
  CHECK(between <= np_now());
}

TEST("np_eventfd() counts what was added, until it is taken") {
  int32_t fd = np_eventfd();
  check_flags(fd);
  CHECK_EQUAL(np_counter_take(fd), -EAGAIN);
  for (int n = 0; n < 3; n++) CHECK_EQUAL(np_counter_add(fd), 0);
  CHECK_EQUAL(np_counter_take(fd), 3);
  CHECK_EQUAL(np_counter_take(fd), -EAGAIN);
}

TEST("np_counter_add() is -EAGAIN when the counter is full, np_counter_take() at most 2^31 - 1") {
  int32_t fd = np_eventfd();
  uint64_t all = UINT64_MAX - 1;
  CHECK_EQUAL(write(fd, &all, sizeof all), sizeof all);
  CHECK_EQUAL(np_counter_add(fd), -EAGAIN);
  CHECK_EQUAL(np_counter_take(fd), INT32_MAX);
  CHECK_EQUAL(np_counter_take(fd), -EAGAIN);
}

TEST("np_counter_add() and np_counter_take() are -errno for what is no counter") {
  CHECK_EQUAL(np_counter_add(-1), -EBADF);
  CHECK_EQUAL(np_counter_take(-1), -EBADF);
}

TEST("np_counter_take() of what is no counter tells nothing of our own memory") {
  int32_t pair[2];
  make_pair(pair);
  CHECK_EQUAL(write(pair[1], "\5", 1), 1);
  CHECK_EQUAL(np_counter_take(pair[0]), 5);
}

TEST("np_timerfd() expires again and again until it is stopped") {
  int32_t fd = np_timerfd();
  check_flags(fd);
  CHECK_EQUAL(np_counter_take(fd), -EAGAIN);
  CHECK_EQUAL(np_timerfd_set(fd, 1000), 0);
  for (int n = 0; n < 3; n++) {
    await(fd, POLLIN);
    CHECK(np_counter_take(fd) >= 1);
  }
  CHECK_EQUAL(np_timerfd_set(fd, 0), 0);
  struct itimerspec now;
  CHECK_EQUAL(timerfd_gettime(fd, &now), 0);
  CHECK_EQUAL(now.it_value.tv_sec + now.it_value.tv_nsec + now.it_interval.tv_nsec, 0);
}

TEST("np_timerfd_set() takes every number of microseconds") {
  int32_t fd = np_timerfd();
  static const uint32_t MICROS[] = {1, 999999, 1000000, 1500000, UINT32_MAX};
  for (int n = 0; n < 5; n++) {
    CHECK_EQUAL(np_timerfd_set(fd, MICROS[n]), 0);
    struct itimerspec now;
    CHECK_EQUAL(timerfd_gettime(fd, &now), 0);
    CHECK_EQUAL(now.it_interval.tv_sec * 1000000 + now.it_interval.tv_nsec / 1000, MICROS[n]);
  }
  CHECK_EQUAL(np_timerfd_set(-1, 1), -EBADF);
  CHECK_EQUAL(np_timerfd_set(np_eventfd(), 1), -EINVAL);
}

static double counted_now[COUNTERS];

static const double *look(void) {
  CHECK_EQUAL(np_counters(counted_now, COUNTERS), COUNTERS);
  return counted_now;
}

TEST("np_counters() has calls, what they moved, and those that were not ready") {
  int32_t pair[2];
  CHECK_EQUAL(np_socketpair(pair), 0);
  int32_t slab = np_slab_map(2 << 20);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 100), -EAGAIN);
  CHECK_EQUAL(np_send(pair[1], slab, 0, 60, 0), 60);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 40), 40);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 40), 20);
  const double *counts = look();
  CHECK_EQUAL(counts[3 * CALL_RECV], 3);
  CHECK_EQUAL(counts[3 * CALL_RECV + 1], 60);
  CHECK_EQUAL(counts[3 * CALL_RECV + 2], 1);
  CHECK_EQUAL(counts[3 * CALL_SEND], 1);
  CHECK_EQUAL(counts[3 * CALL_SEND + 1], 60);
  CHECK_EQUAL(counts[3 * CALL_SEND + 2], 0);
}

TEST("np_counters() has failures by their number, without what is only not ready") {
  int32_t pair[2];
  CHECK_EQUAL(np_socketpair(pair), 0);
  int32_t slab = np_slab_map(2 << 20);
  np_close(pair[0]);
  CHECK_EQUAL(np_send(pair[1], slab, 0, 1, 0), -EPIPE);
  CHECK_EQUAL(np_recv(-1, slab, 0, 1), -EBADF);
  const double *counts = look();
  CHECK_EQUAL(counts[ERRORS + EPIPE], 1);
  CHECK_EQUAL(counts[ERRORS + EBADF], 1);
  CHECK_EQUAL(counts[ERRORS + EAGAIN], 0);
  CHECK_EQUAL(counts[3 * CALL_SEND + 1], 0);
}

TEST("np_counters() has waits by how many events they brought") {
  int32_t epoll = np_epoll_create();
  uint32_t out[2 * 8];
  CHECK_EQUAL(np_epoll_wait(epoll, out, 8, 0), 0);
  for (int n = 1; n <= 4; n++) {
    int32_t fd = np_eventfd();
    CHECK_EQUAL(np_counter_add(fd), 0);
    CHECK_EQUAL(np_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, 0, EPOLLIN), 0);
    CHECK_EQUAL(np_epoll_wait(epoll, out, 8, 0), n);
  }
  static const int BY_BITS[] = {1, 1, 2, 1};  // 0, 1, 2 and 3, 4
  const double *counts = look();
  for (int bits = 0; bits < 4; bits++) CHECK_EQUAL(counts[BATCHES + bits], BY_BITS[bits]);
  CHECK_EQUAL(np_epoll_wait(epoll, out, 8, 1), 4);
  look();
  CHECK_EQUAL(counts[3 * CALL_EPOLL_WAIT + 2], 1);  // the one that may block
  CHECK_EQUAL(counts[3 * CALL_EPOLL_WAIT], 6);
  CHECK_EQUAL(counts[3 * CALL_EPOLL_WAIT + 1], 14);
}

static void *look_elsewhere(void *waits) {
  *(double *)waits = look()[3 * CALL_EPOLL_WAIT];
  return NULL;
}

TEST("np_counters() has the calls of its own thread, and writes no more than there is room for") {
  uint32_t out[2];
  CHECK_EQUAL(np_epoll_wait(np_epoll_create(), out, 1, 0), 0);
  double waits = -1;
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, look_elsewhere, &waits), 0);
  CHECK_EQUAL(pthread_join(thread, NULL), 0);
  CHECK_EQUAL(waits, 0);
  double two[3] = {-1, -1, -1};
  CHECK_EQUAL(np_counters(two, 2), COUNTERS);
  CHECK(two[1] >= 0);
  CHECK_EQUAL(two[2], -1);
}
