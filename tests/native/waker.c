static int open_threads(void) {
  return entries("/proc/self/task");
}

// The kernel may list a thread for a moment after it was joined; TEST_SECONDS_MAX ends this when it
// stays.
static void await_threads(int count) {
  while (open_threads() != count) sched_yield();
}

// An epoll descriptor that an eventfd makes readable, and its waker.
struct scene { int32_t epoll, bell, waker, socket; };

static struct scene a_scene(void) {
  struct scene scene = {.epoll = np_epoll_create(), .bell = np_eventfd()};
  CHECK_EQUAL(np_epoll_ctl(scene.epoll, EPOLL_CTL_ADD, scene.bell, 1, EPOLLIN), 0);
  scene.waker = np_waker_open(scene.epoll);
  CHECK(scene.waker >= 0);
  scene.socket = np_waker_socket(scene.waker);
  CHECK(scene.socket >= 0);
  return scene;
}

static void close_scene(struct scene scene) {
  CHECK_EQUAL(np_waker_close(scene.waker), 0);
  CHECK_EQUAL(np_close(scene.socket), 0);
  CHECK_EQUAL(np_close(scene.bell), 0);
  CHECK_EQUAL(np_close(scene.epoll), 0);
}

// With a waker open that stays: the thread sanitizer starts a thread of its own beside the first
// one.
static int count_threads(void) {
  a_scene();
  return open_threads();
}

// Takes the bytes that are there now, and returns their number.
static int take_bytes(struct scene scene) {
  char bytes[1024];
  ssize_t count = recv(scene.socket, bytes, sizeof bytes, MSG_DONTWAIT);
  return count < 0 ? 0 : (int)count;
}

// Close the waker and count what it sent since: its thread has done then whatever it was going to
// do.
static int close_and_count(struct scene scene) {
  CHECK_EQUAL(np_waker_close(scene.waker), 0);
  return take_bytes(scene);
}

TEST("np_waker_socket() is non-blocking and close-on-exec, as is all that a waker opens") {
  struct scene scene = a_scene();
  check_flags(scene.socket);
  check_flags(wakers[scene.waker].ours);
  check_flags(wakers[scene.waker].control);
  close_scene(scene);
}

TEST("np_waker_arm() sends a byte when the epoll descriptor becomes readable") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_waker_arm(scene.waker), 0);
  CHECK_EQUAL(np_counter_add(scene.bell), 0);
  await(scene.socket, POLLIN);
  CHECK_EQUAL(take_bytes(scene), 1);
  CHECK_EQUAL(close_and_count(scene), 0);
}

TEST("np_waker_arm() sends a byte at once when the epoll descriptor is readable already") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_counter_add(scene.bell), 0);
  CHECK_EQUAL(np_waker_arm(scene.waker), 0);
  await(scene.socket, POLLIN);
  CHECK_EQUAL(take_bytes(scene), 1);
  CHECK_EQUAL(close_and_count(scene), 0);
}

TEST("np_waker_open() sends nothing until it is armed") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_counter_add(scene.bell), 0);
  CHECK_EQUAL(close_and_count(scene), 0);
}

TEST("np_waker_arm() sends nothing when nothing becomes readable") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_waker_arm(scene.waker), 0);
  CHECK_EQUAL(close_and_count(scene), 0);
}

TEST("np_waker_arm() is for one byte: another needs another arming") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_counter_add(scene.bell), 0);
  for (int n = 0; n < 200; n++) {
    CHECK_EQUAL(np_waker_arm(scene.waker), 0);
    await(scene.socket, POLLIN);
    CHECK_EQUAL(take_bytes(scene), 1);
  }
  CHECK_EQUAL(close_and_count(scene), 0);
}

TEST("np_waker_arm() again before the byte came loses no byte") {
  struct scene scene = a_scene();
  for (int n = 0; n < 200; n++) {
    for (int m = 0; m < 3; m++) CHECK_EQUAL(np_waker_arm(scene.waker), 0);
    CHECK_EQUAL(np_counter_add(scene.bell), 0);
    CHECK_EQUAL(np_waker_arm(scene.waker), 0);
    await(scene.socket, POLLIN);
    CHECK(take_bytes(scene) >= 1);
    CHECK_EQUAL(np_counter_take(scene.bell), 1);
  }
  close_scene(scene);
}

static void *ring_the_bell(void *argument) {
  for (int n = 0; n < 1000; n++) np_counter_add(*(int32_t *)argument);
  return NULL;
}

TEST("np_waker_arm() misses nothing that another thread makes readable") {
  struct scene scene = a_scene();
  pthread_t other;
  CHECK_EQUAL(pthread_create(&other, NULL, ring_the_bell, &scene.bell), 0);
  for (int heard = 0; heard < 1000;) {
    int32_t count = np_counter_take(scene.bell);
    if (count > 0) { heard += count; continue; }
    CHECK_EQUAL(np_waker_arm(scene.waker), 0);
    await(scene.socket, POLLIN);
    take_bytes(scene);
  }
  pthread_join(other, NULL);
  close_scene(scene);
}

TEST("np_waker_ring() sends a byte now, armed or not") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_waker_ring(scene.waker), 1);
  CHECK_EQUAL(take_bytes(scene), 1);
  CHECK_EQUAL(np_waker_arm(scene.waker), 0);
  CHECK_EQUAL(np_waker_ring(scene.waker), 1);
  CHECK_EQUAL(take_bytes(scene), 1);
  CHECK_EQUAL(close_and_count(scene), 0);
}

TEST("np_waker_ring() into a full socket is done: bytes are there") {
  struct scene scene = a_scene();
  while (send(wakers[scene.waker].ours, "", 1, MSG_DONTWAIT) == 1) {}
  CHECK_EQUAL(np_waker_ring(scene.waker), 0);
  CHECK_EQUAL(np_counter_add(scene.bell), 0);
  CHECK_EQUAL(np_waker_arm(scene.waker), 0);  // the thread must not wait for room either
  close_scene(scene);
}

TEST("np_waker_ring() is -EPIPE without a signal once the runtime closed its end") {
  struct scene scene = a_scene();
  np_close(scene.socket);
  CHECK_EQUAL(np_waker_ring(scene.waker), -EPIPE);
  CHECK_EQUAL(np_counter_add(scene.bell), 0);
  CHECK_EQUAL(np_waker_arm(scene.waker), 0);
  CHECK_EQUAL(np_waker_close(scene.waker), 0);
}

TEST("np_waker_close() leaves no thread and no descriptor, whatever the waker was doing") {
  int threads = count_threads(), fds = open_fds();
  for (int n = 0; n < 100; n++) {
    struct scene scene = a_scene();
    if (n & 1) CHECK_EQUAL(np_waker_arm(scene.waker), 0);
    if (n & 2) CHECK_EQUAL(np_counter_add(scene.bell), 0);
    if (n & 4) CHECK_EQUAL(np_waker_arm(scene.waker), 0);
    close_scene(scene);
  }
  CHECK_EQUAL(open_fds(), fds);
  await_threads(threads);
}

TEST("np_waker_open() runs many at once, each for its own descriptor") {
  enum { MANY = 100 };
  struct scene scenes[MANY];
  int threads = count_threads(), fds = open_fds();
  for (int n = 0; n < MANY; n++) {
    scenes[n] = a_scene();
    CHECK_EQUAL(np_waker_arm(scenes[n].waker), 0);
  }
  CHECK_EQUAL(open_threads(), threads + MANY);
  for (int n = 0; n < MANY; n += 2) CHECK_EQUAL(np_counter_add(scenes[n].bell), 0);
  for (int n = 0; n < MANY; n += 2) await(scenes[n].socket, POLLIN);
  for (int n = 0; n < MANY; n++) {
    CHECK_EQUAL(close_and_count(scenes[n]), n % 2 == 0);
    np_close(scenes[n].socket);
    np_close(scenes[n].bell);
    np_close(scenes[n].epoll);
  }
  CHECK_EQUAL(open_fds(), fds);
  await_threads(threads);
}

TEST("np_waker calls are -EBADF for a number that is none, or no more") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_waker_close(scene.waker), 0);
  const int32_t numbers[] = {scene.waker, scene.waker + 1, -1, INT32_MIN, WAKERS_MAX - 1, WAKERS_MAX, INT32_MAX};
  for (int n = 0; n < 7; n++) {
    CHECK_EQUAL(np_waker_socket(numbers[n]), -EBADF);
    CHECK_EQUAL(np_waker_arm(numbers[n]), -EBADF);
    CHECK_EQUAL(np_waker_ring(numbers[n]), -EBADF);
    CHECK_EQUAL(np_waker_close(numbers[n]), -EBADF);
  }
}

TEST("np_waker_open() uses a closed number again, and is -EMFILE when all are taken") {
  struct scene first = a_scene(), second = a_scene();
  CHECK_EQUAL(second.waker, first.waker + 1);
  CHECK_EQUAL(np_waker_close(first.waker), 0);
  CHECK_EQUAL(np_waker_open(first.epoll), first.waker);
  for (int n = 0; n < WAKERS_MAX; n++) {
    int expected = WAKER_FREE;
    atomic_compare_exchange_strong(&wakers[n].state, &expected, WAKER_TAKEN);
  }
  int fds = open_fds();
  CHECK_EQUAL(np_waker_open(first.epoll), -EMFILE);
  CHECK_EQUAL(open_fds(), fds);
}

static void *close_waker(void *argument) {
  return np_waker_close(*(int32_t *)argument) == 0 ? argument : NULL;
}

TEST("np_waker_close() closes once when two threads do it at the same time") {
  for (int n = 0; n < 100; n++) {
    struct scene scene = a_scene();
    pthread_t closers[2];
    int closed = 0;
    for (int m = 0; m < 2; m++) CHECK_EQUAL(pthread_create(&closers[m], NULL, close_waker, &scene.waker), 0);
    for (int m = 0; m < 2; m++) {
      void *done;
      pthread_join(closers[m], &done);
      closed += done != NULL;
    }
    CHECK_EQUAL(closed, 1);
  }
}

static void *open_and_close(void *argument) {
  (void)argument;
  for (int n = 0; n < 100; n++) {
    struct scene scene = a_scene();
    CHECK_EQUAL(np_counter_add(scene.bell), 0);
    CHECK_EQUAL(np_waker_arm(scene.waker), 0);
    await(scene.socket, POLLIN);
    CHECK_EQUAL(take_bytes(scene), 1);
    close_scene(scene);
  }
  return NULL;
}

TEST("np_waker_open() and np_waker_close() work from several threads at once") {
  pthread_t threads[4];
  for (int n = 0; n < 4; n++) CHECK_EQUAL(pthread_create(&threads[n], NULL, open_and_close, NULL), 0);
  for (int n = 0; n < 4; n++) pthread_join(threads[n], NULL);
}

TEST("np_waker_open() is an error that nobody takes for \"not ready\" when no thread is to be had") {
  int32_t epoll = np_epoll_create();
  int fds = open_fds();
  // Root is not bound by the limit.
  if (getuid() == 0 && setuid(65534)) SKIP("cannot become nobody");
  CHECK_EQUAL(prctl(PR_SET_DUMPABLE, 1), 0);  // or /proc/self and the leak detector are closed to us
  struct rlimit before, none;
  CHECK_EQUAL(getrlimit(RLIMIT_NPROC, &before), 0);
  none = (struct rlimit){0, before.rlim_max};
  CHECK_EQUAL(setrlimit(RLIMIT_NPROC, &none), 0);
  CHECK_EQUAL(np_waker_open(epoll), -ENOMEM);
  CHECK_EQUAL(setrlimit(RLIMIT_NPROC, &before), 0);
  CHECK_EQUAL(open_fds(), fds);
  CHECK_EQUAL(np_waker_socket(0), -EBADF);
}

// Watch a descriptor in an epoll set.
static void watch_in(int32_t epoll, int32_t fd) {
  CHECK_EQUAL(np_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, 1, EPOLLIN), 0);
}

TEST("np_waker_loop() finds the epoll descriptor that watches the socket, among others") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_waker_loop(scene.waker), -ENOENT);
  int32_t other = np_epoll_create(), loop = np_epoll_create();
  watch_in(other, scene.bell);
  CHECK_EQUAL(np_waker_loop(scene.waker), -ENOENT);
  watch_in(loop, scene.bell);
  watch_in(loop, scene.socket);
  CHECK_EQUAL(np_waker_loop(scene.waker), loop);
  CHECK_EQUAL(np_epoll_ctl(loop, EPOLL_CTL_DEL, scene.socket, 0, 0), 0);
  CHECK_EQUAL(np_waker_loop(scene.waker), -ENOENT);
  CHECK_EQUAL(np_close(other), 0);
  CHECK_EQUAL(np_close(loop), 0);
  close_scene(scene);
  CHECK_EQUAL(np_waker_loop(scene.waker), -ENOENT);
  CHECK_EQUAL(np_waker_loop(-1), -ENOENT);
}

TEST("np_waker_loop() knows the socket by another number, and after its own was closed") {
  struct scene scene = a_scene();
  int32_t loop = np_epoll_create(), copy = dup(scene.socket);
  watch_in(loop, copy);
  CHECK_EQUAL(np_waker_loop(scene.waker), loop);
  CHECK_EQUAL(close(scene.socket), 0);
  CHECK_EQUAL(np_waker_loop(scene.waker), loop);
  scene.socket = copy;
  close_scene(scene);
  CHECK_EQUAL(np_close(loop), 0);
}

TEST("np_waker_loop() is ready in another set while something in it is, and never makes a circle") {
  struct scene scene = a_scene();
  int32_t loop = np_epoll_create();
  watch_in(loop, scene.socket);
  watch_in(scene.epoll, np_waker_loop(scene.waker));
  uint32_t events[2];
  CHECK_EQUAL(np_epoll_wait(scene.epoll, events, 1, 0), 0);
  CHECK(np_waker_ring(scene.waker) >= 0);
  CHECK_EQUAL(np_epoll_wait(scene.epoll, events, 1, 0), 1);
  take_bytes(scene);
  CHECK_EQUAL(np_epoll_wait(scene.epoll, events, 1, 0), 0);
  CHECK_EQUAL(np_epoll_ctl(loop, EPOLL_CTL_ADD, scene.epoll, 1, EPOLLIN), -ELOOP);
  close_scene(scene);
  CHECK_EQUAL(np_close(loop), 0);
}

static volatile sig_atomic_t handled_in_main;
static pthread_t main_thread;

static void on_signal(int signal) {
  (void)signal;
  handled_in_main += pthread_equal(pthread_self(), main_thread) ? 1 : -1000;
}

TEST("np_waker threads take no signal of the process, and leave the caller's mask alone") {
  sigset_t before, after;
  CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
  struct scene scene = a_scene();
  CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
  for (int n = 1; n < 32; n++) CHECK_EQUAL(sigismember(&after, n), sigismember(&before, n));
  main_thread = pthread_self();
  struct sigaction action = {.sa_handler = on_signal};
  CHECK_EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
  // While the main thread blocks it, a thread that does not would be given it.
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  CHECK_EQUAL(pthread_sigmask(SIG_BLOCK, &one, NULL), 0);
  CHECK_EQUAL(kill(getpid(), SIGUSR1), 0);
  CHECK_EQUAL(np_counter_add(scene.bell), 0);
  CHECK_EQUAL(np_waker_arm(scene.waker), 0);
  await(scene.socket, POLLIN);
  CHECK_EQUAL(handled_in_main, 0);
  CHECK_EQUAL(pthread_sigmask(SIG_UNBLOCK, &one, NULL), 0);
  CHECK_EQUAL(handled_in_main, 1);
  close_scene(scene);
}

TEST("np_waker threads have a stack that the C library accepts") {
  pthread_attr_t attributes;
  CHECK_EQUAL(pthread_attr_init(&attributes), 0);
  CHECK_EQUAL(pthread_attr_setstacksize(&attributes, WAKER_STACK_BYTES), 0);
  CHECK(WAKER_STACK_BYTES >= 128 << 10);  // glibc's PTHREAD_STACK_MIN on arm64
}

#ifdef NP_FAULTS
TEST("np_waker sends its byte later, when the kernel has no memory for it just now") {
  struct scene scene = a_scene();
  CHECK_EQUAL(np_fault(FAULT_WAKE, -1, 0, 5, -ENOBUFS), 0);
  CHECK_EQUAL(np_waker_arm(scene.waker), 0);
  CHECK_EQUAL(np_counter_add(scene.bell), 0);
  await(scene.socket, POLLIN);
  CHECK_EQUAL(np_fault_used(FAULT_WAKE), 5);
  CHECK_EQUAL(take_bytes(scene), 1);
  close_scene(scene);
}
#endif
