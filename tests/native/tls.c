// The numbers of OpenSSL that libnetpoll.c writes down itself, beside OpenSSL's own where its headers are.

#if __has_include(<openssl/ssl.h>)
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
_Static_assert(TLS_CTRL_EXTRA_CHAIN == SSL_CTRL_CHAIN_CERT, "a chain");
_Static_assert(TLS_CTRL_MODE == SSL_CTRL_MODE && TLS_CTRL_READ_AHEAD == SSL_CTRL_SET_READ_AHEAD, "modes");
_Static_assert(TLS_CTRL_CACHE == SSL_CTRL_SET_SESS_CACHE_MODE, "a cache");
_Static_assert(TLS_CTRL_NAME_CB == SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, "names");
_Static_assert(TLS_CTRL_NAME_ARG == SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, "names");
_Static_assert(TLS_CTRL_HOST == SSL_CTRL_SET_TLSEXT_HOSTNAME, "a host");
_Static_assert(TLS_CTRL_STATUS_CB == SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB, "a status");
_Static_assert(TLS_CTRL_STATUS_ARG == SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB_ARG, "a status");
_Static_assert(TLS_CTRL_STATUS_RESPONSE == SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, "a response");
_Static_assert(TLS_CTRL_GROUPS == SSL_CTRL_SET_GROUPS_LIST, "curves");
_Static_assert(TLS_CTRL_MIN == SSL_CTRL_SET_MIN_PROTO_VERSION, "versions");
_Static_assert(TLS_CTRL_MAX == SSL_CTRL_SET_MAX_PROTO_VERSION, "versions");
_Static_assert(TLS_MODES == (SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                             SSL_MODE_RELEASE_BUFFERS), "modes");
_Static_assert(TLS_CACHE_NONE == SSL_SESS_CACHE_OFF, "a cache");
_Static_assert(TLS_CACHE_CLIENT_ALONE == (SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL), "a cache");
_Static_assert(TLS_VERIFY_PEER == SSL_VERIFY_PEER && TLS_VERIFY_MUST == SSL_VERIFY_FAIL_IF_NO_PEER_CERT, "verifying");
_Static_assert(TLS_ERROR_SSL == SSL_ERROR_SSL && TLS_ERROR_SYSCALL == SSL_ERROR_SYSCALL, "errors");
_Static_assert(TLS_ERROR_READ == SSL_ERROR_WANT_READ && TLS_ERROR_WRITE == SSL_ERROR_WANT_WRITE, "waits");
_Static_assert(TLS_ERROR_END == SSL_ERROR_ZERO_RETURN && TLS_ERROR_HELLO == SSL_ERROR_WANT_CLIENT_HELLO_CB, "ends");
_Static_assert(TLS_ACK == SSL_TLSEXT_ERR_OK && TLS_NOACK == SSL_TLSEXT_ERR_NOACK, "answers");
_Static_assert(TLS_FATAL == SSL_TLSEXT_ERR_ALERT_FATAL, "answers");
_Static_assert(TLS_HELLO_RETRY == SSL_CLIENT_HELLO_RETRY && TLS_HELLO_SUCCESS == SSL_CLIENT_HELLO_SUCCESS, "hellos");
_Static_assert(TLS_ALERT_UNRECOGNIZED == SSL_AD_UNRECOGNIZED_NAME && TLS_1_2 == TLS1_2_VERSION, "alerts");
_Static_assert(TLS_NAME_FLAGS == (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT), "names");
_Static_assert(TLS_HANDSHAKE_MESSAGE == SSL3_RT_HANDSHAKE, "messages");
_Static_assert(TLS_UNEXPECTED_EOF == ERR_PACK(ERR_LIB_SSL, 0, SSL_R_UNEXPECTED_EOF_WHILE_READING), "an end");
_Static_assert(TLS_NO_START_LINE == ERR_PACK(ERR_LIB_PEM, 0, PEM_R_NO_START_LINE), "the end of a text");
_Static_assert(TLS_SENT_SHUTDOWN == SSL_SENT_SHUTDOWN, "the end");
_Static_assert(TLS_BIO_READ == BIO_FLAGS_READ && TLS_BIO_WRITE == BIO_FLAGS_WRITE, "flags");
_Static_assert(TLS_BIO_RETRY == BIO_FLAGS_SHOULD_RETRY, "flags");
_Static_assert(TLS_BIO_EOF == BIO_CTRL_EOF && TLS_BIO_FLUSH == BIO_CTRL_FLUSH, "controls");
_Static_assert(TLS_BIO_SOURCE_SINK == BIO_TYPE_SOURCE_SINK, "a type");
_Static_assert(TLS_RECORD_BYTES == SSL3_RT_MAX_PLAIN_LENGTH, "a record");
#endif

#include "pem.h"

static const uint8_t *tls_bytes(const char *text) {
  return (const uint8_t *)text;
}

static int32_t tls_use_text(int32_t context, int32_t what, const char *text) {
  return np_tls_use(context, what, tls_bytes(text), (uint32_t)strlen(text), tls_bytes(""), 0);
}

static void skip_without_tls(void) {
  if (np_tls_load() != 0) SKIP("libssl.so.3 is not here");
}

// A server's context and a client's that trusts it.
static void make_contexts(int32_t *server, int32_t *client) {
  skip_without_tls();
  *server = np_tls_context(1, 0x0303, 0x0304);
  *client = np_tls_context(0, 0x0303, 0x0304);
  CHECK(*server >= 0 && *client >= 0);
  CHECK_EQUAL(tls_use_text(*server, TLS_CHAIN, tls_test_certificate), 0);
  CHECK_EQUAL(tls_use_text(*server, TLS_KEY, tls_test_key), 0);
  CHECK_EQUAL(tls_use_text(*client, TLS_AUTHORITIES, tls_test_certificate), 1);
  CHECK_EQUAL(np_tls_set(*client, TLS_VERIFY, 1), 0);
}

static void end_tls(int32_t server, int32_t client, const int32_t pair[2]) {
  np_close(pair[0]);
  np_close(pair[1]);
  np_tls_context_free(server);
  np_tls_context_free(client);
}

// Two connected sockets on which both sides have begun.
static void begin_tls(int32_t server, int32_t client, int32_t pair[2]) {
  make_pair(pair);
  CHECK_EQUAL(np_tls_begin(pair[0], server, "", tls_bytes(""), 0, ""), 0);
  CHECK_EQUAL(np_tls_begin(pair[1], client, "localhost", tls_bytes(""), 0, "here"), 0);
}

static void shake_hands(int32_t server, int32_t client) {
  int32_t at_server = TLS_WANTS_READ, at_client = TLS_WANTS_READ;
  for (int n = 0; n < 20 && (at_server != TLS_DONE || at_client != TLS_DONE); n++) {
    at_client = np_tls_handshake(client);
    at_server = np_tls_handshake(server);
  }
  CHECK_EQUAL(at_client, TLS_DONE);
  CHECK_EQUAL(at_server, TLS_DONE);
}

TEST("np_tls_send() and np_tls_recv() move bytes between two ends, whatever the kernel takes") {
  int32_t server, client, pair[2];
  make_contexts(&server, &client);
  begin_tls(server, client, pair);
  CHECK_EQUAL(np_tls_begin(pair[1], client, "localhost", tls_bytes(""), 0, "here"), -EEXIST);
  shake_hands(pair[0], pair[1]);
  enum { BYTES = 1 << 20 };
  uint8_t *sent = malloc(BYTES), *received = malloc(BYTES);
  for (int i = 0; i < BYTES; i++) sent[i] = (uint8_t)(i * 31 >> 3);
  int32_t slab = np_slab_map(2 << 20);
  uint32_t out = 0, in = 0;
  while (in < BYTES) {
    int32_t count = np_tls_send_borrowed(pair[0], sent, BYTES, out, BYTES - out);
    if (out < BYTES) CHECK(count > 0 || count == -EAGAIN);
    if (count > 0) out += (uint32_t)count;
    while ((count = np_tls_recv(pair[1], (uint32_t)slab, 0, 10000)) > 0) {
      memcpy(received + in, np_slab_address((uint32_t)slab), (size_t)count);
      in += (uint32_t)count;
    }
    CHECK_EQUAL(count, -EAGAIN);
  }
  CHECK(memcmp(sent, received, BYTES) == 0);
  CHECK_EQUAL(np_tls_shutdown(pair[0]), 0);
  CHECK_EQUAL(np_tls_recv(pair[1], (uint32_t)slab, 0, 100), 0);
  free(sent);
  free(received);
  CHECK_EQUAL(np_tls_context_free(server), 0);
  CHECK_EQUAL(np_tls_context_free(server), -EBADF);
  CHECK_EQUAL(np_tls_context_free(client), 0);
  np_close(pair[0]);
  np_close(pair[1]);
}

TEST("np_tls_feed() is what TLS reads first, in pieces of any size") {
  int32_t server, client, pair[2];
  make_contexts(&server, &client);
  begin_tls(server, client, pair);
  CHECK_EQUAL(np_tls_handshake(pair[1]), TLS_WANTS_READ);
  uint8_t early[4096];
  ssize_t count = recv(pair[0], early, 77, 0);
  CHECK_EQUAL(np_tls_feed(pair[0], early, (uint32_t)count), 0);
  CHECK_EQUAL(np_tls_feed(pair[0], early, 1), -EBADF);
  CHECK_EQUAL(np_tls_feed(-1, early, 1), -EBADF);
  CHECK_EQUAL(np_tls_pending(pair[0]), 1);
  shake_hands(pair[0], pair[1]);
  CHECK_EQUAL(np_tls_pending(pair[0]), 0);
  end_tls(server, client, pair);
}

TEST("np_tls_recv() tells a cut from an end in order, again and again") {
  int32_t server, client, pair[2], numbers[2];
  make_contexts(&server, &client);
  begin_tls(server, client, pair);
  shake_hands(pair[0], pair[1]);
  uint32_t slab = (uint32_t)np_slab_map(2 << 20);
  CHECK_EQUAL(np_tls_recv(pair[1], slab, 0, 100), -EAGAIN);
  CHECK_EQUAL(shutdown(pair[0], SHUT_WR), 0);
  uint8_t text[100];
  for (int n = 0; n < 3; n++) {
    CHECK_EQUAL(np_tls_recv(pair[1], slab, 0, 100), -EPROTO);
    CHECK(np_tls_failure(pair[1], 0, numbers, text, sizeof text) > 0);
    CHECK_EQUAL(numbers[0], 294);  // SSL_R_UNEXPECTED_EOF_WHILE_READING
  }
  end_tls(server, client, pair);
}

TEST("np_tls_pending() tells of an end that came with the last bytes, until somebody has heard it") {
  int32_t server, client, pair[2];
  make_contexts(&server, &client);
  begin_tls(server, client, pair);
  shake_hands(pair[0], pair[1]);
  uint32_t slab = (uint32_t)np_slab_map(2 << 20);
  CHECK_EQUAL(np_tls_recv(pair[1], slab, 0, 100), -EAGAIN);
  CHECK_EQUAL(np_tls_send_borrowed(pair[0], tls_bytes("hello"), 5, 0, 5), 5);
  tls.SSL_shutdown(tls_of[pair[0]]->ssl);  // TLS alone has ended: the socket has not
  CHECK_EQUAL(np_tls_pending(pair[1]), 0);
  CHECK_EQUAL(np_tls_recv(pair[1], slab, 0, 100), 5);
  CHECK_EQUAL(np_tls_pending(pair[1]), 1);
  CHECK_EQUAL(np_tls_recv(pair[1], slab, 0, 100), 0);
  CHECK_EQUAL(np_tls_pending(pair[1]), 0);
  CHECK_EQUAL(np_tls_recv(pair[1], slab, 0, 100), 0);
  end_tls(server, client, pair);
}

// Connects once. Whether the client went on with a session.
static int is_resumed(int32_t server, int32_t client) {
  int pair[2];
  begin_tls(server, client, pair);
  shake_hands(pair[0], pair[1]);
  uint32_t slab = (uint32_t)np_slab_map(2 << 20);
  CHECK_EQUAL(np_tls_recv(pair[1], slab, 0, 100), -EAGAIN);  // takes the sessions that are given in TLS 1.3
  uint8_t answer[2];
  int count = np_tls_about(pair[1], TLS_IS_RESUMED, answer, sizeof answer);
  np_close(pair[1]);
  np_close(pair[0]);
  return count == 1;
}

TEST("np_tls_handshake() keeps the session that a server gives while it goes on with one") {
  for (int version = 0x0303; version <= 0x0304; version++) {
    int32_t server, client;
    make_contexts(&server, &client);
    CHECK_EQUAL(np_tls_context_free(client), 0);
    client = np_tls_context(0, version, version);
    CHECK_EQUAL(is_resumed(server, client), 0);
    for (int n = 0; n < 4; n++) {
      tls_contexts[server]->tickets[0].since = -2 * TLS_TICKET_SECONDS;  // an hour later
      CHECK_EQUAL(is_resumed(server, client), 1);
    }
    np_tls_context_free(server);
    np_tls_context_free(client);
  }
}

TEST("np_tls_use() takes protocols, and a handshake looks at those of the client to the last byte and no further") {
  static const struct { const char *ours, *theirs, *chosen; } cases[] = {
    {"\2h2\10http/1.1", "\10http/1.1\2h2", "h2"}, {"\3one", "\5other\3one", "one"}, {"\2h2", "\2h3", NULL},
    {"\1a", "\2aa\3aaa", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int32_t server, client, pair[2], at_server = TLS_WANTS_READ;
    make_contexts(&server, &client);
    make_pair(pair);
    CHECK_EQUAL(tls_use_text(server, TLS_PROTOCOLS, cases[i].ours), 0);
    CHECK_EQUAL(tls_use_text(client, TLS_PROTOCOLS, cases[i].theirs), 0);
    CHECK_EQUAL(np_tls_begin(pair[0], server, "", tls_bytes(""), 0, ""), 0);
    CHECK_EQUAL(np_tls_begin(pair[1], client, "localhost", tls_bytes(""), 0, "here"), 0);
    for (int n = 0; n < 3; n++) np_tls_handshake(pair[1]), at_server = np_tls_handshake(pair[0]);
    CHECK_EQUAL(at_server, cases[i].chosen ? TLS_DONE : -EPROTO);
    uint8_t name[16] = {0};
    if (cases[i].chosen) CHECK_EQUAL(np_tls_about(pair[1], TLS_ALPN, name, 15), (int32_t)strlen(cases[i].chosen));
    if (cases[i].chosen) CHECK(strcmp((char *)name, cases[i].chosen) == 0);
    np_close(pair[0]);
    np_close(pair[1]);
    np_tls_context_free(server);
    np_tls_context_free(client);
  }
}

TEST("np_tls_use() takes a key with its password, a chain of several, and np_tls_set() all of its settings") {
  skip_without_tls();
  int32_t context = np_tls_context(1, 0x0303, 0x0304);
  char chain[2 * sizeof tls_test_certificate];
  snprintf(chain, sizeof chain, "%s%s", tls_test_certificate, tls_test_certificate);
  const uint8_t *key = tls_bytes(tls_test_locked_key);
  uint32_t length = (uint32_t)strlen(tls_test_locked_key);
  CHECK_EQUAL(tls_use_text(context, TLS_CHAIN, chain), 0);
  CHECK_EQUAL(np_tls_use(context, TLS_KEY, key, length, tls_bytes("secret"), 6), 0);
  CHECK_EQUAL(np_tls_use(context, TLS_KEY, key, length, tls_bytes("secre"), 5), -EINVAL);
  CHECK_EQUAL(np_tls_use(context, TLS_KEY, key, length, tls_bytes(""), 0), -EINVAL);
  CHECK_EQUAL(np_tls_use(context, TLS_KEY, key, length, key, 1024), -EINVAL);  // a password too long
  CHECK_EQUAL(np_tls_set(context, TLS_DISTRIBUTION, 0), 0);
  CHECK_EQUAL(np_tls_set(context, TLS_TIMEOUT, 77), 0);
  CHECK_EQUAL(np_tls_set(context, TLS_KEY_LOG, -1), -EBADF);
  CHECK_EQUAL(np_tls_context_free(context), 0);
}

TEST("np_tls_use() has a response of OCSP for clients that ask for one, and np_tls_name() certificates by name") {
  int32_t server, client, named, pair[2];
  make_contexts(&server, &client);
  CHECK_EQUAL(np_tls_use(server, TLS_STATUS, tls_bytes("good"), 4, tls_bytes(""), 0), 0);
  named = np_tls_context(1, 0x0303, 0x0304);
  CHECK_EQUAL(tls_use_text(named, TLS_CHAIN, tls_test_certificate), 0);
  CHECK_EQUAL(tls_use_text(named, TLS_KEY, tls_test_key), 0);
  CHECK_EQUAL(np_tls_name(server, "*.host", named), 0);
  CHECK_EQUAL(np_tls_context_free(named), 0);
  static const char *const hosts[] = {"localhost", "a.host", "host", ".host", "a.b.host"};
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    make_pair(pair);
    CHECK_EQUAL(np_tls_set(client, TLS_VERIFY, 0), 0);
    CHECK_EQUAL(np_tls_begin(pair[0], server, "", tls_bytes(""), 0, ""), 0);
    CHECK_EQUAL(np_tls_begin(pair[1], client, hosts[i], tls_bytes(""), 0, "here"), 0);
    SSL *asks = tls_of[pair[1]]->ssl;
    tls.SSL_ctrl(asks, 65, 1, NULL);  // SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE, TLSEXT_STATUSTYPE_ocsp
    shake_hands(pair[0], pair[1]);
    const uint8_t *response = NULL;
    long length = tls.SSL_ctrl(asks, 70, 0, &response);  // SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP
    // The certificate of the name has no response of its own; the server's is not for it.
    CHECK(i == 1 || (length == 4 && memcmp(response, "good", 4) == 0));
    np_close(pair[0]);
    np_close(pair[1]);
  }
  np_tls_context_free(server);
  np_tls_context_free(client);
}

TEST("np_tls_send() puts pieces together in records, and goes on where the kernel has stopped") {
  int32_t server, client, pair[2];
  make_contexts(&server, &client);
  begin_tls(server, client, pair);
  shake_hands(pair[0], pair[1]);
  uint32_t slab = (uint32_t)np_slab_map(2 << 20), base = 1 << 20;
  uint8_t *memory = np_slab_address(slab);
  uint32_t table[] = {slab, 0, 3, slab, 1000, 0, slab, 2000, 40000, slab, 50000, 5, slab, 60000, 1};
  uint8_t sent[40009], received[40009];
  uint32_t out = 0, in = 0;
  for (int i = 0; i < 100000; i++) memory[i] = (uint8_t)(i * 7 >> 2);
  for (int i = 0; i < 5; out += table[3 * i++ + 2]) memcpy(sent + out, memory + table[3 * i + 1], table[3 * i + 2]);
  CHECK_EQUAL(np_tls_send(pair[0], table, 5), 40009);
  for (int32_t count; in < out && (count = np_tls_recv(pair[1], slab, base, 30000)) > 0; in += (uint32_t)count) {
    memcpy(received + in, memory + base, (size_t)count);
  }
  CHECK_EQUAL(in, 40009);
  CHECK(memcmp(sent, received, in) == 0);
  end_tls(server, client, pair);
}

static void *leave_context(void *number) {
  *(int32_t *)number = np_tls_context(0, 0x0303, 0x0304);
  return NULL;
}

TEST("np_tls_context() belongs to its thread: the end of that gives it back, and ends that use it go on") {
  int32_t server, client, pair[2], left;
  make_contexts(&server, &client);
  make_pair(pair);
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, leave_context, &left), 0);
  CHECK_EQUAL(pthread_join(thread, NULL), 0);
  CHECK(left >= 0);
  CHECK_EQUAL(np_tls_context_free(left), -EBADF);
  CHECK_EQUAL(np_tls_begin(pair[0], server, "", tls_bytes(""), 0, ""), 0);
  CHECK_EQUAL(np_tls_begin(pair[1], client, "localhost", tls_bytes(""), 0, "here"), 0);
  CHECK_EQUAL(np_tls_context_free(server), 0);
  CHECK_EQUAL(np_tls_context_free(client), 0);
  shake_hands(pair[0], pair[1]);
  np_close(pair[0]);
  np_close(pair[1]);
}

TEST("np_tls_*() are -errno for numbers that stand for nothing, and for text that is no certificate") {
  skip_without_tls();
  uint8_t out[8];
  int32_t numbers[2];
  CHECK_EQUAL(np_tls_handshake(-1), -EBADF);
  CHECK_EQUAL(np_tls_timeout(1 << 30), -EBADF);
  CHECK_EQUAL(np_tls_pending(-1), 0);
  CHECK_EQUAL(np_tls_choose(-1, 0), -EBADF);
  CHECK_EQUAL(np_tls_shutdown(-1), -EBADF);
  CHECK_EQUAL(np_tls_about(-1, 0, out, sizeof out), -EBADF);
  CHECK_EQUAL(np_tls_recv(-1, 0, 0, 0), -EFAULT);
  CHECK_EQUAL(np_tls_send(-1, NULL, 0), -EFAULT);
  CHECK_EQUAL(np_tls_begin(0, -1, "", out, 0, ""), -EBADF);
  CHECK_EQUAL(np_tls_context_free(-1), -EBADF);
  CHECK_EQUAL(np_tls_swap(-1, -1), -EBADF);
  CHECK_EQUAL(np_tls_set(-1, 0, 0), -EBADF);
  CHECK_EQUAL(np_tls_name(-1, "x", 0), -EBADF);
  int32_t context = np_tls_context(1, 0x0303, 0x0304);
  CHECK_EQUAL(np_tls_set(context, 99, 0), -EINVAL);
  CHECK_EQUAL(np_tls_name(context, "x", context), -EBADF);
  CHECK_EQUAL(tls_use_text(context, 99, "x"), -EINVAL);
  CHECK_EQUAL(tls_use_text(context, TLS_PROTOCOLS, "\2h2\3xy"), -EINVAL);
  CHECK_EQUAL(np_tls_use(context, TLS_PROTOCOLS, tls_bytes("\0\1a"), 3, out, 0), -EINVAL);
  CHECK_EQUAL(tls_use_text(context, TLS_CHAIN, "no certificate"), -EINVAL);
  CHECK_EQUAL(tls_use_text(context, TLS_KEY, tls_test_key), -EINVAL);  // it has no certificate
  CHECK(np_tls_failure(-1, 0, numbers, out, sizeof out) <= (int32_t)sizeof out);
  CHECK_EQUAL(np_tls_context_free(context), 0);
}

// Two ends of a pair, after their handshake. The contexts live as long as these.
static void secure_pair(int pair[2], const char *client_protocols, int32_t expected) {
  int32_t server, client;
  make_contexts(&server, &client);
  make_pair(pair);
  CHECK_EQUAL(tls_use_text(server, TLS_PROTOCOLS, "\2h2"), 0);
  CHECK_EQUAL(tls_use_text(client, TLS_PROTOCOLS, client_protocols), 0);
  CHECK_EQUAL(np_tls_begin(pair[0], server, "", tls_bytes(""), 0, ""), 0);
  CHECK_EQUAL(np_tls_begin(pair[1], client, "localhost", tls_bytes(""), 0, "here"), 0);
  np_tls_context_free(server);
  np_tls_context_free(client);
  if (expected == 0) return shake_hands(pair[0], pair[1]);
  CHECK_EQUAL(np_tls_handshake(pair[1]), TLS_WANTS_READ);
  CHECK_EQUAL(np_tls_handshake(pair[0]), expected);
}

TEST("np_tls_handshake() reads no byte behind the protocols of a client that has none of ours") {
  int pair[2];
  secure_pair(pair, "\10http/1.1", -EPROTO);
  np_close(pair[0]);
  np_close(pair[1]);
  secure_pair(pair, "\10http/1.1\2h2", 0);
  np_close(pair[0]);
  np_close(pair[1]);
}

TEST("np_tls_recv() refuses a peer that asks for new keys again and again, and reads no answer") {
  int (*update)(SSL *, int) = (int (*)(SSL *, int))dlsym(dlopen("libssl.so.3", RTLD_NOW), "SSL_key_update");
  for (int asks = 0; asks < 2; asks++) {
    int pair[2], size = 4096;
    int32_t numbers[2];
    uint8_t text[100];
    secure_pair(pair, "\2h2", 0);
    CHECK_EQUAL(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    uint32_t slab = (uint32_t)np_slab_map(2 << 20);
    struct tls_end *client = tls_end_of(pair[1]);
    int32_t code = -EAGAIN, n = 0;
    for (; n <= 2 * TLS_IDLE_MAX && code == -EAGAIN; n++) {
      CHECK_EQUAL(update(client->ssl, asks), 1);
      CHECK_EQUAL(tls.SSL_do_handshake(client->ssl), 1);
      if (n == 20) {  // a byte of data begins the count anew
        CHECK_EQUAL(np_tls_send_borrowed(pair[1], tls_bytes("x"), 1, 0, 1), 1);
        CHECK_EQUAL(np_tls_recv(pair[0], slab, 0, 100), 1);
      }
      code = np_tls_recv(pair[0], slab, 0, 100);
    }
    CHECK_EQUAL(code, -EPROTO);
    CHECK_EQUAL(n, 21 + TLS_IDLE_MAX / (1 + asks) + 1);
    np_tls_failure(pair[0], 0, numbers, text, sizeof text);
    CHECK_EQUAL(numbers[0], TLS_REASON_IDLE);
    np_close(pair[0]);
    np_close(pair[1]);
  }
}

TEST("np_tls_recv() refuses a peer that asks for more answers than there is room for, and reads none") {
  int (*update)(SSL *, int) = (int (*)(SSL *, int))dlsym(dlopen("libssl.so.3", RTLD_NOW), "SSL_key_update");
  int pair[2], size = 4096;
  int32_t numbers[2], code = 1;
  uint8_t text[100];
  secure_pair(pair, "\2h2", 0);
  CHECK_EQUAL(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
  uint32_t slab = (uint32_t)np_slab_map(2 << 20);
  struct tls_end *client = tls_end_of(pair[1]);
  for (int n = 0; n < 1000 && code > 0; n++) {
    for (int i = 0; i < 20; i++) {  // fewer in a row than are refused for that
      CHECK_EQUAL(update(client->ssl, 1), 1);
      CHECK_EQUAL(tls.SSL_do_handshake(client->ssl), 1);
    }
    CHECK_EQUAL(np_tls_send_borrowed(pair[1], tls_bytes("x"), 1, 0, 1), 1);
    code = np_tls_recv(pair[0], slab, 0, 100);
    CHECK(tls_end_of(pair[0])->left_bytes <= TLS_LEFT_BYTES_MAX);
  }
  CHECK_EQUAL(code, -EPROTO);
  np_tls_failure(pair[0], 0, numbers, text, sizeof text);
  CHECK_EQUAL(numbers[0], TLS_REASON_IDLE);
  np_close(pair[0]);
  np_close(pair[1]);
}

TEST("np_tls_recv() keeps an answer that the kernel does not take, and sends it ahead of the next record") {
  int (*update)(SSL *, int) = (int (*)(SSL *, int))dlsym(dlopen("libssl.so.3", RTLD_NOW), "SSL_key_update");
  int pair[2];
  secure_pair(pair, "\2h2", 0);
  uint32_t slab = (uint32_t)np_slab_map(2 << 20);
  uint8_t *bytes = calloc(1, 1 << 20);
  uint32_t out = 0, in = 0;
  int32_t count;
  while ((count = np_tls_send_borrowed(pair[0], bytes, 1 << 20, 0, 50000)) > 0) out += (uint32_t)count;
  CHECK_EQUAL(count, -EAGAIN);
  struct tls_end *client = tls_end_of(pair[1]);
  CHECK_EQUAL(update(client->ssl, 1), 1);
  CHECK_EQUAL(tls.SSL_do_handshake(client->ssl), 1);
  CHECK_EQUAL(np_tls_recv(pair[0], slab, 0, 100), -EAGAIN);
  CHECK(tls_end_of(pair[0])->left != NULL);
  while ((count = np_tls_recv(pair[1], slab, 0, 100000)) > 0) in += (uint32_t)count;
  count = np_tls_send_borrowed(pair[0], bytes, 1 << 20, 0, 50000);
  CHECK(count > 0);
  out += (uint32_t)count;
  CHECK(tls_end_of(pair[0])->left == NULL);
  while ((count = np_tls_recv(pair[1], slab, 0, 100000)) > 0) in += (uint32_t)count;
  CHECK_EQUAL(in, out);
  free(bytes);
  np_close(pair[0]);
  np_close(pair[1]);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_WATCHED true
#elif defined(__has_feature)
#define MEMORY_IS_WATCHED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define MEMORY_IS_WATCHED false
#endif

// Whether this process's memory has some bytes anywhere, all of them turned over in `turned`.
static bool is_in_memory(const uint8_t *turned, size_t length) {
  FILE *maps = fopen("/proc/self/maps", "r");
  int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  char line[512];
  bool is_found = false;
  while (maps && !is_found && fgets(line, sizeof line, maps)) {
    unsigned long from, to;
    char mode[8];
    if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w' || to - from > 64ul << 20) continue;
    uint8_t *copy = mmap(NULL, to - from, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ssize_t count = pread(memory, copy, to - from, (off_t)from);
    for (ssize_t at = 0; at + (ssize_t)length <= count && !is_found; at++) {
      size_t same = 0;
      while (same < length && (copy[at + (ssize_t)same] ^ turned[same]) == 0xff) same++;
      is_found = same == length;
    }
    munmap(copy, to - from);
  }
  if (maps) fclose(maps);
  close(memory);
  return is_found;
}

static void turn_over(uint8_t *to, const uint8_t *from, size_t length) {
  for (size_t i = 0; i < length; i++) to[i] = (uint8_t)~from[i];
}

TEST("np_tls_context_free() leaves neither the key of a certificate nor those of tickets in memory") {
  skip_without_tls();
  if (MEMORY_IS_WATCHED) SKIP("a sanitizer keeps freed memory");
  int pair[2];
  uint8_t cipher[32], mac[32];
  // The number that is the key of tls_test_key, turned over: its lower half with the lowest byte first, as OpenSSL
  // calculates with it, and its upper half as it is written.
  static const uint8_t low[16] = {
    0x18, 0xb3, 0x3e, 0xf7, 0x2d, 0xc6, 0xd4, 0xa1, 0x0e, 0x53, 0x13, 0x4f, 0xf9, 0xc9, 0xe7, 0x80,
  };
  static const uint8_t high[16] = {
    0x87, 0x90, 0x9f, 0xc7, 0x1f, 0x80, 0x50, 0x9e, 0x69, 0x99, 0x29, 0xc9, 0x6f, 0x98, 0x5a, 0xea,
  };
  secure_pair(pair, "\2h2", 0);
  struct tls_context *server = tls_end_of(pair[0])->context;
  turn_over(cipher, server->tickets[0].cipher, sizeof cipher);
  turn_over(mac, server->tickets[0].mac, sizeof mac);
  CHECK(server->tickets[0].since != 0);
  CHECK(is_in_memory(cipher, sizeof cipher));
  CHECK(is_in_memory(mac, sizeof mac));
  CHECK(is_in_memory(low, sizeof low));
  np_close(pair[0]);
  np_close(pair[1]);
  CHECK(!is_in_memory(cipher, sizeof cipher));
  CHECK(!is_in_memory(mac, sizeof mac));
  CHECK(!is_in_memory(low, sizeof low));
  CHECK(!is_in_memory(high, sizeof high));
}

TEST("np_tls_send() counts a record when all of it has left, whatever part the kernel takes") {
  uint8_t *bytes = calloc(1, 1 << 20);
  for (uint32_t length = 1000; length < 200000; length = length * 7 / 3) {
    int pair[2];
    secure_pair(pair, "\2h2", 0);
    uint32_t slab = (uint32_t)np_slab_map(2 << 20), out = 0, in = 0;
    for (int turn = 0; turn < 3; turn++) {
      int32_t count;
      while ((count = np_tls_send_borrowed(pair[0], bytes, 1 << 20, 0, length)) > 0) out += (uint32_t)count;
      CHECK_EQUAL(count, -EAGAIN);
      while ((count = np_tls_recv(pair[1], slab, 0, 100000)) > 0) in += (uint32_t)count;
      CHECK_EQUAL(count, -EAGAIN);
      CHECK_EQUAL(in, out);
    }
    np_close(pair[0]);
    np_close(pair[1]);
  }
  free(bytes);
}

#ifdef NP_FAULTS
TEST("np_tls_recv() and np_tls_handshake() go on when the kernel has had no memory for a while") {
  for (int32_t errors = 0; errors < 2; errors++) {
    int32_t server, client, code = errors ? -ENOBUFS : -ENOMEM;
    int pair[2];
    make_contexts(&server, &client);
    begin_tls(server, client, pair);
    np_tls_context_free(server);
    np_tls_context_free(client);
    CHECK_EQUAL(np_fault(FAULT_SEND, pair[1], 0, 1, code), 0);
    CHECK_EQUAL(np_tls_handshake(pair[1]), TLS_WANTS_WRITE);
    CHECK_EQUAL(np_fault(FAULT_RECV, pair[0], 0, 1, code), 0);
    CHECK_EQUAL(np_tls_handshake(pair[0]), TLS_WANTS_READ);
    shake_hands(pair[0], pair[1]);
    CHECK_EQUAL(np_tls_send_borrowed(pair[1], tls_bytes("hello"), 5, 0, 5), 5);
    uint32_t slab = a_slab();
    CHECK_EQUAL(np_fault(FAULT_RECV, pair[0], 0, 2, code), 0);
    CHECK_EQUAL(np_tls_recv(pair[0], slab, 0, 100), -EAGAIN);
    CHECK_EQUAL(np_tls_recv(pair[0], slab, 0, 100), -EAGAIN);
    CHECK_EQUAL(np_tls_recv(pair[0], slab, 0, 100), 5);
    np_close(pair[0]);
    np_close(pair[1]);
  }
}
#endif
