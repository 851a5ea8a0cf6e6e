// Triplets of (slab, offset, length), as src/connection/ writes them.
static const uint32_t *table_of(int count, const uint32_t (*pieces)[3]) {
  static uint32_t table[3 * (IOVECS_MAX + 2)];
  memcpy(table, pieces, (size_t)count * 3 * sizeof *table);
  return table;
}

// Bytes that differ from their neighbours.
static uint32_t a_filled_slab(void) {
  uint32_t slab = a_slab();
  uint8_t *bytes = bytes_of(slab);
  for (uint32_t at = 0; at < HUGE_PAGE_BYTES; at++) bytes[at] = (uint8_t)(at * 7 + at / 256);
  return slab;
}

// Send until the socket takes no more. How many bytes it took.
static int64_t fill_socket(int32_t fd, uint32_t slab) {
  int64_t total = 0;
  for (;;) {
    int32_t count = np_send(fd, slab, 0, 64 << 10, MSG_DONTWAIT);
    if (count == -EAGAIN) return total;
    CHECK(count > 0);
    total += count;
  }
}

TEST("np_recv() and np_send() move the bytes at their offsets") {
  int32_t pair[2];
  connect_tcp(pair);
  uint32_t from = a_filled_slab(), to = a_slab();
  CHECK_EQUAL(np_send(pair[0], from, 1000, 500, 0), 500);
  await(pair[1], POLLIN);
  CHECK_EQUAL(np_recv(pair[1], to, 77, 300), 300);
  CHECK_EQUAL(np_recv(pair[1], to, 377, 300), 200);
  CHECK(memcmp(bytes_of(to) + 77, bytes_of(from) + 1000, 500) == 0);
  CHECK_EQUAL(bytes_of(to)[76], 0);
  CHECK_EQUAL(bytes_of(to)[577], 0);
}

TEST("np_recv() is -EAGAIN without bytes, 0 at the end, -errno otherwise") {
  int32_t pair[2];
  connect_tcp(pair);
  uint32_t slab = a_slab();
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 10), -EAGAIN);
  CHECK_EQUAL(np_send(pair[1], slab, 0, 1, 0), 1);
  np_close(pair[1]);
  await(pair[0], POLLRDHUP);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 10), 1);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 10), 0);
  CHECK_EQUAL(np_recv(-1, slab, 0, 10), -EBADF);
  CHECK_EQUAL(np_recv(np_eventfd(), slab, 0, 10), -ENOTSOCK);
  CHECK_EQUAL(np_recv(np_socket(AF_INET), slab, 0, 10), -ENOTCONN);
}

TEST("np_recv_array() looks at bytes and leaves them, and takes them from an offset to the end of the array") {
  int32_t pair[2];
  connect_tcp(pair);
  uint8_t array[8] = {0};
  CHECK_EQUAL(np_recv_array(pair[1], array, sizeof array, 0, 0), -EAGAIN);
  CHECK_EQUAL(np_send_borrowed(pair[0], (const uint8_t *)"abcdefgh", 8, 0, 8, 0), 8);
  await(pair[1], POLLIN);
  CHECK_EQUAL(np_recv_array(pair[1], array, sizeof array, 3, MSG_PEEK), 5);
  CHECK(memcmp(array, "\0\0\0abcde", 8) == 0);
  CHECK_EQUAL(np_recv_array(pair[1], array, 4, 1, 0), 3);
  CHECK(memcmp(array, "\0abcbcde", 8) == 0);
  CHECK_EQUAL(np_recv_array(pair[1], array, sizeof array, 0, 0), 5);
  CHECK(memcmp(array, "defghcde", 8) == 0);
  CHECK_EQUAL(np_recv_array(pair[1], array, 4, 5, 0), -EFAULT);
  np_close(pair[0]);
  await(pair[1], POLLRDHUP);
  CHECK_EQUAL(np_recv_array(pair[1], array, sizeof array, 0, 0), 0);
  CHECK_EQUAL(np_recv_array(-1, array, sizeof array, 0, 0), -EBADF);
}

TEST("np_recv() is -ECONNRESET after a reset") {
  int32_t pair[2], linger[2] = {1, 0};
  connect_tcp(pair);
  CHECK_EQUAL(np_setsockopt(pair[1], SOL_SOCKET, SO_LINGER, linger, sizeof linger), 0);
  np_close(pair[1]);
  await(pair[0], POLLIN);
  CHECK_EQUAL(np_recv(pair[0], a_slab(), 0, 10), -ECONNRESET);
}

TEST("np_recv() and np_send() are -EFAULT outside the slab, and touch neither it nor the socket") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  static const uint32_t PIECES[][3] = {
    {0, 0, HUGE_PAGE_BYTES + 1}, {0, HUGE_PAGE_BYTES, 1}, {0, UINT32_MAX, 1}, {0, UINT32_MAX, UINT32_MAX},
    {0, 1, UINT32_MAX}, {1, 0, 1}, {SLABS_MAX - 1, 0, 1}, {SLABS_MAX, 0, 1}, {UINT32_MAX, 0, 1},
  };
  CHECK_EQUAL(np_send(pair[1], slab, 0, 1, 0), 1);
  for (size_t n = 0; n < sizeof PIECES / sizeof *PIECES; n++) {
    const uint32_t *at = PIECES[n];
    CHECK_EQUAL(np_recv(pair[0], at[0], at[1], at[2]), -EFAULT);
    CHECK_EQUAL(np_send(pair[0], at[0], at[1], at[2], 0), -EFAULT);
    const uint32_t *table = table_of(1, &PIECES[n]);
    CHECK_EQUAL(np_readv(pair[0], table, 1), -EFAULT);
    CHECK_EQUAL(np_sendmsg(pair[0], table, 1, 0), -EFAULT);
    CHECK_EQUAL(np_writev(pair[0], table, 1), -EFAULT);
    // A good piece before it changes nothing.
    const uint32_t two[2][3] = {{0, 0, 1}, {at[0], at[1], at[2]}};
    CHECK_EQUAL(np_readv(pair[0], table_of(2, two), 2), -EFAULT);
    CHECK_EQUAL(np_sendmsg(pair[0], table_of(2, two), 2, 0), -EFAULT);
    CHECK_EQUAL(np_writev(pair[0], table_of(2, two), 2), -EFAULT);
  }
  CHECK_EQUAL(np_recv(pair[1], slab, 0, 1), -EAGAIN);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 10), 1);
}

TEST("np_readv(), np_sendmsg() and np_writev() are -EINVAL for a negative count or one above 64") {
  int32_t pair[2];
  make_pair(pair);
  a_slab();
  static uint32_t table[3 * (IOVECS_MAX + 1)];
  for (int n = 0; n <= IOVECS_MAX; n++) table[3 * n + 2] = 1;
  static const int32_t COUNTS[] = {-1, INT32_MIN, IOVECS_MAX + 1, INT32_MAX};
  for (int n = 0; n < 4; n++) {
    CHECK_EQUAL(np_readv(pair[0], table, COUNTS[n]), -EINVAL);
    CHECK_EQUAL(np_sendmsg(pair[0], table, COUNTS[n], 0), -EINVAL);
    CHECK_EQUAL(np_writev(pair[0], table, COUNTS[n]), -EINVAL);
  }
  CHECK_EQUAL(np_sendmsg(pair[0], table, IOVECS_MAX, 0), IOVECS_MAX);
  CHECK_EQUAL(np_writev(pair[0], table, IOVECS_MAX), IOVECS_MAX);
  CHECK_EQUAL(np_readv(pair[1], table, IOVECS_MAX), IOVECS_MAX);
  CHECK_EQUAL(np_readv(pair[1], table, 0), 0);
}

static const uint32_t EMPTY_FIRST[4][3] = {{0, 0, 0}, {0, 100, 10}, {0, 200, 11}, {0, 300, 10}};

// The bytes of the four pieces, in order.
static void check_gathered(const uint8_t *bytes, const uint8_t *slab) {
  CHECK(memcmp(bytes, slab + 100, 10) == 0);
  CHECK(memcmp(bytes + 10, slab + 200, 11) == 0);
  CHECK(memcmp(bytes + 21, slab + 300, 10) == 0);
}

TEST("np_sendmsg() and np_writev() skip empty pieces (netpoll 180)") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t from = a_filled_slab(), to = a_slab();
  CHECK_EQUAL(np_sendmsg(pair[0], table_of(4, EMPTY_FIRST), 4, 0), 31);
  CHECK_EQUAL(np_recv(pair[1], to, 0, 100), 31);
  check_gathered(bytes_of(to), bytes_of(from));
  int ends[2];
  CHECK_EQUAL(pipe(ends), 0);
  CHECK_EQUAL(np_writev(ends[1], table_of(4, EMPTY_FIRST), 4), 31);
  CHECK_EQUAL(read(ends[0], bytes_of(to) + 1000, 100), 31);
  check_gathered(bytes_of(to) + 1000, bytes_of(from));
}

TEST("np_readv() fills its pieces in order and skips empty ones (netpoll 181)") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  static const char LETTERS[] = "0123456789abcdefghijklmnopqrstu";
  CHECK_EQUAL(np_send_borrowed(pair[0], (const uint8_t *)LETTERS, 31, 0, 31, 0), 31);
  CHECK_EQUAL(np_readv(pair[1], table_of(4, EMPTY_FIRST), 4), 31);
  check_gathered((const uint8_t *)LETTERS, bytes_of(slab));
  CHECK_EQUAL(bytes_of(slab)[110], 0);
  CHECK_EQUAL(bytes_of(slab)[211], 0);
  CHECK_EQUAL(np_readv(pair[1], table_of(4, EMPTY_FIRST), 4), -EAGAIN);
  np_close(pair[0]);
  CHECK_EQUAL(np_readv(pair[1], table_of(4, EMPTY_FIRST), 4), 0);
}

TEST("np_readv() reads what is no socket") {
  int ends[2];
  CHECK_EQUAL(pipe(ends), 0);
  a_slab();
  CHECK_EQUAL(write(ends[1], "abc", 3), 3);
  CHECK_EQUAL(np_readv(ends[0], table_of(4, EMPTY_FIRST), 4), 3);
  CHECK(memcmp(bytes_of(0) + 100, "abc", 3) == 0);
  CHECK_EQUAL(np_readv(-1, table_of(4, EMPTY_FIRST), 4), -EBADF);
}

TEST("np_writev() is told of more than 2^31 - 1 bytes, of which the kernel takes less (netpoll 179)") {
  const uint32_t large = 0x80000000 - HUGE_PAGE_BYTES;
  CHECK_EQUAL(np_slab_map(large), 0);
  const uint32_t over[4][3] = {{0, 0, 10}, {0, 0, large}, {0, 0, large}, {0, 0, 40}};
  // The null device reads no byte of it: the kernel's own bound is what is left (MAX_RW_COUNT,
  // write(2)).
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK_EQUAL(np_writev(null, table_of(4, over), 4), 0x7ffff000);
}

TEST("np_send() to a closed peer is -EPIPE without a signal, as are np_sendmsg() and np_send_borrowed()") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  const uint32_t one[1][3] = {{slab, 0, 10}};
  np_close(pair[1]);
  // SIGPIPE is at its default: it would end this process.
  CHECK_EQUAL(np_send(pair[0], slab, 0, 10, 0), -EPIPE);
  CHECK_EQUAL(np_sendmsg(pair[0], table_of(1, one), 1, 0), -EPIPE);
  CHECK_EQUAL(np_send_borrowed(pair[0], (const uint8_t *)"0123456789", 10, 0, 10, 0), -EPIPE);
}

TEST("np_writev() to a closed pipe is -EPIPE where the host ignores SIGPIPE") {
  int ends[2];
  CHECK_EQUAL(pipe(ends), 0);
  const uint32_t one[1][3] = {{a_slab(), 0, 10}};
  close(ends[0]);
  signal(SIGPIPE, SIG_IGN);
  CHECK_EQUAL(np_writev(ends[1], table_of(1, one), 1), -EPIPE);
  CHECK_EQUAL(np_writev(-1, table_of(1, one), 1), -EBADF);
}

TEST("np_send() and np_sendmsg() take what fits and then are -EAGAIN") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_filled_slab();
  const uint32_t two[2][3] = {{slab, 0, HUGE_PAGE_BYTES / 2}, {slab, HUGE_PAGE_BYTES / 2, HUGE_PAGE_BYTES / 2}};
  int32_t first = np_sendmsg(pair[0], table_of(2, two), 2, 0);
  CHECK(first > 0 && first < HUGE_PAGE_BYTES);
  fill_socket(pair[0], slab);
  CHECK_EQUAL(np_send(pair[0], slab, 0, 1, 0), -EAGAIN);
  CHECK_EQUAL(np_sendmsg(pair[0], table_of(2, two), 2, 0), -EAGAIN);
  CHECK_EQUAL(np_send_borrowed(pair[0], bytes_of(slab), 1, 0, 1, 0), -EAGAIN);
  CHECK_EQUAL(np_writev(pair[0], table_of(2, two), 2), -EAGAIN);
}

TEST("np_send(), np_sendmsg() and np_send_borrowed() pass their flags on") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  const uint32_t one[1][3] = {{slab, 0, 1}};
  fill_socket(pair[0], slab);
  make_blocking(pair[0]);
  // Without the flag each of these would wait for ever.
  CHECK_EQUAL(np_send(pair[0], slab, 0, 1, MSG_DONTWAIT), -EAGAIN);
  CHECK_EQUAL(np_sendmsg(pair[0], table_of(1, one), 1, MSG_DONTWAIT), -EAGAIN);
  CHECK_EQUAL(np_send_borrowed(pair[0], (const uint8_t *)"x", 1, 0, 1, MSG_DONTWAIT), -EAGAIN);
}

TEST("np_send_borrowed() sends a part of the array, and is -EFAULT past the length it was told") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  static const uint8_t ARRAY[10] = "0123456789";
  CHECK_EQUAL(np_send_borrowed(pair[0], ARRAY, 10, 3, 4, 0), 4);
  CHECK_EQUAL(np_recv(pair[1], slab, 0, 10), 4);
  CHECK(memcmp(bytes_of(slab), "3456", 4) == 0);
  CHECK_EQUAL(np_send_borrowed(pair[0], ARRAY, 10, 10, 0, 0), 0);
  static const uint32_t OUTSIDE[][2] = {
    {0, 11}, {10, 1}, {11, 0}, {UINT32_MAX, 1}, {1, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}, {6, UINT32_MAX - 5},
  };
  for (size_t n = 0; n < sizeof OUTSIDE / sizeof *OUTSIDE; n++) {
    CHECK_EQUAL(np_send_borrowed(pair[0], ARRAY, 10, OUTSIDE[n][0], OUTSIDE[n][1], 0), -EFAULT);
  }
  CHECK_EQUAL(np_recv(pair[1], slab, 0, 10), -EAGAIN);
  CHECK_EQUAL(np_send_borrowed(-1, ARRAY, 10, 0, 1, 0), -EBADF);
}

// ---- interrupted calls: blocking descriptors, a handler, and what ends the wait after three interruptions

static int32_t interrupted[2];

static void feed(void) {
  if (write(interrupted[1], "fed", 3) != 3) abort();
}

static void drain(void) {
  static uint8_t scratch[64 << 10];
  while (recv(interrupted[1], scratch, sizeof scratch, MSG_DONTWAIT) > 0) {}
}

TEST("np_recv() goes on after signals") {
  make_pair(interrupted);
  make_blocking(interrupted[0]);
  uint32_t slab = a_slab();
  interrupt(3, feed);
  CHECK_EQUAL(np_recv(interrupted[0], slab, 0, 10), 3);
  CHECK_EQUAL(interruptions, 3);
}

TEST("np_readv() goes on after signals") {
  make_pair(interrupted);
  make_blocking(interrupted[0]);
  a_slab();
  interrupt(3, feed);
  CHECK_EQUAL(np_readv(interrupted[0], table_of(4, EMPTY_FIRST), 4), 3);
  CHECK_EQUAL(interruptions, 3);
}

// A blocking socket that is full; its first room comes with the third signal.
static uint32_t fill_interrupted(void) {
  make_pair(interrupted);
  uint32_t slab = a_slab();
  fill_socket(interrupted[0], slab);
  make_blocking(interrupted[0]);
  interrupt(3, drain);
  return slab;
}

TEST("np_send() goes on after signals") {
  uint32_t slab = fill_interrupted();
  CHECK_EQUAL(np_send(interrupted[0], slab, 0, 10, 0), 10);
  CHECK_EQUAL(interruptions, 3);
}

TEST("np_sendmsg() goes on after signals") {
  fill_interrupted();
  CHECK_EQUAL(np_sendmsg(interrupted[0], table_of(4, EMPTY_FIRST), 4, 0), 31);
  CHECK_EQUAL(interruptions, 3);
}

TEST("np_writev() goes on after signals") {
  fill_interrupted();
  CHECK_EQUAL(np_writev(interrupted[0], table_of(4, EMPTY_FIRST), 4), 31);
  CHECK_EQUAL(interruptions, 3);
}

TEST("np_send_borrowed() goes on after signals") {
  fill_interrupted();
  CHECK_EQUAL(np_send_borrowed(interrupted[0], (const uint8_t *)"abc", 3, 0, 3, 0), 3);
  CHECK_EQUAL(interruptions, 3);
}

static struct address interrupted_at;

static void knock(void) {
  np_connect(np_socket(AF_INET), &interrupted_at);
}

TEST("np_accept() goes on after signals") {
  struct address peer;
  int32_t listener = listen_tcp(&interrupted_at);
  make_blocking(listener);
  interrupt(3, knock);
  check_flags(np_accept(listener, &peer));
  CHECK_EQUAL(interruptions, 3);
  CHECK(memcmp(peer.bytes, LOOPBACK4, 4) == 0);
}

// ---- descriptors beside the bytes ---------------------------------------------------------------

static int32_t incoming[2 + RIGHTS_MAX];

TEST("np_send_rights() sends descriptors with its first byte, and np_recv_rights() owns them") {
  int32_t pair[2], sent[RIGHTS_MAX];
  make_pair(pair);
  uint32_t slab = a_slab();
  static const uint32_t PIECE[1][3] = {{0, 0, 4}};
  for (int n = 0; n < RIGHTS_MAX; n++) sent[n] = pair[0];
  CHECK_EQUAL(np_send(pair[0], slab, 0, 2, 0), 2);
  CHECK_EQUAL(np_send_rights(pair[0], table_of(1, PIECE), 1, sent, RIGHTS_MAX), 4);
  CHECK_EQUAL(np_send(pair[0], slab, 0, 2, 0), 2);
  CHECK_EQUAL(np_recv_rights(pair[1], slab, 0, 100, incoming), 6);
  CHECK_EQUAL(incoming[0], RIGHTS_MAX);
  CHECK_EQUAL(incoming[1], 0);
  for (int n = 0; n < RIGHTS_MAX; n++) {
    CHECK_EQUAL(fcntl(incoming[2 + n], F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(np_close(incoming[2 + n]), 0);
  }
  CHECK_EQUAL(np_recv_rights(pair[1], slab, 0, 100, incoming), 2);
  CHECK_EQUAL(incoming[0], 0);
  CHECK_EQUAL(np_recv_rights(pair[1], slab, 0, 100, incoming), -EAGAIN);
}

TEST("np_send_rights() and np_recv_rights() refuse what is out of bounds, and send nothing of it") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  static const uint32_t PIECE[1][3] = {{0, 0, 1}}, OUTSIDE[1][3] = {{0, HUGE_PAGE_BYTES, 1}};
  const uint32_t *table = table_of(1, PIECE);
  CHECK_EQUAL(np_send_rights(pair[0], table, 1, pair, 0), -EINVAL);
  CHECK_EQUAL(np_send_rights(pair[0], table, 1, pair, -1), -EINVAL);
  CHECK_EQUAL(np_send_rights(pair[0], table, 1, pair, RIGHTS_MAX + 1), -EINVAL);
  CHECK_EQUAL(np_send_rights(pair[0], table, IOVECS_MAX + 1, pair, 1), -EINVAL);
  const int32_t closed[] = {-1};
  CHECK_EQUAL(np_send_rights(pair[0], table, 1, closed, 1), -EBADF);
  CHECK_EQUAL(np_send_rights(pair[0], table_of(1, OUTSIDE), 1, pair, 1), -EFAULT);
  CHECK_EQUAL(np_recv_rights(pair[1], slab, HUGE_PAGE_BYTES, 1, incoming), -EFAULT);
  CHECK_EQUAL(np_recv_rights(pair[1], slab, 0, 1, incoming), -EAGAIN);
  CHECK_EQUAL(incoming[0], 0);
}
