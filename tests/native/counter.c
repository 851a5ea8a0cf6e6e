TEST("np_now() only goes forward, in microseconds") {
  double before = np_now();
  struct timespec clock;
  clock_gettime(CLOCK_MONOTONIC, &clock);
  double between = (double)clock.tv_sec * 1e6 + (double)clock.tv_nsec / 1e3;
  CHECK(before <= between);
  CHECK(between <= np_now());
}

TEST("np_thread_now() counts what this thread computes, and not what it sleeps") {
  double begin = np_thread_now(), from = np_now();
  poll(NULL, 0, 50);
  double slept = np_now() - from;
  CHECK(np_thread_now() - begin < slept);
  double before = np_thread_now();
  for (volatile int n = 0; n < 1000000; n++) continue;
  CHECK(np_thread_now() > before);
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
