// The calls of TLS, with arguments that are read from an input. An input may have certificates that are
// changed, contexts of both sides, ends at any step of a handshake, records that a man in the middle
// changes, and bytes that are no records at all.
//
// The rules that the callers obey: a context is complete before an end begins with it, and a descriptor
// with TLS stays its thread's.
#include "native_calls.h"
#include "../native/pem.h"

enum { STEPS_MAX = 6, PASSED_BYTES_MAX = 4096 };

// A context of this thread's, or a number of none.
static int32_t context_of(struct run *run) {
  uint8_t choice = byte_of(&run->in);
  if (choice >= 0xf8) return choice & 1 ? TLS_CONTEXTS_MAX : -1;
  return run->contexts[choice % CONTEXTS_EACH].id;
}

// A text, or a part of it, with some bytes changed.
static void use_text(struct run *run, int32_t id, int32_t what, const char *text) {
  uint32_t length = (uint32_t)strlen(text);
  uint8_t kind = byte_of(&run->in);
  if (kind & 0x80) length = number_of(&run->in) % (length + 1);
  uint8_t *copy = malloc(length ? length : 1);
  memcpy(copy, text, length);
  for (int i = kind & 3; i > 0 && length > 0; i--) {
    uint32_t at = (uint32_t)byte_of(&run->in) << 8 | byte_of(&run->in);
    copy[at % length] = byte_of(&run->in);
  }
  static const uint8_t password[] = "secret";
  np_tls_use(id, what, copy, length, password, kind & 0x40 ? sizeof password - 1 : 0);
  free(copy);
}

// From now on nobody changes the contexts that are there: they may be the names of others.
static void use_all(struct run *run) {
  for (int i = 0; i < CONTEXTS_EACH; i++) run->contexts[i].is_used = true;
}

static void fill_context(struct run *run, struct context_held *held) {
  uint8_t what = byte_of(&run->in) % 12;
  if (held->is_used) return;
  if (what == TLS_CHAIN || what == TLS_AUTHORITIES) return use_text(run, held->id, what, tls_test_certificate);
  if (what == TLS_KEY) return use_text(run, held->id, what, tls_test_key);
  if (what == TLS_PROTOCOLS || what == TLS_STATUS) {
    uint32_t length = byte_of(&run->in) % 40;
    uint8_t *bytes = array_of(run, length);  // its fill, if it is 1, makes names of one byte
    for (uint32_t i = 1; i < length; i += 2) bytes[i] = byte_of(&run->in) % 8;
    np_tls_use(held->id, what, bytes, length, bytes, 0);
    free(bytes);
    return;
  }
  if (what == 5) {
    static const char *const names[] = {"localhost", "*.a", "a.a", "*", "", "*.*", "A.a"};
    np_tls_name(held->id, names[byte_of(&run->in) % 7], context_of(run));
    return;
  }
  int32_t setting = (int32_t)(byte_of(&run->in) % 7) - 1;
  // The authorities of the machine take a while, and the key log is another file than the input's.
  if (setting == TLS_DISTRIBUTION) return;
  np_tls_set(held->id, setting, setting == TLS_KEY_LOG ? fd_of(run) : (int32_t)number_of(&run->in));
}

// A context that works, of either side.
static int32_t make_context(int32_t is_server, bool is_verified) {
  int32_t id = np_tls_context(is_server, 0x0303, 0x0304);
  const uint8_t *certificate = (const uint8_t *)tls_test_certificate, *key = (const uint8_t *)tls_test_key;
  uint32_t length = sizeof tls_test_certificate - 1;
  if (id < 0) return id;
  if (is_server) {
    np_tls_use(id, TLS_CHAIN, certificate, length, key, 0);
    np_tls_use(id, TLS_KEY, key, sizeof tls_test_key - 1, key, 0);
  }
  np_tls_use(id, TLS_AUTHORITIES, certificate, length, key, 0);
  np_tls_set(id, TLS_VERIFY, is_verified);
  return id;
}

static void call_tls_context(struct run *run) {
  struct context_held *held = &run->contexts[byte_of(&run->in) % CONTEXTS_EACH];
  uint8_t choice = byte_of(&run->in);
  switch (choice % 6) {
    case 0:
    case 1:
      if (held->id >= 0) break;
      held->is_used = false;
      if (choice & 0x80) held->id = make_context(choice & 1, choice & 0x40);
      else held->id = np_tls_context(choice & 1, 0x0300 + byte_of(&run->in) % 6, 0x0300 + byte_of(&run->in) % 6);
      break;
    case 2:
      np_tls_context_free(held->id);
      held->id = -1;
      break;
    case 3:
      np_tls_swap(held->id, context_of(run));
      use_all(run);
      break;
    default: fill_context(run, held);
  }
  np_tls_context_free(TLS_CONTEXTS_MAX);
}

// Whether it has begun.
static bool begin(struct run *run, int32_t fd, int32_t id) {
  static const char *const hosts[] = {"localhost", "", "a.a", "b.a", "else.where", "."};
  uint8_t choice = byte_of(&run->in);
  uint32_t ip_bytes = choice & 0x40 ? choice % 20 : 0;
  uint8_t *ip = array_of(run, ip_bytes);
  use_all(run);
  int32_t code = np_tls_begin(fd, id, hosts[choice % 6], ip, ip_bytes, choice & 0x20 ? "one" : "other");
  free(ip);
  return code == 0;
}

static void call_tls_begin(struct run *run) {
  int slot = slot_of(run);
  int32_t fd = run->given[slot] ? -1 : run->fds[slot];
  if (!begin(run, fd, context_of(run)) || !(byte_of(&run->in) & 1)) return;
  uint32_t length = byte_of(&run->in);
  uint8_t *early = array_of(run, length);
  for (uint32_t i = 0; i < length && i < 16; i++) early[i] = byte_of(&run->in);
  np_tls_feed(fd, early, length);
  free(early);
}

// Two ends of one stream, at some step of their handshake.
static void call_tls_pair(struct run *run) {
  int32_t pair[2];
  if (np_socketpair(pair) < 0) return;
  bool is_kept = keep(run, pair[0]) >= 0;
  is_kept = keep(run, pair[1]) >= 0 && is_kept;
  if (!is_kept) return;
  begin(run, pair[0], context_of(run));
  begin(run, pair[1], context_of(run));
  for (int i = byte_of(&run->in) % STEPS_MAX; i > 0; i--) np_tls_handshake(pair[1]), np_tls_handshake(pair[0]);
}

static void send_secret(struct run *run, int32_t fd) {
  if (byte_of(&run->in) & 1) {
    int32_t count = (int32_t)(byte_of(&run->in) % 70) - 2;
    uint32_t *table = table_of(run, count);
    np_tls_send(fd, table, count);
    free(table);
    return;
  }
  uint32_t bytes = byte_of(&run->in) & 1 ? 40000 : byte_of(&run->in);
  uint8_t *array = array_of(run, bytes);
  uint32_t offset = number_of(&run->in), length = number_of(&run->in);
  np_tls_send_borrowed(fd, array, bytes, offset, byte_of(&run->in) & 1 ? bytes - offset : length);
  free(array);
}

static void tell_about(struct run *run, int32_t fd) {
  uint32_t capacity = byte_of(&run->in);
  uint8_t *text = array_of(run, capacity);
  int32_t what = (int32_t)(byte_of(&run->in) % 9) - 1;
  assert(np_tls_about(fd, what, text, capacity) <= (int32_t)capacity);
  int32_t *numbers = array_of(run, 2 * sizeof *numbers);
  assert(np_tls_failure(fd, what, numbers, text, capacity) <= (int32_t)capacity);
  free(text);
  free(numbers);
}

static void call_tls(struct run *run) {
  int32_t fd = fd_of(run);
  switch (byte_of(&run->in) % 12) {
    case 0: case 1: case 2: np_tls_handshake(fd); break;
    case 3: np_tls_choose(fd, context_of(run)); break;
    case 4: case 5: {
      uint32_t slab = slab_of(run), offset = number_of(&run->in), length = number_of(&run->in);
      assert(np_tls_recv(fd, slab, offset, length) <= (int64_t)length);
      break;
    }
    case 6: case 7: send_secret(run, fd); break;
    case 8: np_tls_pending(fd), np_tls_timeout(fd); break;
    case 9: np_tls_shutdown(fd); break;
    default: tell_about(run, fd);
  }
}

// A man in the middle passes bytes on, of which he changes some, or says something of his own.
static void call_tls_between(struct run *run) {
  uint8_t bytes[PASSED_BYTES_MAX];
  int32_t from = fd_of(run), to = fd_of(run);
  uint8_t choice = byte_of(&run->in);
  ssize_t count = 0;
  if (choice & 0x80) {
    count = choice & 0x3f;
    for (ssize_t i = 0; i < count; i++) bytes[i] = byte_of(&run->in);
  } else if (from >= 0) {
    size_t most = choice & 0x40 ? number_of(&run->in) % sizeof bytes : sizeof bytes;
    count = recv(from, bytes, most, MSG_DONTWAIT);
  }
  for (int i = choice & 0x80 ? 0 : choice & 3; i > 0 && count > 0; i--) {
    uint32_t at = (uint32_t)byte_of(&run->in) << 8 | byte_of(&run->in);
    bytes[at % (size_t)count] ^= byte_of(&run->in);
  }
  if (count > 0 && to >= 0) send(to, bytes, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL);
}
