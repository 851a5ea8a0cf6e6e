// A server on epoll, level-triggered, a thread or several: connections, what they did not take yet,
// and who is read from. What is done with what they say is the mode's.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct connection {
  int fd;
  bool wants_out; // has not taken all its answers
  bool is_paused; // is not read from for another reason
  // Bytes that the client has not taken yet: only a slow one ever needs them.
  char *unsent;
  size_t unsent_bytes;
};

struct mode {
  const char *name;
  size_t connection_bytes; // of a struct that begins with a struct connection
  bool is_threadable;      // keeps nothing that two threads would share
  // One recv, and what follows from it; false when the connection is over.
  bool (*on_readable)(struct connection *c);
  // The rest may be NULL. Before the connection is freed; after all of its unsent bytes went out.
  void (*on_open)(struct connection *c);
  void (*on_close)(struct connection *c);
  void (*on_sent)(struct connection *c);
  // After each batch of events: how long to wait for the next, in milliseconds, -1 for ever.
  int (*on_turn)(void);
};

extern const struct mode echo_mode, framed_mode, tail_mode, broadcast_mode;

// The buffer for input, of this thread.
extern _Thread_local char *server_buffer;
extern size_t server_buffer_bytes;

_Noreturn void server_fail(const char *what);
// Sends, and keeps what the socket does not take; false when the connection is broken.
bool server_send(struct connection *c, const char *bytes, size_t count);
// True when the client is read from. It is not while it has not taken all its answers: that bounds what is
// unsent.
void server_pause(struct connection *c, bool is_paused);
// Ends a connection, outside of its own events.
void server_drop(struct connection *c);

// The thread that takes connections when there are several: one more, which hands them over in turn by
// adding them to the epoll of the thread that serves them, or each from a socket of its own (SO_REUSEPORT).
enum accepting { HANDOVER, REUSEPORT };

struct placement {
  int threads; // that serve; 0: the one that accepts serves, too
  enum accepting accepting;
};

// Prints "listening PORT" and serves until killed.
_Noreturn void server_run(const struct mode *mode, const char *host, int port, struct placement placement);
