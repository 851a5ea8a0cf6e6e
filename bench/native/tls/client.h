// A connection of load over TLS: what it sends is known, and what it receives is compared.
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

struct client {
  int fd, id;
  SSL *ssl;
  uint32_t interest;
  uint64_t due_bytes, sent_bytes, received_bytes; // offsets in its stream
  bool is_deaf;                                   // does not read
  SSL_SESSION *session;                           // the last one that its server gave it
};

// Once, before the first connection: the file of the authority that servers must have a certificate of.
void clients_prepare(const char *authority);
// Waits so long for something to happen, and goes on with those it happened to. `on_event` is called for each
// of them afterwards; it may close it and open it again.
void clients_turn(int wait_ms, void (*on_event)(struct client *c));

// Connects. With `resumes`, it goes on with its last session, once.
void client_open(struct client *c, const char *port, bool resumes);
// Makes so many more bytes due, and sends what leaves at once. The handshake comes first.
void client_ask(struct client *c, uint64_t bytes);
// Sends what is due and receives what is there.
void client_go_on(struct client *c);
// Waits until all that is due has left and come back.
void client_settle(struct client *c, double patience_seconds);
// Tells the server of the end, and closes.
void client_close(struct client *c);
// Ends the program: what is wrong with this connection.
_Noreturn void client_reject(const struct client *c, const char *why);
