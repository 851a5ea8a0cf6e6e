#define _GNU_SOURCE
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME_BYTES_MAX (16 * 1024 * 1024) // what the servers of the bench accept

static const char usage[] =
    "load [options] (-p PORT [-h HOST] | -U PATH)\n"
    "\n"
    "  -c COUNT    connections that send (1)        -d DEPTH    messages each keeps in flight (1)\n"
    "  -s BYTES    size of a message (64)           -r RATE     open loop: messages a second, of all together\n"
    "  -f          framed: before each message,     -n COUNT    churn: connect anew after so many messages\n"
    "              its length in 4 bytes            -L          churn closes with a reset\n"
    "  -t SECONDS  how long to measure (3)          -N COUNT    instead: until each has got so many back\n"
    "  -w SECONDS  warm-up before that (0.5)        -T SECONDS  how long an answer may take (10)\n"
    "  -P CPU      run on this CPU                  -S PID      the server: report its CPU and memory\n"
    "\n"
    "beside those that send:\n"
    "  -I COUNT    idle connections: one message each, then silence\n"
    "  -H COUNT    no load: so many of the idle stop amid a second message, until standard input ends\n"
    "  -W COUNT    slow readers, which send without pause and read -y BYTES a second (65536) each\n"
    "\n"
    "instead of an echo:\n"
    "  -B COUNT    broadcast: one connection sends frames (-f), and COUNT others get every one of them;\n"
    "              the next leaves when all have it. A message of the report is one delivery\n";

struct options options = {
    .connections = 1,
    .depth = 1,
    .cpu = -1,
    .held = -1,
    .message_bytes = 64,
    .seconds = 3,
    .warmup_seconds = 0.5,
    .patience_seconds = 10,
    .slow_bytes_per_s = 64 * 1024,
};

static _Noreturn void reject(const char *why) {
  fprintf(stderr, "load: %s; load --help lists the options\n", why);
  exit(2);
}

static double number(int option) {
  char *end, why[80];
  double value = strtod(optarg, &end);
  if (end != optarg && *end == 0 && value >= 0) return value;
  snprintf(why, sizeof why, "-%c wants a number, not \"%.30s\"", option, optarg);
  reject(why);
}

static int count(int option) {
  double value = number(option);
  if (value > 1e6) reject("more than a million");
  return (int)value;
}

static void check(void) {
  const struct options *o = &options;
  if (o->connections < 1 || o->depth < 1 || o->message_bytes < 1) reject("-c, -d and -s are 1 at least");
  if (o->is_framed && o->message_bytes > FRAME_BYTES_MAX) reject("a frame holds 16 MiB at most");
  if (o->receivers > 0 && (o->connections > 1 || o->idle > 0 || o->slow > 0 || o->churn > 0)) {
    reject("in a broadcast one sends and all others receive: no -c, -I, -W, -n");
  }
  if (o->held > o->idle) reject("-H is -I at most");
  if (o->slow > 0 && o->slow_bytes_per_s < 1) reject("-y is 1 at least");
}

void options_parse(int argc, char **argv) {
  const char *host = "127.0.0.1", *port = NULL, *path = NULL;
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    fputs(usage, stdout);
    exit(0);
  }
  for (int o; (o = getopt(argc, argv, "c:d:s:t:w:T:r:n:N:LfI:H:W:y:B:S:P:p:h:U:")) != -1;) {
    switch (o) {
      case 'c': options.connections = count(o); break;
      case 'd': options.depth = count(o); break;
      case 's': options.message_bytes = (size_t)number(o); break;
      case 't': options.seconds = number(o); break;
      case 'w': options.warmup_seconds = number(o); break;
      case 'T': options.patience_seconds = number(o); break;
      case 'r': options.rate = number(o); break;
      case 'n': options.churn = count(o); break;
      case 'N': options.job = (uint64_t)number(o); break;
      case 'L': options.resets = true; break;
      case 'f': options.is_framed = true; break;
      case 'I': options.idle = count(o); break;
      case 'H': options.held = count(o); break;
      case 'W': options.slow = count(o); break;
      case 'y': options.slow_bytes_per_s = number(o); break;
      case 'B': options.receivers = count(o); break;
      case 'S': options.server = (pid_t)number(o); break;
      case 'P': options.cpu = count(o); break;
      case 'p': port = optarg; break;
      case 'h': host = optarg; break;
      case 'U': path = optarg; break;
      default: reject("no such option, or its value is missing");
    }
  }
  if ((port == NULL) == (path == NULL) || optind < argc) reject("one address, by -p or -U");
  if (options.receivers > 0) options.is_framed = true;
  check();
  options.wire_bytes = options.message_bytes + (options.is_framed ? WIRE_LENGTH_BYTES : 0);
  options.to = path != NULL ? endpoint_unix(path) : endpoint_tcp(host, port);
}
