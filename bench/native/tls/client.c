#define _GNU_SOURCE
#include "client.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../wire.h"

#define EVENTS_MAX 512
#define READ_BYTES (64 * 1024)
#define RECORD_BYTES 16384 // the most that a record carries: what one SSL_write takes
#define NAME "localhost"
#define CIPHER "TLS_AES_128_GCM_SHA256" // what browsers offer first; without it servers differ in their choice

static SSL_CTX *context;
static int epoll_fd;

static int on_session(SSL *ssl, SSL_SESSION *session) {
  struct client *c = SSL_get_app_data(ssl);
  SSL_SESSION_free(c->session);
  c->session = session;
  return 1; // it is ours now
}

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "tls_load: %s: ", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

void clients_prepare(const char *authority) {
  context = SSL_CTX_new(TLS_client_method());
  if (context == NULL || SSL_CTX_load_verify_locations(context, authority, NULL) != 1) fail(authority);
  if (SSL_CTX_set_ciphersuites(context, CIPHER) != 1) fail(CIPHER);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, on_session);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) wire_fail("epoll_create1");
}

static void watch(struct client *c, int operation, uint32_t interest) {
  struct epoll_event event = {.events = interest, .data.ptr = c};
  if (operation == EPOLL_CTL_MOD && c->interest == interest) return;
  if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) wire_fail("epoll_ctl");
  c->interest = interest;
}

void clients_turn(int wait_ms, void (*on_event)(struct client *c)) {
  struct epoll_event events[EVENTS_MAX];
  int count = epoll_wait(epoll_fd, events, EVENTS_MAX, wait_ms);
  if (count < 0) wire_fail("epoll_wait");
  for (int i = 0; i < count; i++) {
    client_go_on(events[i].data.ptr);
    if (on_event != NULL) on_event(events[i].data.ptr);
  }
}

static void resume(struct client *c) {
  if (c->session == NULL) return;
  if (SSL_set_session(c->ssl, c->session) != 1) fail("SSL_set_session");
  SSL_SESSION_free(c->session); // a ticket is good for one connection (RFC 8446 appendix C.4)
  c->session = NULL;
}

void client_open(struct client *c, const char *port, bool resumes) {
  bool connected;
  struct endpoint to = endpoint_tcp("127.0.0.1", port);
  c->fd = endpoint_connect(&to, true, &connected);
  c->due_bytes = c->sent_bytes = c->received_bytes = 0;
  c->ssl = SSL_new(context);
  if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) fail("SSL_new");
  SSL_set_app_data(c->ssl, c);
  SSL_set_connect_state(c->ssl);
  SSL_set_tlsext_host_name(c->ssl, NAME);
  SSL_set1_host(c->ssl, NAME);
  if (resumes) resume(c);
  watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

// What a call that moved nothing waits for: an event.
static uint32_t awaited(const struct client *c, int result) {
  int error = SSL_get_error(c->ssl, result);
  if (error == SSL_ERROR_WANT_READ) return EPOLLIN;
  if (error == SSL_ERROR_WANT_WRITE) return EPOLLOUT;
  if (error == SSL_ERROR_ZERO_RETURN) client_reject(c, "the server closed it");
  ERR_print_errors_fp(stderr);
  client_reject(c, "TLS failed");
}

// Sends a record of what is due. True when it has left; otherwise what it waits for is added to `interest`.
static bool send_record(struct client *c, uint32_t *interest) {
  size_t bytes;
  const char *from = wire_at(c->id, c->sent_bytes, &bytes);
  if (bytes > c->due_bytes - c->sent_bytes) bytes = c->due_bytes - c->sent_bytes;
  if (bytes > RECORD_BYTES) bytes = RECORD_BYTES;
  int count = SSL_write(c->ssl, from, (int)bytes);
  if (count > 0) c->sent_bytes += (uint64_t)count;
  else *interest |= awaited(c, count);
  return count > 0;
}

// Receives and compares. True when bytes came.
static bool receive(struct client *c, uint32_t *interest) {
  static char input[READ_BYTES];
  int count = SSL_read(c->ssl, input, sizeof input);
  if (count <= 0) {
    *interest |= awaited(c, count);
    return false;
  }
  if (c->received_bytes + (uint64_t)count > c->sent_bytes) client_reject(c, "more bytes came than were sent");
  size_t matching = wire_matching(c->id, c->received_bytes, input, (size_t)count);
  if (matching < (size_t)count) client_reject(c, "wrong bytes");
  c->received_bytes += matching;
  return true;
}

static uint32_t send_due(struct client *c) {
  uint32_t interest = c->is_deaf ? 0 : EPOLLIN;
  while (c->sent_bytes < c->due_bytes && send_record(c, &interest)) continue;
  return interest;
}

void client_ask(struct client *c, uint64_t bytes) {
  ERR_clear_error();
  c->due_bytes += bytes;
  watch(c, EPOLL_CTL_MOD, send_due(c));
}

// A call in vain is left out where all has come: a load that is slow asks its server less.
static void receive_all(struct client *c, uint32_t *interest) {
  while (receive(c, interest) && (c->received_bytes < c->sent_bytes || SSL_has_pending(c->ssl))) continue;
}

void client_go_on(struct client *c) {
  ERR_clear_error();
  uint32_t interest = send_due(c);
  if (!c->is_deaf) receive_all(c, &interest);
  watch(c, EPOLL_CTL_MOD, interest);
}

void client_settle(struct client *c, double patience_seconds) {
  uint64_t end = now_nanos() + (uint64_t)(patience_seconds * 1e9);
  while (c->sent_bytes < c->due_bytes || (!c->is_deaf && c->received_bytes < c->due_bytes)) {
    if (now_nanos() > end) client_reject(c, "an answer is missing");
    clients_turn(100, NULL);
  }
}

void client_close(struct client *c) {
  SSL_shutdown(c->ssl);
  SSL_free(c->ssl);
  close(c->fd);
}

void client_reject(const struct client *c, const char *why) {
  fprintf(stderr, "tls_load: connection %d: %s after %lu bytes\n", c->id, why, c->received_bytes);
  exit(3);
}
