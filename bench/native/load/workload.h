// The senders of a load, and the answers that count: callers or a broadcast.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "connection.h"

struct workload {
  // Connects, and waits for what the server must have seen before the time counts.
  void (*open)(void);
  // Closed loop: fills the pipelines.
  void (*start)(void);
  // Open loop: sends one message that was due at `due`; false when it had to be dropped.
  bool (*issue)(uint64_t due);
  // A connection to which an answer is owed, or NULL.
  const struct connection *(*owed)(void);
};

// Connections that each send messages and get them back.
extern const struct workload callers;
// One connection that sends, and others that each get what it sent.
extern const struct workload broadcast;

// The number of messages that may be on their way on one connection, as a power of two.
uint64_t workload_ring(void);
