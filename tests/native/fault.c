#ifdef NP_FAULTS
enum { ANY = -1 };

TEST("np_fault() is -EINVAL for a kind of call that is none") {
  CHECK_EQUAL(np_fault(-1, ANY, 0, 1, -EIO), -EINVAL);
  CHECK_EQUAL(np_fault(FAULT_KINDS, ANY, 0, 1, -EIO), -EINVAL);
  CHECK_EQUAL(np_fault(INT32_MIN, ANY, 0, 1, -EIO), -EINVAL);
  CHECK_EQUAL(np_fault(FAULT_KINDS - 1, ANY, 0, 0, 0), 0);
}

TEST("np_fault() lets `skip` calls pass, fails `count`, and is then used up") {
  int32_t fd = np_eventfd();
  CHECK_EQUAL(np_fault(FAULT_EVENTFD, ANY, 2, 3, -ENFILE), 0);
  for (int n = 0; n < 8; n++) {
    int32_t code = np_eventfd();
    if (n >= 2 && n < 5) CHECK_EQUAL(code, -ENFILE);
    else CHECK(code > fd);
  }
}

TEST("np_fault() with count 0 takes the fault away, another replaces it") {
  CHECK_EQUAL(np_fault(FAULT_SOCKET, ANY, 0, 10, -EMFILE), 0);
  CHECK_EQUAL(np_socket(AF_UNIX), -EMFILE);
  CHECK_EQUAL(np_fault(FAULT_SOCKET, ANY, 0, 10, -ENFILE), 0);
  CHECK_EQUAL(np_socket(AF_UNIX), -ENFILE);
  CHECK_EQUAL(np_fault(FAULT_SOCKET, ANY, 0, 0, -ENFILE), 0);
  CHECK(np_socket(AF_UNIX) >= 0);
}

TEST("np_fault() with a descriptor leaves all others alone, in the count of skips too") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  CHECK_EQUAL(np_fault(FAULT_SEND, pair[0], 1, 1, -ECONNRESET), 0);
  for (int n = 0; n < 3; n++) CHECK_EQUAL(np_send(pair[1], slab, 0, 1, 0), 1);
  CHECK_EQUAL(np_send(pair[0], slab, 0, 1, 0), 1);
  CHECK_EQUAL(np_send(pair[1], slab, 0, 1, 0), 1);
  CHECK_EQUAL(np_send(pair[0], slab, 0, 1, 0), -ECONNRESET);
  CHECK_EQUAL(np_send(pair[0], slab, 0, 1, 0), 1);
}

// The next call of the kind fails with -EIO and does nothing; the one after it is the system's.
#define CHECK_FAILS_ONCE(kind, call)                         \
  do {                                                       \
    CHECK_EQUAL(np_fault(kind, ANY, 0, 1, -EIO), 0);         \
    CHECK_EQUAL(call, -EIO);                                 \
    CHECK((call) != -EIO);                                   \
  } while (0)

TEST("np_fault() fails each kind of call that opens or names something") {
  struct address at = address_of(AF_INET, LOOPBACK4, 4), peer;
  int32_t pair[2], fd = np_socket(AF_INET);
  CHECK_FAILS_ONCE(FAULT_SOCKET, np_socket(AF_INET));
  CHECK_FAILS_ONCE(FAULT_SOCKETPAIR, np_socketpair(pair));
  CHECK_FAILS_ONCE(FAULT_BIND, np_bind(fd, &at));
  CHECK_FAILS_ONCE(FAULT_LISTEN, np_listen(fd, 1));
  CHECK_FAILS_ONCE(FAULT_ACCEPT, np_accept(fd, &peer));
  CHECK_FAILS_ONCE(FAULT_CONNECT, np_connect(np_socket(AF_INET), &at));
  CHECK_FAILS_ONCE(FAULT_EPOLL_CREATE, np_epoll_create());
  CHECK_FAILS_ONCE(FAULT_EVENTFD, np_eventfd());
  CHECK_FAILS_ONCE(FAULT_TIMERFD, np_timerfd());
  CHECK_FAILS_ONCE(FAULT_MMAP, np_slab_map(HUGE_PAGE_BYTES));
  CHECK_FAILS_ONCE(FAULT_THREAD, np_waker_open(np_epoll_create()));
}

TEST("np_fault() fails each kind of call that moves bytes or events") {
  int32_t pair[2], epoll = np_epoll_create();
  make_pair(pair);
  uint32_t slab = a_slab();
  const uint32_t *table = table_of(4, EMPTY_FIRST);
  CHECK_FAILS_ONCE(FAULT_RECV, np_recv(pair[0], slab, 0, 1));
  CHECK_FAILS_ONCE(FAULT_RECV, np_readv(pair[0], table, 4));
  CHECK_FAILS_ONCE(FAULT_SEND, np_send(pair[0], slab, 0, 1, 0));
  CHECK_FAILS_ONCE(FAULT_SEND, np_sendmsg(pair[0], table, 4, 0));
  CHECK_FAILS_ONCE(FAULT_SEND, np_writev(pair[0], table, 4));
  CHECK_FAILS_ONCE(FAULT_SEND, np_send_borrowed(pair[0], bytes_of(slab), 1, 0, 1, 0));
  CHECK_FAILS_ONCE(FAULT_EPOLL_CTL, np_epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], 1, EPOLLIN));
  CHECK_FAILS_ONCE(FAULT_EPOLL_WAIT, np_epoll_wait(epoll, seen, EVENTS_MAX, 0));
}

TEST("np_fault() with a positive effect shortens what a call moves") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t from = a_filled_slab(), to = a_slab();
  const uint32_t *table = table_of(4, EMPTY_FIRST);
  CHECK_EQUAL(np_fault(FAULT_SEND, ANY, 0, 4, 15), 0);
  CHECK_EQUAL(np_send(pair[0], from, 0, 100, 0), 15);
  CHECK_EQUAL(np_send_borrowed(pair[0], bytes_of(from), 100, 0, 100, 0), 15);
  CHECK_EQUAL(np_sendmsg(pair[0], table, 4, 0), 15);
  CHECK_EQUAL(np_writev(pair[0], table, 4), 15);
  CHECK_EQUAL(np_sendmsg(pair[0], table, 4, 0), 31);
  CHECK_EQUAL(np_fault(FAULT_RECV, ANY, 0, 2, 20), 0);
  CHECK_EQUAL(np_recv(pair[1], to, 0, 1000), 20);
  const uint32_t into[2][3] = {{to, 20, 15}, {to, 35, 100}};
  CHECK_EQUAL(np_readv(pair[1], table_of(2, into), 2), 20);
  CHECK_EQUAL(bytes_of(to)[40], 0);
  CHECK_EQUAL(np_recv(pair[1], to, 40, 1000), 51);
  // All bytes that were sent came through: the first 15 bytes twice, 10 + 5 of two pieces twice, and then
  // all of them.
  CHECK(memcmp(bytes_of(to) + 15, bytes_of(from), 15) == 0);
  CHECK(memcmp(bytes_of(to) + 45, bytes_of(from) + 100, 10) == 0);
  CHECK(memcmp(bytes_of(to) + 55, bytes_of(from) + 200, 5) == 0);
  check_gathered(bytes_of(to) + 60, bytes_of(from));
}

TEST("np_fault() shortens to no more than was asked, and does not widen the bounds") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  CHECK_EQUAL(np_fault(FAULT_SEND, ANY, 0, 3, INT32_MAX), 0);
  CHECK_EQUAL(np_send(pair[0], slab, 0, 10, 0), 10);
  CHECK_EQUAL(np_send(pair[0], slab, HUGE_PAGE_BYTES - 1, 2, 0), -EFAULT);
  const uint32_t outside[1][3] = {{slab, HUGE_PAGE_BYTES - 1, 2}};
  CHECK_EQUAL(np_sendmsg(pair[0], table_of(1, outside), 1, 0), -EFAULT);
}

TEST("np_ring_push() rings although the bell is refused at first; refused for good, the next push rings") {
  int32_t ring = np_ring_open(), bell = np_ring_join(ring);
  struct ends ends = ends_of(1);
  np_fault(FAULT_EVENTFD_WRITE, bell, 0, 3, -EINVAL);
  CHECK_EQUAL(np_ring_push(ring, np_eventfd(), &ends), 0);
  CHECK_EQUAL(np_counter_take(bell), 1);
  CHECK(np_ring_take(ring, &ends) >= 0);
  CHECK_EQUAL(np_ring_take(ring, &ends), -EAGAIN);
  np_fault(FAULT_EVENTFD_WRITE, bell, 0, WAKE_TRIES_MAX, -EINVAL);
  CHECK_EQUAL(np_ring_push(ring, np_eventfd(), &ends), 0);
  CHECK_EQUAL(np_counter_take(bell), -EAGAIN);
  CHECK_EQUAL(np_ring_push(ring, np_eventfd(), &ends), 0);
  CHECK_EQUAL(np_counter_take(bell), 1);
  CHECK_EQUAL(np_ring_close(ring), 0);
}

// Each call of a thread that asks for something, before the thread could keep a number.
static void *open_without_a_number(void *argument) {
  int32_t pair[2], given = *(int32_t *)argument, epoll = epoll_create1(0);
  np_fault(FAULT_THREAD, ANY, 0, 9, -ENOMEM);
  CHECK_EQUAL(np_eventfd(), -ENOMEM);
  CHECK_EQUAL(np_socketpair(pair), -ENOMEM);
  CHECK_EQUAL(np_pipe(pair), -ENOMEM);
  CHECK_EQUAL(np_adopt(given), -ENOMEM);
  CHECK(fcntl(given, F_GETFD) >= 0);  // still its owner's
  CHECK_EQUAL(np_slab_map(HUGE_PAGE_BYTES), -ENOMEM);
  CHECK_EQUAL(np_waker_open(epoll), -ENOMEM);
  CHECK_EQUAL(np_ring_open(), -ENOMEM);
  close(epoll);
  while (np_fault_used(FAULT_THREAD) < 9) CHECK_EQUAL(np_eventfd(), -ENOMEM);
  CHECK(np_eventfd() >= 0);  // it has a number by now
  return NULL;
}

TEST("np_owner: a thread that cannot keep its number gets nothing until it can, and takes no number from others") {
  int32_t given = eventfd(0, 0);
  CHECK(np_eventfd() >= 0);  // the key of the process is made
  int before = open_fds();
  for (int n = 0; n < OWNERS_MAX; n++) {
    in_a_thread(open_without_a_number, &given);
    CHECK_EQUAL(open_fds(), before);
  }
}

static void *open_without_a_key(void *argument) {
  CHECK_EQUAL(np_eventfd(), -ENOMEM);
  CHECK_EQUAL(np_ring_open(), -ENOMEM);
  return argument;
}

TEST("np_owner: without a key of the process nobody gets anything, and no key of others is written") {
  pthread_key_t first;
  CHECK_EQUAL(pthread_key_create(&first, NULL), 0);  // number 0, as a key that was not made has it
  int before = open_fds();
  np_fault(FAULT_THREAD, ANY, 1, 1, -EAGAIN);  // behind the call that starts the thread
  in_a_thread(open_without_a_key, NULL);
  CHECK_EQUAL(open_fds(), before);
}
#endif
