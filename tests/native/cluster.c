// The descriptors of a thread, and the way of one from a thread to another.


static void *hold_and_end(void *argument) {
  int32_t pair[2], ring = *(int32_t *)argument;
  CHECK(np_socket(AF_INET) >= 0);
  CHECK_EQUAL(np_socketpair(pair), 0);
  CHECK(np_timerfd() >= 0);
  CHECK(np_eventfd() >= 0);
  CHECK_EQUAL(np_adopt(dup(pair[0])), 0);
  int32_t epoll = np_epoll_create();
  int32_t waker = np_waker_open(epoll);
  CHECK(waker >= 0);
  CHECK_EQUAL(np_waker_arm(waker), 0);
  if (ring >= 0) CHECK(np_ring_join(ring) >= 0);
  return NULL;
}

static void in_a_thread(void *(*run)(void *), void *argument) {
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, run, argument), 0);
  CHECK_EQUAL(pthread_join(thread, NULL), 0);
}

TEST("np_owner: the end of a thread closes all that it had opened, and ends its waker") {
  int threads = count_threads(), fds = open_fds();
  int32_t none = -1;
  for (int n = 0; n < 50; n++) in_a_thread(hold_and_end, &none);
  CHECK_EQUAL(open_fds(), fds);
  await_threads(threads);
}

static void *hold_what_main_closes(void *argument) {
  *(int32_t *)argument = np_eventfd();
  return NULL;
}

TEST("np_owner: a number that was closed and is another thread's by now is left alone") {
  int32_t fd;
  in_a_thread(hold_what_main_closes, &fd);
  CHECK_EQUAL(fcntl(fd, F_GETFD), -1);
  CHECK_EQUAL(np_eventfd(), fd);  // the number again, this time ours
  int32_t other;
  in_a_thread(hold_what_main_closes, &other);
  CHECK(fcntl(fd, F_GETFD) >= 0);
}

static void *adopt_and_close_elsewhere(void *argument) {
  int32_t fd = *(int32_t *)argument;
  CHECK_EQUAL(np_adopt(fd), 0);
  CHECK_EQUAL(np_disown(fd), fd);
  return NULL;
}

TEST("np_disown() leaves a descriptor open when its thread ends") {
  int32_t fd = eventfd(0, 0);
  in_a_thread(adopt_and_close_elsewhere, &fd);
  CHECK(fcntl(fd, F_GETFD) >= 0);
  CHECK_EQUAL(np_disown(-1), -1);
  CHECK_EQUAL(np_disown(INT32_MAX), INT32_MAX);
}

static void *runtime_closes_its_end(void *argument) {
  int32_t waker = np_waker_open(np_epoll_create());
  int32_t theirs = np_waker_socket(waker);
  close(theirs);
  *(int32_t *)argument = eventfd(0, EFD_CLOEXEC);  // has that number now
  CHECK_EQUAL(*(int32_t *)argument, theirs);
  return NULL;
}

TEST("np_owner: the runtime's end of a waker is closed only if the runtime has not done it") {
  int32_t other;
  in_a_thread(runtime_closes_its_end, &other);
  CHECK(fcntl(other, F_GETFD) >= 0);
}

static void *map_and_end(void *argument) {
  int32_t slab = np_slab_map(HUGE_PAGE_BYTES);
  CHECK(slab >= 0);
  memset(bytes_of((uint32_t)slab), 0x55, HUGE_PAGE_BYTES);
  *(int32_t *)argument = slab;
  return NULL;
}

TEST("np_slab_map() takes the zeroed slab of a thread that has ended, if it has the size") {
  int32_t first, second;
  in_a_thread(map_and_end, &first);
  CHECK(np_slab_map(2 * HUGE_PAGE_BYTES) != first);
  CHECK_EQUAL(np_slab_map(HUGE_PAGE_BYTES), first);
  for (uint32_t at = 0; at < HUGE_PAGE_BYTES; at += 1024) CHECK_EQUAL(bytes_of((uint32_t)first)[at], 0);
  in_a_thread(map_and_end, &second);
  CHECK(second != first);
}

static uint8_t runtime_memory[4096];

static void *register_and_end(void *argument) {
  *(int32_t *)argument = np_slab_register(runtime_memory, sizeof runtime_memory);
  return NULL;
}

TEST("np_slab_register() memory is reached no more when its thread has ended") {
  int32_t slab;
  in_a_thread(register_and_end, &slab);
  CHECK(slab >= 0);
  CHECK(!np_slab_address((uint32_t)slab));
  CHECK_EQUAL(np_recv(0, (uint32_t)slab, 0, 1), -EFAULT);
}

TEST("np_slab_register() uses the number again of memory whose thread has ended") {
  int32_t first, slab;
  in_a_thread(register_and_end, &first);
  for (int n = 0; n < 20; n++) {
    in_a_thread(register_and_end, &slab);
    CHECK_EQUAL(slab, first);
  }
}

// Addresses that only the n-th connection has.
static struct ends ends_of(uint32_t n) {
  struct address peer = {.family = AF_INET, .port = n & 0xffff, .scope = n, .length = 4};
  struct address local = {.family = AF_INET6, .scope = ~n, .length = 16, .bytes = {[15] = (uint8_t)n}};
  return (struct ends){peer, local, n, ~n};
}

TEST("np_ring_push() and np_ring_take() keep the order, and the addresses of each") {
  int32_t ring = np_ring_open();
  struct ends ends;
  CHECK(ring >= 0);
  CHECK_EQUAL(np_ring_take(ring, &ends), -EAGAIN);
  for (uint32_t n = 0; n < 5 * RING_SLOTS; n++) {
    struct ends from = ends_of(n);
    int32_t fd = np_eventfd();
    CHECK_EQUAL(np_ring_push(ring, fd, &from), 0);
    CHECK_EQUAL(np_ring_take(ring, &ends), fd);
    CHECK_EQUAL(ends.peer.scope, n);
    CHECK_EQUAL(ends.local.scope, ~n);
    CHECK_EQUAL(ends.local.bytes[15], (uint8_t)n);
    CHECK_EQUAL(np_close(fd), 0);
  }
  CHECK_EQUAL(np_ring_close(ring), 0);
}

// As many descriptors as the rings of a test hold, or the test is skipped.
static void raise_descriptors(rlim_t count) {
  struct rlimit limit;
  CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max < count) SKIP("too few descriptors");
  if (limit.rlim_cur < count) limit.rlim_cur = count;
  CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST("np_ring_push() is -EAGAIN when the ring is full; np_ring_close() closes what nobody took") {
  raise_descriptors(RING_SLOTS + 100);
  int32_t ring = np_ring_open();
  int fds = open_fds();
  struct ends from = ends_of(0);
  for (int n = 0; n < RING_SLOTS; n++) CHECK_EQUAL(np_ring_push(ring, np_eventfd(), &from), 0);
  int32_t fd = np_eventfd();
  CHECK_EQUAL(np_ring_push(ring, fd, &from), -EAGAIN);
  CHECK_EQUAL(np_close(fd), 0);
  CHECK_EQUAL(np_ring_close(ring), 0);
  CHECK_EQUAL(open_fds(), fds - 1);  // the bell went, too
}

TEST("np_ring_push() rings the bell once, until nothing was left to take") {
  int32_t ring = np_ring_open();
  int32_t bell = np_ring_join(ring);
  check_flags(bell);
  struct ends from = ends_of(0);
  for (int n = 0; n < 3; n++) CHECK_EQUAL(np_ring_push(ring, np_eventfd(), &from), 0);
  CHECK_EQUAL(np_counter_take(bell), 1);
  for (int n = 0; n < 3; n++) CHECK(np_ring_take(ring, &from) >= 0);
  CHECK_EQUAL(np_ring_push(ring, np_eventfd(), &from), 0);
  CHECK_EQUAL(np_counter_take(bell), -EAGAIN);  // who takes has not seen the end yet
  CHECK(np_ring_take(ring, &from) >= 0);
  CHECK_EQUAL(np_ring_take(ring, &from), -EAGAIN);
  CHECK_EQUAL(np_ring_push(ring, np_eventfd(), &from), 0);
  await(bell, POLLIN);
}

static void *join_later(void *ring) {
  CHECK_EQUAL(np_ring_join((int32_t)(intptr_t)ring), -EBUSY);
  return NULL;
}

TEST("np_ring_join() twice is once: the ring goes with its maker and its thread all the same") {
  int before = open_fds();
  int32_t ring = np_ring_open(), bell = np_ring_join(ring);
  CHECK(bell >= 0);
  CHECK_EQUAL(np_ring_join(ring), bell);
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, join_later, (void *)(intptr_t)ring), 0);
  CHECK_EQUAL(pthread_join(thread, NULL), 0);
  CHECK_EQUAL(np_ring_close(ring), 0);
  CHECK_EQUAL(np_give_back(0), 0);
  CHECK_EQUAL(open_fds(), before);
}

TEST("np_ring calls are -EBADF for a number that is none, or no more") {
  int32_t ring = np_ring_open();
  struct ends ends = ends_of(0);
  CHECK_EQUAL(np_ring_close(ring), 0);
  const int32_t numbers[] = {ring, ring + 1, -1, INT32_MIN, RINGS_MAX - 1, RINGS_MAX, INT32_MAX};
  for (int n = 0; n < 7; n++) {
    CHECK_EQUAL(np_ring_join(numbers[n]), -EBADF);
    CHECK_EQUAL(np_ring_push(numbers[n], 0, &ends), -EBADF);
    CHECK_EQUAL(np_ring_take(numbers[n], &ends), -EBADF);
    CHECK_EQUAL(np_ring_close(numbers[n]), -EBADF);
  }
}

TEST("np_ring_open() uses a place again, under another number, once its maker and its thread are gone") {
  int threads = count_threads();
  int32_t ring = np_ring_open();
  int fds = open_fds();
  in_a_thread(hold_and_end, &ring);
  struct ends from = ends_of(0);
  CHECK_EQUAL(np_ring_push(ring, np_eventfd(), &from), 0);  // still its maker's
  CHECK(np_ring_open() != ring);
  CHECK_EQUAL(np_ring_close(ring), 0);
  int32_t next = np_ring_open();
  CHECK(next != ring && next % RINGS_MAX == ring % RINGS_MAX);
  CHECK_EQUAL(np_ring_join(ring), -EBADF);  // a Worker that was too late does not get what is next's
  CHECK_EQUAL(open_fds(), fds + 1);
  await_threads(threads);
}

static void *open_ring_and_end(void *argument) {
  int32_t *ring = argument;
  *ring = np_ring_open();
  struct ends from = ends_of(0);
  CHECK_EQUAL(np_ring_push(*ring, np_eventfd(), &from), 0);
  return NULL;
}

TEST("np_ring_open() of a thread that has ended is closed, with what is in it") {
  int fds = open_fds();
  int32_t ring;
  for (int n = 0; n < 3 * RINGS_MAX; n++) in_a_thread(open_ring_and_end, &ring);
  CHECK_EQUAL(np_ring_close(ring), -EBADF);
  CHECK_EQUAL(open_fds(), fds);
}

TEST("np_ring_close() twice is -EBADF, and takes nothing from the thread that serves") {
  int32_t ring = np_ring_open();
  CHECK(np_ring_join(ring) >= 0);
  CHECK_EQUAL(np_ring_close(ring), 0);
  CHECK_EQUAL(np_ring_close(ring), -EBADF);
  struct ends from;
  CHECK_EQUAL(np_ring_take(ring, &from), -EAGAIN);
}

// ---- everything at once -------------------------------------------------------------------------

// Two acceptors hand connections to Workers that take some, keep them for a while, and end at any
// point; a supervisor takes back what they left. Each descriptor is seen once, and none is left.
enum { STRESS_RINGS = 3, STRESS_PUSHES = 20000 };

static _Atomic int32_t stress_rings[STRESS_RINGS];
static atomic_int stress_acceptors, stress_taken, stress_pushed;
static atomic_bool stress_seen[2 * STRESS_PUSHES];

static void *accept_many(void *argument) {
  uint32_t base = (uint32_t)(uintptr_t)argument * STRESS_PUSHES;
  for (uint32_t n = base; n < base + STRESS_PUSHES; n++) {
    struct ends from = ends_of(n);
    int32_t fd = np_eventfd();
    CHECK(fd >= 0);
    while (np_ring_push(stress_rings[n % STRESS_RINGS], fd, &from) == -EAGAIN) sched_yield();
    stress_pushed++;
  }
  stress_acceptors--;
  return NULL;
}

static int32_t take_one(int32_t ring) {
  struct ends from;
  int32_t fd = np_ring_take(ring, &from);
  if (fd < 0) return fd;
  CHECK_EQUAL(from.local.scope, ~from.peer.scope);
  CHECK(!atomic_exchange(&stress_seen[from.peer.scope], true));
  stress_taken++;
  return fd;
}

static void *serve_some(void *argument) {
  int32_t ring = *(_Atomic int32_t *)argument;
  int32_t bell = np_ring_join(ring), epoll = np_epoll_create();
  CHECK_EQUAL(np_epoll_ctl(epoll, EPOLL_CTL_ADD, bell, 1, EPOLLIN | EPOLLET), 0);
  CHECK(np_waker_open(epoll) >= 0);
  CHECK(np_slab_map(HUGE_PAGE_BYTES) >= 0);
  for (int n = 0; n < 40;) {
    uint32_t events[2];
    CHECK(np_epoll_wait(epoll, events, 1, 10000) >= 0);
    int32_t fd;
    for (; n < 40 && (fd = take_one(ring)) >= 0; n++) if (n % 2) np_close(fd);
    if (stress_acceptors == 0 && fd == -EAGAIN) break;
  }
  return NULL;  // and leaves half of them open
}

static void *employ(void *argument) {
  while (stress_acceptors > 0) in_a_thread(serve_some, argument);
  return NULL;
}

TEST("np_ring: every descriptor arrives once and none is left, whoever ends meanwhile") {
  raise_descriptors(STRESS_RINGS * RING_SLOTS + 1000);
  int fds = open_fds();
  pthread_t acceptors[2], supervisors[STRESS_RINGS];
  stress_acceptors = 2;
  for (int n = 0; n < STRESS_RINGS; n++) {
    int32_t ring = np_ring_open();
    CHECK(ring >= 0);
    stress_rings[n] = ring;
  }
  for (uintptr_t n = 0; n < 2; n++) {
    CHECK_EQUAL(pthread_create(&acceptors[n], NULL, accept_many, (void *)n), 0);
  }
  for (int n = 0; n < STRESS_RINGS; n++) {
    CHECK_EQUAL(pthread_create(&supervisors[n], NULL, employ, &stress_rings[n]), 0);
  }
  for (int n = 0; n < 2; n++) pthread_join(acceptors[n], NULL);
  for (int n = 0; n < STRESS_RINGS; n++) pthread_join(supervisors[n], NULL);
  for (int n = 0; n < STRESS_RINGS; n++) {
    for (int32_t fd; (fd = take_one(stress_rings[n])) >= 0;) np_close(fd);
    CHECK_EQUAL(np_ring_close(stress_rings[n]), 0);
  }
  CHECK_EQUAL(stress_pushed, 2 * STRESS_PUSHES);
  CHECK_EQUAL(stress_taken, 2 * STRESS_PUSHES);
  CHECK_EQUAL(open_fds(), fds);
}

static void *hold_and_unload(void *argument) {
  int32_t *fds = argument;
  int before = open_fds(), threads = open_threads();
  int32_t waker = np_waker_open(np_epoll_create());
  CHECK_EQUAL(np_waker_arm(waker), 0);
  int32_t slab = np_slab_map(HUGE_PAGE_BYTES), given = np_disown(np_eventfd());
  CHECK_EQUAL(np_socketpair(fds), 0);
  CHECK_EQUAL(np_give_back(1), 0);
  CHECK_EQUAL(open_fds(), before + 1);  // what was given away
  CHECK_EQUAL(close(given), 0);
  await_threads(threads);
  CHECK_EQUAL(np_slab_map(HUGE_PAGE_BYTES), slab);  // the module that is loaded next has it
  CHECK_EQUAL(np_give_back(0), 0);
  CHECK(np_slab_map(HUGE_PAGE_BYTES) != slab);  // it is in use still
  CHECK(np_eventfd() >= 0);  // the end of the thread closes it
  return NULL;
}

TEST("np_give_back() closes what this thread has, and takes its slabs if it is told to") {
  int32_t pair[2], mine = np_eventfd();
  int fds = open_fds();
  in_a_thread(hold_and_unload, pair);
  CHECK_EQUAL(open_fds(), fds);
  CHECK_EQUAL(np_close(mine), 0);
}
