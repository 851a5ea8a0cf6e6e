// A load for echo servers over TLS that believes nothing: the server's certificate is verified, and every byte
// that comes back is compared.
//
//   tls_load -p PORT -a AUTHORITY [-S PID] [-m MODE] [-c CONNECTIONS] [-s BYTES] [-t SECONDS] [-w SECONDS]
//
//   echo     the next message leaves when an answer is complete (the default)
//   full     connect, handshake, echo one message, close, again; resumed: with the last session
//   burst    as many handshakes at once, an echo each, and the end
//   hold     a message each, "ready", and silence until standard input ends
//   deaf     one connection offers BYTES and reads nothing; "ready" when it has had no room for a second; when
//            standard input ends it reads what comes back of what left
//
// Prints one line of JSON. Ends with 3 when the server lies, as load.c does.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process_cpu.h"
#include "tls/client.h"
#include "wire.h"

#define RECORD_BYTES 16384
#define STALL_SECONDS 1
#define CONNECTS_MAX 10
#define WAIT_MS_MAX 100

static struct {
  const char *port, *mode;
  pid_t server;
  int connections;
  uint64_t message_bytes;
  double seconds, warmup_seconds, patience_seconds;
} options = {.mode = "echo", .connections = 1, .message_bytes = 64, .seconds = 1, .warmup_seconds = 0.1,
             .patience_seconds = 10};
static struct client *all;
static uint64_t answers, resumed;
static bool is_churn, resumes;

static void prepare(void) {
  all = calloc((size_t)options.connections, sizeof *all);
  if (all == NULL) wire_fail("calloc");
  for (int i = 0; i < options.connections; i++) all[i].id = i;
}

static void open_all(void) {
  for (int i = 0; i < options.connections; i++) client_open(&all[i], options.port, false);
}

static void ask(struct client *c) { client_ask(c, options.message_bytes); }

// The next message, over the same connection or over a new one.
static void on_event(struct client *c) {
  if (c->received_bytes < c->due_bytes) return;
  answers++;
  if (is_churn) {
    resumed += SSL_session_reused(c->ssl) == 1;
    client_close(c);
    client_open(c, options.port, resumes);
  }
  ask(c);
}

// Runs for so long, and until there are as many answers more as there are connections.
static void run(double seconds) {
  uint64_t now = now_nanos(), end = now + (uint64_t)(seconds * 1e9), seen = answers, since = now;
  uint64_t answers_min = answers + (uint64_t)options.connections;
  for (; now < end || answers < answers_min; now = now_nanos()) {
    clients_turn(WAIT_MS_MAX, on_event);
    if (seen != answers) {
      seen = answers;
      since = now;
    } else if ((double)(now - since) > options.patience_seconds * 1e9) {
      client_reject(&all[0], "no answer to anybody");
    }
  }
}

static void load(void) {
  open_all();
  for (int i = 0; i < options.connections; i++) ask(&all[i]);
  run(options.warmup_seconds);
  uint64_t began = now_nanos(), answers_before = answers, resumed_before = resumed;
  struct process_cpu before = process_cpu_read(options.server);
  run(options.seconds);
  struct process_cpu after = process_cpu_read(options.server);
  double seconds = (double)(now_nanos() - began) / 1e9, count = (double)(answers - answers_before);
  printf("{\"messages\": %.0f, \"messages_per_s\": %.1f, \"server_us_per_message\": %.3f, \"resumed\": %.3f}\n", count,
         count / seconds, (after.total_nanos - before.total_nanos) / 1e3 / count,
         (double)(resumed - resumed_before) / count);
}

static void burst(void) {
  uint64_t began = now_nanos();
  open_all();
  for (int i = 0; i < options.connections; i++) ask(&all[i]);
  for (int i = 0; i < options.connections; i++) client_settle(&all[i], options.patience_seconds);
  printf("{\"handshakes\": %d, \"ms\": %.1f}\n", options.connections, (double)(now_nanos() - began) / 1e6);
  for (int i = 0; i < options.connections; i++) client_close(&all[i]);
}

static void say_ready(void) {
  char ignored[64];
  printf("ready\n");
  fflush(stdout);
  while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) continue;
}

// A few at a time: memory that many handshakes at once have needed is not an idle connection's.
static void ask_in_turn(bool opens) {
  for (int from = 0, to; from < options.connections; from = to) {
    to = from + CONNECTS_MAX < options.connections ? from + CONNECTS_MAX : options.connections;
    for (int i = from; i < to; i++) {
      if (opens) client_open(&all[i], options.port, false);
      ask(&all[i]);
    }
    for (int i = from; i < to; i++) client_settle(&all[i], options.patience_seconds);
  }
}

static void hold(void) {
  ask_in_turn(true);
  say_ready();
  ask_in_turn(false);
  printf("{\"connections\": %d}\n", options.connections);
}

// Offers bytes and reads nothing. The number of bytes that left.
static uint64_t offer(struct client *c) {
  uint64_t sent = 0, since = now_nanos();
  c->is_deaf = true;
  for (ask(c); c->sent_bytes < c->due_bytes; clients_turn(WAIT_MS_MAX, NULL)) {
    uint64_t now = now_nanos();
    if (c->sent_bytes > sent) since = now;
    sent = c->sent_bytes;
    if (sent > 0 && (double)(now - since) > STALL_SECONDS * 1e9) break;
  }
  return c->sent_bytes;
}

static void deaf(void) {
  struct client *c = &all[0];
  client_open(c, options.port, false);
  uint64_t taken = offer(c);
  say_ready();
  c->is_deaf = false;
  if (c->due_bytes > taken + RECORD_BYTES) c->due_bytes = taken + RECORD_BYTES; // one is under way
  client_go_on(c);
  client_settle(c, options.patience_seconds);
  printf("{\"taken\": %lu}\n", taken);
}

static void parse(int argc, char **argv, const char **authority) {
  for (int o; (o = getopt(argc, argv, "p:a:S:m:c:s:t:w:T:")) != -1;) {
    switch (o) {
      case 'p': options.port = optarg; break;
      case 'a': *authority = optarg; break;
      case 'S': options.server = atoi(optarg); break;
      case 'm': options.mode = optarg; break;
      case 'c': options.connections = atoi(optarg); break;
      case 's': options.message_bytes = strtoull(optarg, NULL, 10); break;
      case 't': options.seconds = atof(optarg); break;
      case 'w': options.warmup_seconds = atof(optarg); break;
      case 'T': options.patience_seconds = atof(optarg); break;
      default: exit(2);
    }
  }
  if (options.port == NULL || *authority == NULL || options.connections < 1 || options.message_bytes < 1) exit(2);
}

int main(int argc, char **argv) {
  const char *authority = NULL;
  parse(argc, argv, &authority);
  bool is_deaf = strcmp(options.mode, "deaf") == 0;
  resumes = strcmp(options.mode, "resumed") == 0;
  is_churn = resumes || strcmp(options.mode, "full") == 0;
  wire_limits();
  wire_prepare(is_deaf ? RECORD_BYTES : options.message_bytes);
  clients_prepare(authority);
  prepare();
  if (is_deaf) deaf();
  else if (strcmp(options.mode, "burst") == 0) burst();
  else if (strcmp(options.mode, "hold") == 0) hold();
  else if (is_churn || strcmp(options.mode, "echo") == 0) load();
  else return 2;
  return 0;
}
