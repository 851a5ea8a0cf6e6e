// One HTTP client that keeps its connection alive: how fast a server answers beside whatever else
// it does.
//
//   http -p PORT [-t SECONDS] [-w SECONDS] [-m MICROSECONDS]
//
// Sends the next GET when the answer is complete. Every answer must be a 200 with the body "ok".
// Prints one line of JSON. -m: pause so long between two requests; with a pause the figure of
// interest is the latency.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "histogram.h"
#include "wire.h"

#define WAIT_MS_MAX 10000
#define BODY "ok"

static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static struct histogram latency;

static void send_request(int fd) {
  // Far smaller than the empty send buffer: it goes out in one piece.
  if (send(fd, request, sizeof request - 1, 0) != (ssize_t)(sizeof request - 1)) wire_fail("send");
}

static size_t receive_more(int fd, char *answer, size_t have, size_t room) {
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  errno = ETIMEDOUT;
  if (poll(&waiting, 1, WAIT_MS_MAX) != 1) wire_fail("waiting for an answer");
  ssize_t count = recv(fd, answer + have, room - have, 0);
  if (count > 0) return have + (size_t)count;
  errno = count == 0 ? ECONNRESET : errno;
  wire_fail("recv");
}

static void reject(const char *answer) {
  fprintf(stderr, "http: not the answer expected:\n%s\n", answer);
  exit(3);
}

static void receive_answer(int fd) {
  char answer[4096];
  for (size_t have = 0;;) {
    have = receive_more(fd, answer, have, sizeof answer - 1);
    answer[have] = 0;
    const char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL && have < sizeof answer - 1) continue;
    if (body == NULL || strncmp(answer, "HTTP/1.1 200", 12) != 0) reject(answer);
    // Both runtimes announce the length of a text: chunks would be another answer.
    if (strcasestr(answer, "\r\ncontent-length: 2\r\n") == NULL) reject(answer);
    size_t length = strlen(body + 4);
    if (length < sizeof BODY - 1) continue;
    if (strcmp(body + 4, BODY) != 0) reject(answer);
    return;
  }
}

int main(int argc, char **argv) {
  const char *port = NULL;
  double seconds = 3, warmup = 0.5;
  useconds_t pause = 0;
  for (int option; (option = getopt(argc, argv, "p:t:w:m:")) != -1;) {
    if (option == 'p') port = optarg;
    else if (option == 't') seconds = atof(optarg);
    else if (option == 'w') warmup = atof(optarg);
    else if (option == 'm') pause = (useconds_t)atoi(optarg);
    else return 2;
  }
  if (port == NULL) return 2;
  struct endpoint to = endpoint_tcp("127.0.0.1", port);
  bool connected;
  int fd = endpoint_connect(&to, true, &connected);
  uint64_t begin = now_nanos() + (uint64_t)(warmup * 1e9), end = begin + (uint64_t)(seconds * 1e9);
  for (uint64_t now = now_nanos(); now < end; now = now_nanos()) {
    send_request(fd);
    receive_answer(fd);
    if (now >= begin) histogram_add(&latency, now_nanos() - now);
    if (pause > 0) usleep(pause);
  }
  printf("{\"requests\":%lu,\"requests_per_s\":%.1f,", latency.count, (double)latency.count / seconds);
  printf("\"p50_us\":%.1f,\"p99_us\":%.1f,", histogram_micros(&latency, 0.5), histogram_micros(&latency, 0.99));
  printf("\"max_us\":%.1f}\n", (double)latency.max / 1e3);
  return 0;
}
