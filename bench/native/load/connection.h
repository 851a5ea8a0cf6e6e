// One connection of load: what it sends is known, and what it receives is compared.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct connection {
  void (*on_event)(struct connection *c, uint32_t events);
  int fd, id;
  bool wants_out, reads_by_clock; // by the clock: that bytes are there is no event
  uint64_t due_bytes, sent_bytes, received_bytes; // offsets in the streams
  const struct connection *source; // whose stream comes in: its own, unless told otherwise
};

// Once, before the first connection is opened.
void connections_prepare(void);
// Waits so long for something to happen, and tells whom it happened to. How many.
int connections_turn(int wait_ms);

// The fields above `fd` and those that choose are the caller's to set. True when it is connected:
// always, when `blocking`; otherwise an EPOLLOUT tells.
bool connection_open(struct connection *c, bool blocking);
// Ends the program unless the connect that was under way has worked.
void connection_opened(struct connection *c, uint32_t events);
// Sends what is due; what the socket does not take goes on with EPOLLOUT.
void connection_send(struct connection *c);
// One read of at most `limit` bytes into `connection_input`: how many came; 0 when none are there.
// They are not compared yet, because a stream may begin later. Ends the program when the server
// closed the connection.
size_t connection_read(struct connection *c, size_t limit);
// Compares the next `count` bytes of the source with those at `bytes`. Ends the program when they
// differ.
void connection_verify(struct connection *c, const char *bytes, size_t count);
// Reads and verifies.
size_t connection_receive(struct connection *c, size_t limit);
// Ends the program: what is wrong with this connection.
_Noreturn void connection_reject(const struct connection *c, const char *why);

#define CONNECTION_READ_BYTES (256 * 1024)
extern char connection_input[CONNECTION_READ_BYTES];
