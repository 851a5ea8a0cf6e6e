// A test is a function with a sentence for a name. Each runs in a process of its own: a crash, a
// hang, a limit it set or a descriptor it left is that test's alone.
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

enum {
  TESTS_MAX = 256,
  TEST_SECONDS_MAX = 30,  // one that takes longer hangs: SIGALRM ends it
  SKIPPED = 77,           // the exit code of a test that this machine cannot run, as in automake
};

static struct test { const char *name; void (*run)(void); } tests[TESTS_MAX];
static int test_count;

static void add_test(const char *name, void (*run)(void)) {
  if (test_count == TESTS_MAX) abort();
  tests[test_count++] = (struct test){name, run};
}

// TEST("np_call() does what, when") { … }: defining a test is all it takes to have it run.
#define TEST(name) TEST_NUMBERED(name, __COUNTER__)
#define TEST_NUMBERED(name, number) TEST_NAMED(name, number)
#define TEST_NAMED(name, number)                                                                  \
  static void test_##number(void);                                                                \
  __attribute__((constructor)) static void add_test_##number(void) { add_test(name, test_##number); } \
  static void test_##number(void)

// End the test as failed unless the condition holds.
#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      printf("  %s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                    \
      exit(EXIT_FAILURE);                                                                 \
    }                                                                                     \
  } while (0)

// Compares two integers, and prints both when they differ.
#define CHECK_EQUAL(actual, expected)                                                     \
  do {                                                                                    \
    long long actual_ = (actual), expected_ = (expected);                                 \
    if (actual_ != expected_) {                                                           \
      printf("  %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #actual, actual_, expected_); \
      exit(EXIT_FAILURE);                                                                 \
    }                                                                                     \
  } while (0)

#define SKIP(why)                     \
  do {                                \
    printf("  skipped: %s\n", why);   \
    exit(SKIPPED);                    \
  } while (0)

static int run_apart(const struct test *test) {
  fflush(stdout);
  pid_t child = fork();
  if (child < 0) abort();
  if (child == 0) {
    alarm(TEST_SECONDS_MAX);
    test->run();
    exit(EXIT_SUCCESS);  // and not _exit: the leak detector looks now
  }
  int status;
  while (waitpid(child, &status, 0) < 0) {}
  if (WIFSIGNALED(status)) printf("  ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int starts_with_any(const char *name, char **prefixes) {
  if (!*prefixes) return 1;
  for (; *prefixes; prefixes++) {
    if (strncmp(name, *prefixes, strlen(*prefixes)) == 0) return 1;
  }
  return 0;
}

// Run the tests whose names start with one of the arguments; all of them when there is none.
int main(int count, char **arguments) {
  (void)count;
  int passed = 0, failed = 0, skipped = 0;
  for (const struct test *test = tests; test < tests + test_count; test++) {
    if (!starts_with_any(test->name, arguments + 1)) continue;
    int code = run_apart(test);
    if (code == EXIT_SUCCESS) passed++;
    else if (code == SKIPPED) skipped++;
    else failed++;
    if (code != EXIT_SUCCESS) printf("%s: %s\n", code == SKIPPED ? "SKIPPED" : "FAILED", test->name);
  }
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed || !passed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// ---- what several tests need --------------------------------------------------------------------

// The number of entries of a directory, such as /proc/self/fd. Its own descriptor counts every time.
static int entries(const char *path) {
  DIR *directory = opendir(path);
  CHECK(directory);
  int count = 0;
  while (readdir(directory)) count++;
  closedir(directory);
  return count;
}

static int open_fds(void) {
  return entries("/proc/self/fd");
}

static void check_flags(int32_t fd) {
  CHECK(fd >= 0);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void make_blocking(int32_t fd) {
  CHECK_EQUAL(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

static void make_pair(int32_t pair[2]) {
  CHECK_EQUAL(np_socketpair(pair), 0);
}

static uint32_t a_slab(void) {
  int32_t slab = np_slab_map(HUGE_PAGE_BYTES);
  CHECK(slab >= 0);
  return (uint32_t)slab;
}

static uint8_t *bytes_of(uint32_t slab) {
  uint8_t *bytes = np_slab_address(slab);
  CHECK(bytes);
  return bytes;
}


// A signal every 2 ms that interrupts calls, until `interruptions` reaches `interruptions_wanted`;
// the handler then does `at_last`.
static volatile sig_atomic_t interruptions, interruptions_wanted;
static void (*volatile at_last)(void);

static void on_interruption(int signal) {
  (void)signal;
  int before = errno;
  if (++interruptions == interruptions_wanted) {
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    at_last();
  }
  errno = before;
}

static void interrupt(int times, void (*then)(void)) {
  interruptions = 0;
  interruptions_wanted = times;
  at_last = then;
  // No SA_RESTART: the kernel must not do what is ours to do. The timer takes the place of alarm().
  struct sigaction action = {.sa_handler = on_interruption};
  CHECK_EQUAL(sigaction(SIGALRM, &action, NULL), 0);
  struct itimerval every = {{0, 2000}, {0, 2000}};
  CHECK_EQUAL(setitimer(ITIMER_REAL, &every, NULL), 0);
}
