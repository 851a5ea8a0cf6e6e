// The least a server on epoll and OpenSSL can do for an echo: what every other figure of TLS is divided by.
//
//   tls_echo KEY CERTIFICATE
//
// One thread, level-triggered; OpenSSL reads and writes the socket itself, with read-ahead: one recv and one
// send a record. Prints "listening PORT".
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define BACKLOG 4096
#define READ_BYTES (256 * 1024) // that one event reads at most

struct connection {
  int fd;
  SSL *ssl;
  char *unsent;
  size_t unsent_bytes, unsent_at;
};

static SSL_CTX *context;
static int epoll_fd;
static char buffer[READ_BYTES];

static _Noreturn void fail(const char *what) {
  perror(what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void watch(struct connection *c, int operation, uint32_t interest) {
  struct epoll_event event = {.events = interest, .data.ptr = c};
  if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) fail("epoll_ctl");
}

// True when a call that moved nothing waits; the connection is over otherwise.
static bool waits(struct connection *c, int result) {
  int error = SSL_get_error(c->ssl, result);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

// Sends what the socket takes: how many bytes, or -1 when the connection is over.
static ssize_t send_some(struct connection *c, const char *bytes, size_t count) {
  size_t sent = 0;
  while (sent < count) {
    int n = SSL_write(c->ssl, bytes + sent, (int)(count - sent));
    if (n > 0) sent += (size_t)n;
    else if (waits(c, n)) break;
    else return -1;
  }
  return (ssize_t)sent;
}

// A client that has not taken its answers is not read from.
static bool keep_unsent(struct connection *c, const char *bytes, size_t count) {
  c->unsent = malloc(count);
  if (c->unsent == NULL) return false;
  memcpy(c->unsent, bytes, count);
  c->unsent_bytes = count;
  c->unsent_at = 0;
  watch(c, EPOLL_CTL_MOD, EPOLLOUT);
  return true;
}

static bool send_unsent(struct connection *c) {
  ssize_t sent = send_some(c, c->unsent + c->unsent_at, c->unsent_bytes - c->unsent_at);
  if (sent < 0) return false;
  c->unsent_at += (size_t)sent;
  if (c->unsent_at < c->unsent_bytes) return true;
  free(c->unsent);
  c->unsent = NULL;
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
  return true;
}

// Echoes what is there, a buffer full at most: then `has_more`, for what OpenSSL has read ahead has no event. False
// when the connection is over.
static bool echo(struct connection *c, bool *has_more) {
  size_t count = 0;
  int n;
  do {
    n = SSL_read(c->ssl, buffer + count, (int)(sizeof buffer - count));
    if (n > 0) count += (size_t)n;
  } while (n > 0 && count < sizeof buffer && SSL_has_pending(c->ssl));
  *has_more = n > 0 && SSL_has_pending(c->ssl);
  bool goes_on = n > 0 || waits(c, n);
  if (count == 0) return goes_on;
  ssize_t sent = send_some(c, buffer, count);
  if (sent < 0 || !goes_on) return false;
  return (size_t)sent == count || keep_unsent(c, buffer + sent, count - (size_t)sent);
}

static bool on_event(struct connection *c) {
  if (c->unsent != NULL && !send_unsent(c)) return false;
  for (bool has_more = true; has_more && c->unsent == NULL;) {
    if (!echo(c, &has_more)) return false;
  }
  return true;
}

static void drop(struct connection *c) {
  SSL_shutdown(c->ssl);
  ERR_clear_error();
  SSL_free(c->ssl);
  close(c->fd);
  free(c->unsent);
  free(c);
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) fail("calloc");
    c->fd = fd;
    c->ssl = SSL_new(context);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) fail("SSL_new");
    SSL_set_accept_state(c->ssl);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
  }
}

static int open_listener(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t bytes = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(fd, (struct sockaddr *)&address, bytes) != 0 || listen(fd, BACKLOG) != 0) fail("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) fail("getsockname");
  printf("listening %d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void prepare(const char *key, const char *certificate) {
  signal(SIGPIPE, SIG_IGN);
  context = SSL_CTX_new(TLS_server_method());
  if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1) fail(certificate);
  if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) fail(key);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_session_id_context(context, (const unsigned char *)"echo", 4);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  prepare(argv[1], argv[2]);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  int listener = open_listener();
  struct epoll_event events[EVENTS_MAX], accepting = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting) != 0) fail("epoll_ctl");
  for (;;) {
    int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) accept_all(listener);
      else if (!on_event(c)) drop(c);
    }
  }
}
