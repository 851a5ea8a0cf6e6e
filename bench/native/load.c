// A load for echo servers that believes nothing: every byte that comes back is compared.
//
//   load [options] (-p PORT [-h HOST] | -U PATH)
//
//   -c COUNT    connections that send (1)        -d DEPTH    messages each keeps in flight (1)
//   -s BYTES    size of a message (64)           -r RATE     open loop: messages a second, of all together
//   -t SECONDS  how long to measure (3)          -n COUNT    churn: connect anew after so many messages
//   -w SECONDS  warm-up before that (0.5)        -L          churn closes with a reset
//   -I COUNT    idle connections beside: one     -S PID      the server: report the CPU of all its threads
//               message each, then silence       -P CPU      run on this CPU
//   -N COUNT    instead of a time: end when every connection has got so many messages back
//
// Closed loop: the next message leaves when an answer is complete, so a slow server is asked less.
// Open loop: messages are due at a fixed rate, and their latency counts from when they were due,
// not from when they left. Prints one line of JSON. A wrong byte, a lost connection or an idle one
// that speaks ends it with an error.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "histogram.h"
#include "process_cpu.h"
#include "wire.h"

#define EVENTS_MAX 512
#define READ_BYTES (256 * 1024)
#define RATE_RING_MIN (64 * 1024) // how far an open loop may run behind, in messages a connection
#define WAIT_MS_MAX 100

struct connection {
  int fd, id;
  bool is_connecting, wants_out;
  uint64_t due_bytes, sent_bytes, received_bytes; // offsets in the stream
  uint64_t issued, done;                          // messages on this connection
  uint64_t *since;                                // ring: when each message in flight was due
};

static struct {
  int connections, idle, depth, churn, cpu;
  uint64_t job; // messages a connection, 0: run by the clock
  size_t message_bytes;
  double seconds, warmup_seconds, rate;
  bool resets;
  pid_t server;
  struct endpoint to;
} options = {.connections = 1, .depth = 1, .cpu = -1, .message_bytes = 64, .seconds = 3, .warmup_seconds = 0.5};

static struct {
  bool is_measuring;
  struct histogram latency;
  uint64_t messages, bytes, connects, dropped;
  uint64_t began;
  struct process_cpu server;
  struct rusage self;
} figures;

static int epoll_fd;
static struct connection *connections, *idle;
static char received[READ_BYTES];
static uint64_t ring_mask;

// ---- one connection -----------------------------------------------------------------------------

static void watch(struct connection *c, int operation, bool wants_out) {
  struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0), .data.ptr = c};
  if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) wire_fail("epoll_ctl");
  c->wants_out = wants_out;
}

static void open_connection(struct connection *c, bool blocking) {
  bool connected;
  c->fd = endpoint_connect(&options.to, blocking, &connected);
  c->is_connecting = !connected;
  c->due_bytes = c->sent_bytes = c->received_bytes = c->issued = c->done = 0;
  figures.connects++;
  watch(c, EPOLL_CTL_ADD, c->is_connecting);
}

static bool may_issue(const struct connection *c) {
  if (options.job > 0 && c->issued == options.job) return false;
  return options.churn == 0 || c->issued < (uint64_t)options.churn;
}

static void issue(struct connection *c, uint64_t due) {
  c->since[c->issued++ & ring_mask] = due;
  c->due_bytes += options.message_bytes;
}

static void send_due(struct connection *c) {
  while (c->sent_bytes < c->due_bytes) {
    size_t piece;
    const char *bytes = wire_at(c->id, c->sent_bytes, &piece);
    if (piece > c->due_bytes - c->sent_bytes) piece = c->due_bytes - c->sent_bytes;
    ssize_t sent = send(c->fd, bytes, piece, 0);
    if (sent >= 0) {
      c->sent_bytes += (uint64_t)sent;
    } else if (errno == EAGAIN) {
      if (!c->wants_out) watch(c, EPOLL_CTL_MOD, true);
      return;
    } else if (errno != EINTR) {
      wire_fail("send");
    }
  }
  if (c->wants_out) watch(c, EPOLL_CTL_MOD, false);
}

// Closed loop: fills the pipeline. An open loop issues by the clock alone.
static void start(struct connection *c) {
  if (options.rate > 0) return;
  uint64_t now = now_nanos();
  for (int i = 0; i < options.depth && may_issue(c); i++) issue(c, now);
  send_due(c);
}

static void reconnect(struct connection *c) {
  struct linger reset = {.l_onoff = 1};
  if (options.resets) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(c->fd);
  open_connection(c, false);
  if (!c->is_connecting) start(c);
}

static void verify(const struct connection *c, size_t bytes) {
  if (c->received_bytes + bytes > c->sent_bytes) {
    fprintf(stderr, "load: connection %d: more bytes came than were sent\n", c->id);
    exit(3);
  }
  if (!wire_matches(c->id, c->received_bytes, received, bytes)) {
    fprintf(stderr, "load: connection %d: wrong bytes after %lu\n", c->id, c->received_bytes);
    exit(3);
  }
}

static void complete(struct connection *c, uint64_t count) {
  uint64_t now = now_nanos();
  for (uint64_t i = 0; i < count; i++) {
    uint64_t due = c->since[c->done++ & ring_mask];
    if (figures.is_measuring) {
      histogram_add(&figures.latency, now > due ? now - due : 0);
      figures.messages++;
    }
    if (options.rate <= 0 && may_issue(c)) issue(c, now);
  }
}

// One read. Whether there may be more.
static bool receive(struct connection *c) {
  ssize_t count = recv(c->fd, received, sizeof received, 0);
  if (count < 0 && errno == EINTR) return true;
  if (count < 0 && errno == EAGAIN) return false;
  if (count < 0) wire_fail("recv");
  if (count == 0) {
    fprintf(stderr, "load: the server closed connection %d\n", c->id);
    exit(1);
  }
  verify(c, (size_t)count);
  uint64_t before = c->received_bytes / options.message_bytes;
  c->received_bytes += (uint64_t)count;
  if (figures.is_measuring) figures.bytes += (uint64_t)count;
  uint64_t completed = c->received_bytes / options.message_bytes - before;
  if (completed == 0) return count == sizeof received;
  complete(c, completed);
  if (options.churn > 0 && c->done == (uint64_t)options.churn) {
    reconnect(c);
    return false;
  }
  send_due(c);
  return count == sizeof received;
}

static void finish_connect(struct connection *c, uint32_t events) {
  int code = 0;
  socklen_t bytes = sizeof code;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &bytes);
  errno = code;
  if (code != 0 || (events & (EPOLLERR | EPOLLHUP))) wire_fail("connect");
  c->is_connecting = false;
  start(c);
  if (c->wants_out && c->sent_bytes == c->due_bytes) watch(c, EPOLL_CTL_MOD, false);
}

static void on_event(struct connection *c, uint32_t events) {
  if (c->is_connecting) {
    finish_connect(c, events);
    return;
  }
  if (events & EPOLLOUT) send_due(c);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    while (receive(c)) continue;
  }
}

// ---- all of them --------------------------------------------------------------------------------

static struct connection *allocate(int count, int first_id) {
  struct connection *all = calloc((size_t)count + 1, sizeof *all);
  if (all == NULL) wire_fail("calloc");
  for (int i = 0; i < count; i++) {
    all[i].id = first_id + i;
    all[i].since = malloc((ring_mask + 1) * sizeof *all[i].since);
    if (all[i].since == NULL) wire_fail("malloc");
  }
  return all;
}

static void allocate_all(void) {
  uint64_t ring = 1, wanted = (uint64_t)options.depth * 2;
  if (options.rate > 0 && wanted < RATE_RING_MIN) wanted = RATE_RING_MIN;
  while (ring < wanted) ring *= 2;
  ring_mask = ring - 1;
  connections = allocate(options.connections, 0);
  ring_mask = 0;
  idle = allocate(options.idle, options.connections);
  ring_mask = ring - 1;
}

// One message each, so that the server has done all it does for a connection, and then silence.
static void open_idle(void) {
  for (int i = 0; i < options.idle; i++) {
    struct connection *c = &idle[i];
    open_connection(c, true);
    c->due_bytes = options.message_bytes;
    send_due(c);
    while (c->received_bytes < options.message_bytes) {
      struct epoll_event event;
      if (epoll_wait(epoll_fd, &event, 1, 10000) != 1) wire_fail("an idle connection's echo");
      if (event.events & EPOLLOUT) send_due(c);
      ssize_t count = recv(c->fd, received, sizeof received, 0);
      if (count <= 0) continue;
      verify(c, (size_t)count);
      c->received_bytes += (uint64_t)count;
    }
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
  }
}

static void verify_idle(void) {
  for (int i = 0; i < options.idle; i++) {
    if (recv(idle[i].fd, received, 1, 0) < 0 && errno == EAGAIN) continue;
    fprintf(stderr, "load: an idle connection was closed, or got bytes\n");
    exit(3);
  }
}

// Issues what is due by now, in turns. How long until the next, in milliseconds to wait.
static int issue_by_rate(double *next, int *turn) {
  double step = 1e9 / options.rate, now = (double)now_nanos();
  for (; *next <= now; *next += step) {
    struct connection *c = &connections[*turn];
    *turn = (*turn + 1) % options.connections;
    if (c->is_connecting || !may_issue(c) || c->issued - c->done > ring_mask) {
      figures.dropped++;
    } else {
      issue(c, (uint64_t)*next);
      send_due(c);
    }
  }
  double wait_ms = (*next - now) / 1e6;
  return wait_ms < WAIT_MS_MAX ? (int)wait_ms : WAIT_MS_MAX; // under a millisecond: poll
}

static void begin_measuring(void) {
  figures.connects = figures.dropped = 0;
  if (options.server > 0) figures.server = process_cpu_read(options.server);
  getrusage(RUSAGE_SELF, &figures.self);
  figures.began = now_nanos();
  figures.is_measuring = true;
}

// Runs until the time is up. Seconds measured.
static double run(void) {
  struct epoll_event events[EVENTS_MAX];
  double next = (double)now_nanos();
  uint64_t warm_end = (uint64_t)(next + options.warmup_seconds * 1e9);
  uint64_t length = (uint64_t)(options.seconds * 1e9);
  for (int turn = 0;;) {
    int wait_ms = options.rate > 0 ? issue_by_rate(&next, &turn) : WAIT_MS_MAX;
    int count = epoll_wait(epoll_fd, events, EVENTS_MAX, wait_ms);
    if (count < 0 && errno != EINTR) wire_fail("epoll_wait");
    uint64_t now = now_nanos();
    if (!figures.is_measuring && now >= warm_end) begin_measuring();
    bool is_over = options.job > 0 ? figures.messages == options.job * (uint64_t)options.connections
                                   : figures.is_measuring && now >= figures.began + length;
    if (is_over) return (double)(now - figures.began) / 1e9;
    for (int i = 0; i < count; i++) on_event(events[i].data.ptr, events[i].events);
  }
}

// ---- the report ---------------------------------------------------------------------------------

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static double own_cpu_percent(double seconds) {
  struct rusage now;
  getrusage(RUSAGE_SELF, &now);
  double used = seconds_of(now.ru_utime) + seconds_of(now.ru_stime) - seconds_of(figures.self.ru_utime) -
                seconds_of(figures.self.ru_stime);
  return used / seconds * 100;
}

static void report_server(double seconds) {
  struct process_cpu now = process_cpu_read(options.server);
  double nanos = now.total_nanos - figures.server.total_nanos;
  double user = now.user_ticks - figures.server.user_ticks;
  double system = now.system_ticks - figures.server.system_ticks;
  double user_share = user + system > 0 ? user / (user + system) : 0;
  double micros = figures.messages > 0 ? nanos / 1e3 / (double)figures.messages : 0;
  printf("\"server_cpu_percent\":%.1f,\"server_us_per_message\":%.4f,", nanos / seconds / 1e7, micros);
  printf("\"server_user_us_per_message\":%.4f,", micros * user_share);
  printf("\"server_system_us_per_message\":%.4f,", micros * (1 - user_share));
}

static void report(double seconds) {
  const struct histogram *latency = &figures.latency;
  printf("{\"connections\":%d,\"idle\":%d,", options.connections, options.idle);
  printf("\"message_bytes\":%zu,\"depth\":%d,\"seconds\":%.3f,", options.message_bytes, options.depth, seconds);
  printf("\"messages\":%lu,\"messages_per_s\":%.1f,", figures.messages, (double)figures.messages / seconds);
  printf("\"bytes_per_s\":%.0f,", (double)figures.bytes / seconds);
  printf("\"connects_per_s\":%.1f,\"dropped\":%lu,", (double)figures.connects / seconds, figures.dropped);
  printf("\"mean_us\":%.1f,\"p50_us\":%.1f,", histogram_mean_micros(latency), histogram_micros(latency, 0.5));
  printf("\"p99_us\":%.1f,\"p999_us\":%.1f,", histogram_micros(latency, 0.99), histogram_micros(latency, 0.999));
  if (options.server > 0) report_server(seconds);
  printf("\"max_us\":%.1f,", (double)latency->max / 1e3);
  printf("\"client_cpu_percent\":%.1f}\n", own_cpu_percent(seconds));
}

static void usage(void) {
  fprintf(stderr, "usage: load [-c connections] [-d depth] [-s bytes] [-t seconds] [-w seconds] [-r rate]\n"
                  "            [-n churn] [-L] [-N job] [-I idle] [-S server_pid] [-P cpu]\n"
                  "            (-p port [-h host] | -U path)\n");
  exit(2);
}

static void parse(int argc, char **argv) {
  const char *host = "127.0.0.1", *port = NULL, *path = NULL;
  for (int option; (option = getopt(argc, argv, "c:d:s:t:w:r:n:N:LI:S:P:p:h:U:")) != -1;) {
    switch (option) {
      case 'c': options.connections = atoi(optarg); break;
      case 'd': options.depth = atoi(optarg); break;
      case 's': options.message_bytes = strtoul(optarg, NULL, 10); break;
      case 't': options.seconds = atof(optarg); break;
      case 'w': options.warmup_seconds = atof(optarg); break;
      case 'r': options.rate = atof(optarg); break;
      case 'n': options.churn = atoi(optarg); break;
      case 'L': options.resets = true; break;
      case 'N': options.job = strtoul(optarg, NULL, 10); break;
      case 'I': options.idle = atoi(optarg); break;
      case 'S': options.server = atoi(optarg); break;
      case 'P': options.cpu = atoi(optarg); break;
      case 'p': port = optarg; break;
      case 'h': host = optarg; break;
      case 'U': path = optarg; break;
      default: usage();
    }
  }
  if ((port == NULL) == (path == NULL) || options.connections < 1 || options.message_bytes < 1 || options.depth < 1) {
    usage();
  }
  options.to = path != NULL ? endpoint_unix(path) : endpoint_tcp(host, port);
}

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) wire_fail("sched_setaffinity");
}

int main(int argc, char **argv) {
  parse(argc, argv);
  if (options.cpu >= 0) pin(options.cpu);
  wire_limits();
  wire_prepare(options.message_bytes);
  allocate_all();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) wire_fail("epoll_create1");
  open_idle();
  for (int i = 0; i < options.connections; i++) open_connection(&connections[i], true);
  if (options.job > 0) begin_measuring(); // every message counts: there is no warm-up
  for (int i = 0; i < options.connections; i++) start(&connections[i]);
  double seconds = run();
  report(seconds);
  verify_idle();
  return 0;
}
