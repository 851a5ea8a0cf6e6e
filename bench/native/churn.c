// Loads an HTTP server that may be restarted meanwhile: `churn PORT SHORT KEPT PAUSE_MS` keeps SHORT
// clients that connect for one request each, and KEPT that stay and ask again after a pause, until
// its input ends. Then it waits for the last answers and prints what happened as one line of JSON.
//
// Every byte of every answer is compared: the body is the number of the process that has answered. A
// client that stays connects again when an answer says "Connection: close"; any other end is a loss.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "wire.h"

#define REQUEST "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define ANSWER_BYTES_MAX 256
#define EVENTS_MAX 256
#define PATIENCE_NANOS 20000000000ull
#define SERVERS_MAX 4096
// Each address has some 28 000 ports, and one that was used rests for a second at least (tcp_tw_reuse).
#define SOURCES 32

struct client {
  int fd, received;
  bool stays, is_asking, is_sent;
  uint64_t due;  // of the answer while one is awaited, else of the next request
  char answer[ANSWER_BYTES_MAX + 1];
};

static struct {
  unsigned long long connections, requests, told, refused, reset, lost;
} counts;
static struct sockaddr_in server = {.sin_family = AF_INET};
static long servers[SERVERS_MAX];
static int server_count, epoll, asking;
static uint64_t pause_nanos;
static bool is_over;
static char first_error[200];

static void connect_one(struct client *client);

static void note(const char *what, int error) {
  if (first_error[0] == 0) snprintf(first_error, sizeof first_error, "%s: %s", what, strerror(error));
}

static void hang_up(struct client *client) {
  close(client->fd);
  client->fd = -1;
  if (client->is_asking) asking--;
  client->is_asking = false;
}

// The connection ended as it should not have; another takes its place in a while.
static void fail(struct client *client, const char *what, int error) {
  note(what, error);
  if (error == ECONNREFUSED) counts.refused++;
  else if (error == ECONNRESET || error == EPIPE) counts.reset++;
  else counts.lost++;
  hang_up(client);
  client->due = now_nanos() + 1000000;
}

static void ask(struct client *client) {
  if (!client->is_asking) {
    client->is_asking = true;
    client->is_sent = false;
    client->received = 0;
    client->due = now_nanos() + PATIENCE_NANOS;
    asking++;
  }
  if (send(client->fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof REQUEST - 1)) {
    client->is_sent = true;
    return;
  }
  // While the connection is being made: the poll tells when it is.
  if (errno != EAGAIN && errno != EINPROGRESS && errno != ENOTCONN) fail(client, "send", errno);
}

static void connect_one(struct client *client) {
  static uint32_t source;
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source++ % SOURCES)};
  int one = 1;
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client->fd < 0) wire_fail("socket");
  setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  if (bind(client->fd, (struct sockaddr *)&from, sizeof from) < 0) wire_fail("bind");
  if (connect(client->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
    return fail(client, "connect", errno);
  }
  counts.connections++;
  ask(client);
  if (client->fd < 0) return;
  struct epoll_event event = {.events = client->is_sent ? EPOLLIN : EPOLLIN | EPOLLOUT, .data.ptr = client};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) < 0) wire_fail("epoll_ctl");
}

static void remember(long pid) {
  for (int i = server_count - 1; i >= 0; i--) {
    if (servers[i] == pid) return;
  }
  if (server_count < SERVERS_MAX) servers[server_count++] = pid;
}

// 1 if the answer is whole, 0 if more has to come, -1 if it is none of the server's. Whether it was
// the last one of its connection.
static int check_answer(struct client *client, bool *is_last) {
  client->answer[client->received] = 0;
  const char *body = strstr(client->answer, "\r\n\r\n");
  if (body == NULL) return client->received < ANSWER_BYTES_MAX ? 0 : -1;
  long pid = strtol(body + 4, NULL, 10);
  char expected[ANSWER_BYTES_MAX], number[32];
  int digits = snprintf(number, sizeof number, "%ld\n", pid);
  *is_last = strstr(client->answer, "Connection: close") != NULL;
  int whole = snprintf(expected, sizeof expected, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", digits,
                       *is_last ? "Connection: close\r\n" : "", number);
  // Of a number that is cut there is a shorter one before the line ends.
  if (memchr(body + 4, '\n', strlen(body + 4)) == NULL) return client->received < whole + 10 ? 0 : -1;
  if (client->received != whole || memcmp(client->answer, expected, (size_t)whole) != 0) return -1;
  remember(pid);
  return 1;
}

static void receive(struct client *client) {
  ssize_t count = recv(client->fd, client->answer + client->received, (size_t)(ANSWER_BYTES_MAX - client->received), 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count < 0) return fail(client, "receive", errno);
  if (count == 0) return fail(client, client->is_asking ? "an end for an answer" : "an end unannounced", ENODATA);
  client->received += (int)count;
  bool is_last;
  int verdict = client->is_asking ? check_answer(client, &is_last) : -1;
  if (verdict == 0) return;
  if (verdict < 0) return fail(client, "an answer of other bytes", EBADMSG);
  counts.requests++;
  asking--;
  client->is_asking = false;
  client->due = now_nanos() + pause_nanos;
  if (client->stays && !is_last) return;
  if (client->stays) counts.told++;
  hang_up(client);
  if (!is_over) connect_one(client);
}

static void on_event(struct client *client, uint32_t events) {
  if (client->fd < 0) return;
  if (!client->is_sent && (events & EPOLLOUT) && !(events & EPOLLERR)) {
    ask(client);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (client->fd >= 0 && client->is_sent) epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event);
  } else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
    receive(client);
  }
}

// Asks again where the pause is over, and gives up where the patience is.
static void look(struct client *clients, int count, uint64_t now) {
  for (struct client *client = clients; client < clients + count; client++) {
    if (client->due > now) continue;
    if (client->is_asking) fail(client, "no answer in 20 s", ETIMEDOUT);
    else if (is_over) continue;
    else if (client->fd < 0) connect_one(client);
    else if (client->stays) ask(client);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: churn PORT SHORT KEPT PAUSE_MS\n");
    return 2;
  }
  wire_limits();
  int short_count = atoi(argv[2]), count = short_count + atoi(argv[3]);
  pause_nanos = (uint64_t)atoi(argv[4]) * 1000000;
  server.sin_port = htons((uint16_t)atoi(argv[1]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct client *clients = calloc((size_t)count, sizeof *clients);
  struct epoll_event events[EVENTS_MAX], input = {.events = EPOLLIN, .data.ptr = NULL};
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (clients == NULL || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &input) < 0) wire_fail("prepare");
  for (int i = 0; i < count; i++) {
    clients[i].stays = i >= short_count;
    connect_one(&clients[i]);
  }
  uint64_t begin = now_nanos(), looked = begin;
  while (!is_over || asking > 0) {
    int found = epoll_wait(epoll, events, EVENTS_MAX, 5);
    for (int i = 0; i < found; i++) {
      if (events[i].data.ptr != NULL) on_event(events[i].data.ptr, events[i].events);
      else is_over = true, epoll_ctl(epoll, EPOLL_CTL_DEL, 0, NULL);
    }
    uint64_t now = now_nanos();
    if (now - looked < 5000000) continue;
    looked = now;
    look(clients, count, now);
  }
  printf("{\"connections\":%llu,\"requests\":%llu,\"told\":%llu,\"refused\":%llu,\"reset\":%llu,\"lost\":%llu,"
         "\"servers\":%d,\"seconds\":%.3f,\"error\":\"%s\"}\n",
         counts.connections, counts.requests, counts.told, counts.refused, counts.reset, counts.lost, server_count,
         (double)(now_nanos() - begin) / 1e9, first_error);
  return 0;
}
