// Any calls of libnetpoll.c with any arguments, on one thread or on two: an input is a program.
//
// The rules that the callers obey are obeyed here, too, and no others: arrays have the size that a
// call says, numbers of descriptors that were closed are not used again, an epoll descriptor outlives
// its waker, and one thread pushes to a ring, its maker. Addresses are of this machine, and no call
// may block, or an input would be no test but a wait.
//
// Afterwards both threads have ended, and every descriptor that was opened must be closed.
#include "native_calls.h"
#include "native_tls.h"
#include "native_datagrams.h"

#include <sys/wait.h>

// ---- rings --------------------------------------------------------------------------------------

// A ring that the other thread may join.
static _Atomic int32_t offered;

static int32_t keep_ring(struct run *run, int32_t id, bool is_made) {
  for (int i = 0; id >= 0 && i < RINGS_EACH; i++) {
    if (run->rings[i] >= 0) continue;
    run->rings[i] = id;
    run->made[i] = is_made;
    return id;
  }
  return -1;
}

static void push(struct run *run, int32_t id) {
  int slot = slot_of(run);
  struct ends *ends = array_of(run, sizeof *ends);
  int32_t fd = run->fds[slot];
  if (fd >= 0 && !is_watched(run, fd) && !has_tls(fd) && np_ring_push(id, fd, ends) == 0) run->fds[slot] = -1;
  free(ends);
}

static void call_ring(struct run *run) {
  int at = byte_of(&run->in) % RINGS_EACH;
  int32_t id = run->rings[at];
  switch (byte_of(&run->in) % 8) {
    case 0:
      if (id < 0) keep_ring(run, np_ring_open(), true);
      break;
    case 1:
      if (run->made[at]) atomic_store(&offered, id);
      break;
    case 2: {
      int32_t other = atomic_exchange(&offered, -1);
      if (np_ring_join(other) >= 0 && keep_ring(run, other, false) < 0) np_ring_take(-1, NULL);
      break;
    }
    case 3:
      if (run->made[at]) push(run, id);
      break;
    case 4: {
      struct ends *ends = array_of(run, sizeof *ends);
      keep(run, np_ring_take(id, ends));
      free(ends);
      break;
    }
    case 5:
      if (!run->made[at]) break;
      np_ring_close(id);
      run->rings[at] = -1;
      run->made[at] = false;
      break;
    case 6: np_ring_close(INT32_MAX), np_ring_join(-1); break;
    default: if (run->made[at]) np_ring_join(id);
  }
}

static bool has_openssl;

// ---- a thread -----------------------------------------------------------------------------------

static void forget(struct run *run) {
  for (int i = 0; i < FDS_MAX; i++) if (!run->given[i]) run->fds[i] = -1;
  for (int i = 0; i < WAKERS_EACH; i++) run->wakers[i].id = -1;
  for (int i = 0; i < RINGS_EACH; i++) run->rings[i] = -1, run->made[i] = false;
  for (int i = 0; i < CONTEXTS_EACH; i++) run->contexts[i].id = -1;
  run->slab = SLABS_MAX;
}

static void call_give_back(struct run *run) {
  np_give_back(byte_of(&run->in) & 1);
  forget(run);
}

static void (*const calls[])(struct run *) = {
  call_counters, call_slab, call_find, call_resolve, call_socket, call_socketpair, call_bind, call_listen, call_accept,
  call_connect, call_look, call_option, call_shutdown, call_close, call_own, call_receive, call_read_pieces, call_send,
  call_send_pieces, call_send_borrowed, call_file, call_pipe, call_splice, call_completions, call_epoll_create,
  call_epoll_ctl, call_epoll_wait, call_clock, call_waker, call_ring, call_give_back,
};
// These are only in an input that says so.
static void (*const calls_of_tls[])(struct run *) = {
  call_tls_context, call_tls_begin, call_tls_pair, call_tls, call_tls, call_tls, call_tls_between, call_tls_between,
};
static void (*const calls_of_datagrams[])(struct run *) = {call_datagrams, call_datagrams, call_datagrams};

static void *thread_of(void *argument) {
  struct run *run = argument;
  size_t plain = sizeof calls / sizeof *calls;
  size_t tls = has_openssl && run->kind & WITH_TLS ? sizeof calls_of_tls / sizeof *calls_of_tls : 0;
  size_t datagrams = run->kind & WITH_DATAGRAMS ? sizeof calls_of_datagrams / sizeof *calls_of_datagrams : 0;
  for (int i = 0; i < CALLS_EACH_MAX && run->in.at < run->in.end; i++) {
    size_t call = byte_of(&run->in) % (plain + tls + datagrams);
    if (call < plain) calls[call](run);
    else if (call < plain + tls) calls_of_tls[call - plain](run);
    else calls_of_datagrams[call - plain - tls](run);
  }
  return NULL;  // what it has is given back now
}

// What was given away is this process's to close.
static void close_given(const struct run *run) {
  for (int i = 0; i < FDS_MAX; i++) if (run->given[i] && run->fds[i] >= 0) close(run->fds[i]);
}

// ---- an input -----------------------------------------------------------------------------------

static bool were_open[FILES_MAX];

static void note_open(void) {
  for (int fd = 0; fd < FILES_MAX; fd++) were_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

// Descriptors that are open and were not before.
static int left_open(void) {
  int count = 0;
  for (int fd = 0; fd < FILES_MAX; fd++) {
    if (fcntl(fd, F_GETFD) < 0 || were_open[fd]) continue;
    fprintf(stderr, "descriptor %d is left open\n", fd);
    count++;
  }
  return count;
}

static bool prepare_process(void) {
  signal(SIGPIPE, SIG_IGN);  // as both runtimes do
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){FILES_MAX, FILES_MAX});
  char path[64];
  int writable = memfd_create("fuzz", MFD_CLOEXEC);
  assert(writable >= 0 && ftruncate(writable, 5ll << 30) == 0 && write(writable, "netpoll", 7) == 7);
  snprintf(path, sizeof path, "/proc/self/fd/%d", writable);
  memory_file = open(path, O_RDONLY | O_CLOEXEC);
  assert(memory_file >= 0);
  has_openssl = np_tls_load() == 0;
  return true;
}

// Contexts that nobody begins with any more are gone, but for those that an end holds: there is none.
static void check_contexts(void) {
  for (int32_t id = 0; id < TLS_CONTEXTS_MAX; id++) assert(!tls_contexts[id]);
  for (int32_t fd = 0; fd < FILES_MAX; fd++) assert(!tls_of[fd]);
}

// The first byte says whether both threads run, and which calls they have; each has a half of what follows.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool is_prepared;
  if (!is_prepared) is_prepared = prepare_process();
  if (size == 0) return 0;
  size_t both = data[0] & WITH_BOTH ? (size - 1) / 2 : 0;
  const uint8_t *from = data + 1, *middle = data + size - both;
  struct run runs[2] = {
    {.in = {from, middle}, .number = 0, .kind = data[0]},
    {.in = {middle, data + size}, .number = 1, .kind = data[0]},
  };
  pthread_t threads[2];
  note_open();  // the fuzzer opens some between two inputs
  is_alone = both == 0;
  atomic_store(&offered, -1);
  int count = is_alone ? 1 : 2;
  for (int i = 0; i < count; i++) {
    for (int fd = 0; fd < FDS_MAX; fd++) runs[i].given[fd] = false;
    forget(&runs[i]);
    if (pthread_create(&threads[i], NULL, thread_of, &runs[i])) abort();
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < count; i++) close_given(&runs[i]);
  if (left_open() > 0) abort();
  check_contexts();
  return 0;
}

#ifdef REPLAY
enum { BATCH = 32, BATCH_SECONDS_MAX = 60, INPUT_BYTES_MAX = 1 << 16 };

// Runs an input as it is, and on two threads.
static void replay(const char *path) {
  static uint8_t input[INPUT_BYTES_MAX];
  FILE *file = fopen(path, "re");
  if (!file) exit(2);
  size_t size = fread(input, 1, sizeof input, file);
  fclose(file);
  LLVMFuzzerTestOneInput(input, size);
  if (size == 0 || input[0] & WITH_BOTH) return;
  input[0] |= WITH_BOTH;
  LLVMFuzzerTestOneInput(input, size);
}

// Whether all of them end well, in a process of their own.
static bool replay_apart(char **paths, int count) {
  pid_t child = fork();
  if (child == 0) {
    alarm(BATCH_SECONDS_MAX);
    for (int i = 0; i < count; i++) replay(paths[i]);
    exit(0);
  }
  int status = 1;
  waitpid(child, &status, 0);
  return status == 0;
}

// Without the fuzzer: runs the files that are named.
int main(int count, char **paths) {
  int failed = 0;
  for (int from = 1; from < count; from += BATCH) {
    int to = from + BATCH < count ? from + BATCH : count;
    if (replay_apart(paths + from, to - from)) continue;
    for (int i = from; i < to; i++) {
      if (replay_apart(paths + i, 1)) continue;
      printf("FAILED: %s\n", paths[i]);
      failed++;
    }
  }
  printf("%d inputs, %d failed\n", count - 1, failed);
  return failed > 0;
}
#endif
