// The calls of libnetpoll.c, each with arguments that are read from an input. native.c says which rules
// they obey.
#pragma once
#include "../../libnetpoll.c"

#include <assert.h>
#include <stdlib.h>

enum {
  FDS_MAX = 24,         // that a thread holds at a time
  RINGS_EACH = 4,
  WAKERS_EACH = 2,
  CONTEXTS_EACH = 4,
  FILES_MAX = 256,      // descriptors of the process: EMFILE is in reach
  CALLS_EACH_MAX = 200,
  WAIT_MICROS_MAX = 200,
  LENT_BYTES = 64 << 10,
  WITH_BOTH = 1,        // bits of the first byte
  WITH_TLS = 2,
  WITH_DATAGRAMS = 4,
};

// What an input is read from: zeros behind its end.
struct input { const uint8_t *at, *end; };

static uint8_t byte_of(struct input *from) {
  return from->at < from->end ? *from->at++ : 0;
}

// A number near an edge, or a small one, or any.
static uint32_t number_of(struct input *from) {
  static const uint32_t edges[] = {
    UINT32_MAX, INT32_MAX, (uint32_t)INT32_MIN, HUGE_PAGE_BYTES, HUGE_PAGE_BYTES - 1, HUGE_PAGE_BYTES + 1, 4096, 4095,
    65536, UINT32_MAX - 3, 2 * HUGE_PAGE_BYTES, SLABS_MAX, IOVECS_MAX, IOVECS_MAX + 1, EVENTS_MAX, EVENTS_MAX + 1,
  };
  uint8_t first = byte_of(from);
  if (first < 0xc0) return first;
  if (first < 0xf0) return edges[first % 16];
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) value = value << 8 | byte_of(from);
  return value;
}

static bool is_alone;  // whether an input runs on one thread only

struct waker_held { int32_t id, epoll, socket; };
struct context_held { int32_t id; bool is_used; };

// The runtime's own memory, of which a thread makes slabs.
static uint8_t lent[2][LENT_BYTES];

// What a thread has.
struct run {
  struct input in;
  int number;  // 0 or 1
  uint8_t kind;  // the first byte of the input
  int32_t fds[FDS_MAX];
  bool given[FDS_MAX];  // not the thread's any more: the end of it leaves the descriptor open
  struct waker_held wakers[WAKERS_EACH];
  int32_t rings[RINGS_EACH];  // that the thread has made, or joined
  bool made[RINGS_EACH];
  struct context_held contexts[CONTEXTS_EACH];
  uint32_t slab;
};

// ---- arguments ----------------------------------------------------------------------------------

static int32_t keep(struct run *run, int32_t fd) {
  if (fd < 0) return fd;
  for (int i = 0; i < FDS_MAX; i++) {
    if (run->fds[i] >= 0) continue;
    run->fds[i] = fd;
    run->given[i] = false;
    return fd;
  }
  np_close(fd);
  return -1;
}

static int slot_of(struct run *run) {
  return byte_of(&run->in) % FDS_MAX;
}

// A descriptor of this thread's, or what is none.
static int32_t fd_of(struct run *run) {
  static const int32_t none[] = {-1, INT32_MIN, INT32_MAX, OWNED_FDS, OWNED_FDS - 1, 1000, FILES_MAX};
  uint8_t choice = byte_of(&run->in);
  if (choice >= 0xf0) return none[choice % 7];
  return run->fds[choice % FDS_MAX];
}

// An array of exactly so many bytes, so that a byte more is seen.
static void *array_of(struct run *run, size_t bytes) {
  uint8_t *array = malloc(bytes ? bytes : 1);
  uint8_t fill = byte_of(&run->in);
  memset(array, fill, bytes ? bytes : 1);
  return array;
}

// Memory of another thread is not to be touched: whatever is there changes.
static uint32_t slab_of(struct run *run) {
  uint8_t choice = byte_of(&run->in);
  if (choice < 0xc0) return run->slab;
  return is_alone ? number_of(&run->in) : SLABS_MAX + number_of(&run->in) % SLABS_MAX;
}

static uint32_t *table_of(struct run *run, int32_t count) {
  uint32_t *table = array_of(run, (count > 0 && count <= IOVECS_MAX ? (size_t)count : 0) * 12);
  for (int32_t i = 0; count <= IOVECS_MAX && i < count; i++) {
    table[3 * i] = slab_of(run);
    table[3 * i + 1] = number_of(&run->in);
    table[3 * i + 2] = number_of(&run->in);
  }
  return table;
}

// An address of this machine, or none at all.
static struct address address_of(struct run *run) {
  struct address at = {0};
  uint8_t kind = byte_of(&run->in);
  at.scope = kind & 0x10 ? number_of(&run->in) : 0;
  if (kind & 0x20) {  // where somebody may listen
    np_name(fd_of(run), 0, &at);
  } else if (kind % 4 == 0) {
    at.family = AF_INET, at.length = 4;
    at.bytes[0] = 127, at.bytes[3] = 1;
  } else if (kind % 4 == 1) {
    at.family = AF_INET6, at.length = 16;
    at.bytes[15] = 1;
    if (kind & 8) memcpy(at.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
  } else if (kind % 4 == 2) {
    at.family = AF_UNIX;
    at.length = byte_of(&run->in) % 120;
    for (uint32_t i = 0; i < at.length && i < sizeof at.bytes; i++) {
      uint8_t next = byte_of(&run->in);
      at.bytes[i] = next == '/' ? '_' : next;
    }
    if (at.length > 1 && at.bytes[0] == 0) at.bytes[1] = 'z';  // nobody else's name
  } else {
    at.family = number_of(&run->in);
    at.length = number_of(&run->in);
    if (at.family == AF_INET || at.family == AF_INET6) at.length |= 32;
    if (at.family == AF_UNIX) at.length |= 128;
  }
  return at;
}

// ---- calls --------------------------------------------------------------------------------------

static void call_counters(struct run *run) {
  int32_t capacity = (int32_t)(byte_of(&run->in) % 10) - 1;
  double *out = array_of(run, (capacity > 0 ? (size_t)capacity : 0) * sizeof *out);
  np_counters(out, capacity);
  free(out);
  np_abi();
  np_now();
  np_pinned_max();
}

static void call_slab(struct run *run) {
  switch (byte_of(&run->in) % 5) {
    case 0: {
      int32_t slab = np_slab_map(byte_of(&run->in) & 1 ? HUGE_PAGE_BYTES : number_of(&run->in) % (8u << 20));
      if (slab >= 0) run->slab = (uint32_t)slab;
      break;
    }
    case 1: {
      uint32_t bytes = number_of(&run->in);
      int32_t slab = np_slab_register(lent[run->number], bytes > LENT_BYTES ? 0 : bytes);
      if (slab >= 0) run->slab = (uint32_t)slab;
      break;
    }
    case 2: np_slab_address(slab_of(run)); break;
    case 3: {
      // Pages, as the kernel gives them: memory of malloc is not to be wiped.
      uint32_t slab = run->slab;
      if (slab < SLABS_MAX && slabs[slab].is_mapped) np_slab_discard(slab);
      else np_slab_discard(SLABS_MAX + byte_of(&run->in));
      break;
    }
    default: np_slab_register(NULL, number_of(&run->in));
  }
}

static void call_find(struct run *run) {
  uint32_t bytes = byte_of(&run->in) % 9;
  uint8_t *needle = array_of(run, bytes);
  uint32_t length, offset = number_of(&run->in);
  int32_t at = np_find(slab_of(run), offset, length = number_of(&run->in), needle, bytes);
  assert(at < 0 || (uint32_t)at + bytes <= length);
  free(needle);
}

static void call_resolve(struct run *run) {
  static const char *const names[] = {
    "127.0.0.1", "::1", "0", "127.1", "fe80::1%1", "::ffff:1.2.3.4", "localhost", "::1%4294967295", "1.2.3.4%lo", "",
  };
  uint32_t capacity = byte_of(&run->in) % 4;
  struct address *out = array_of(run, capacity * sizeof *out);
  const char *name = names[byte_of(&run->in) % 10];
  assert(np_resolve(name, (int32_t)number_of(&run->in), out, capacity) <= (int32_t)capacity);
  free(out);
}

static void call_socket(struct run *run) {
  static const int32_t families[] = {AF_INET, AF_INET6, AF_UNIX};
  uint8_t family = byte_of(&run->in);
  int32_t fd = np_socket(family < 0xc0 ? families[family % 3] : -1);
  keep(run, fd);
}

static void call_socketpair(struct run *run) {
  int32_t *pair = array_of(run, 2 * sizeof *pair);
  if (np_socketpair(pair) == 0) keep(run, pair[0]), keep(run, pair[1]);
  free(pair);
}

static void call_bind(struct run *run) {
  struct address at = address_of(run);
  if (at.family == AF_INET || at.family == AF_INET6) at.port = 0;
  if (np_bind(fd_of(run), &at) < 0 || at.family != AF_UNIX || at.bytes[0] == 0) return;
  char path[sizeof at.bytes + 1] = {0};
  memcpy(path, at.bytes, at.length);
  unlink(path);
}

static void call_listen(struct run *run) {
  int32_t fd = fd_of(run);
  np_listen(fd, (int32_t)number_of(&run->in));
}

static void call_accept(struct run *run) {
  struct address *peer = array_of(run, sizeof *peer);
  keep(run, np_accept(fd_of(run), peer));
  free(peer);
}

static void call_connect(struct run *run) {
  struct address at = address_of(run);
  if (at.port == 0) at.port = 1;
  np_connect(fd_of(run), &at);
}

static void call_look(struct run *run) {
  int32_t fd = fd_of(run);
  struct address *out = array_of(run, sizeof *out);
  uint32_t *about = array_of(run, 3 * sizeof *about);
  switch (byte_of(&run->in) % 6) {
    case 0: np_readable(fd); break;
    case 1: np_unread(fd); break;
    case 2: np_unacked(fd); break;
    case 3: np_stat(fd, about); break;
    default: np_name(fd, byte_of(&run->in) & 1, out);
  }
  free(out);
  free(about);
}

// The options that src/net/socket.ts sets, and those that put something else into an error queue.
static void call_option(struct run *run) {
  static const int32_t options[][2] = {
    {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_ERROR}, {SOL_SOCKET, SO_SNDBUF}, {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_KEEPALIVE}, {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_TIMESTAMPING}, {SOL_SOCKET, SO_ZEROCOPY},
    {IPPROTO_TCP, 1}, {IPPROTO_TCP, 4}, {IPPROTO_TCP, 5}, {IPPROTO_TCP, 6}, {IPPROTO_TCP, 9}, {IPPROTO_TCP, 11},
    {IPPROTO_TCP, 12}, {IPPROTO_TCP, 18}, {IPPROTO_TCP, 23}, {IPPROTO_IPV6, IPV6_V6ONLY}, {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IPV6, IPV6_RECVERR}, {SOL_SOCKET, SO_ACCEPTCONN}, {-1, -1},
  };
  int32_t fd = fd_of(run);
  const int32_t *option = options[byte_of(&run->in) % 22];
  uint32_t bytes = byte_of(&run->in) % 65;
  int32_t *values = array_of(run, bytes);
  if (bytes >= 4) values[0] = (int32_t)number_of(&run->in);
  if (byte_of(&run->in) & 1) np_setsockopt(fd, option[0], option[1], values, bytes);
  else assert(np_getsockopt(fd, option[0], option[1], values, bytes) <= (int32_t)bytes);
  free(values);
}

static void call_shutdown(struct run *run) {
  int32_t fd = fd_of(run);
  if (byte_of(&run->in) & 1) np_shutdown(fd, (int32_t)number_of(&run->in));
  else np_disconnect(fd);
}

static bool is_watched(const struct run *run, int32_t fd) {
  for (int i = 0; i < WAKERS_EACH; i++) {
    if (run->wakers[i].id >= 0 && run->wakers[i].epoll == fd) return true;
  }
  return false;
}

static void call_close(struct run *run) {
  int slot = slot_of(run);
  if (run->fds[slot] < 0) {
    assert(np_close(-1) == -EBADF);
  } else if (!is_watched(run, run->fds[slot])) {
    np_close(run->fds[slot]);
    run->fds[slot] = -1;
  }
}

static bool has_tls(int32_t fd) {
  return tls_end_of(fd) != NULL;
}

static void call_own(struct run *run) {
  int slot = slot_of(run);
  switch (byte_of(&run->in) % 4) {
    case 0: {
      // With a waker that watches it, the descriptor would outlive what the waker's thread does.
      if (run->fds[slot] < 0 || is_watched(run, run->fds[slot]) || has_tls(run->fds[slot])) break;
      np_disown(run->fds[slot]);
      run->given[slot] = true;
      break;
    }
    case 1:
      if (run->fds[slot] >= 0 && np_adopt(run->fds[slot]) == 0) run->given[slot] = false;
      break;
    case 2: keep(run, np_dup(fd_of(run))); break;
    default: np_disown(-1), np_adopt(-1), np_disown(INT32_MAX);
  }
}

static void call_receive(struct run *run) {
  int32_t fd = fd_of(run);
  uint32_t slab = slab_of(run), offset = number_of(&run->in), length = number_of(&run->in);
  np_recv(fd, slab, offset, length);
  uint8_t array[64];
  np_recv_array(fd, array, sizeof array, offset, length & 1 ? MSG_PEEK : 0);
}

static void call_read_pieces(struct run *run) {
  int32_t fd = fd_of(run), count = (int32_t)(byte_of(&run->in) % 70) - 2;
  uint32_t *table = table_of(run, count);
  np_readv(fd, table, count);
  free(table);
}

static void call_send(struct run *run) {
  int32_t fd = fd_of(run);
  uint32_t slab = slab_of(run), offset = number_of(&run->in), length = number_of(&run->in);
  np_send(fd, slab, offset, length, (int32_t)number_of(&run->in));
}

static void call_send_pieces(struct run *run) {
  int32_t fd = fd_of(run), count = (int32_t)(byte_of(&run->in) % 70) - 2;
  uint32_t *table = table_of(run, count);
  switch (byte_of(&run->in) % 3) {
    case 0: np_sendmsg(fd, table, count, (int32_t)number_of(&run->in)); break;
    case 1: np_writev(fd, table, count); break;
    default: np_sendmsg_zero_copy(fd, table, count, byte_of(&run->in) & 1 ? MSG_MORE : 0);
  }
  free(table);
}

static void call_send_borrowed(struct run *run) {
  uint32_t bytes = byte_of(&run->in);
  uint8_t *array = array_of(run, bytes);
  uint32_t offset = number_of(&run->in), length = number_of(&run->in);
  np_send_borrowed(fd_of(run), array, bytes, offset, length, 0);
  free(array);
}

static int memory_file;

static void call_file(struct run *run) {
  int32_t fd = fd_of(run);
  uint32_t low = number_of(&run->in), high = byte_of(&run->in) % 4, length = number_of(&run->in);
  int32_t from = byte_of(&run->in) < 0xc0 ? memory_file : fd_of(run);
  uint8_t choice = byte_of(&run->in) & 3;
  if (choice == 0) np_pread(from, slab_of(run), number_of(&run->in), length, low, high);
  else if (choice == 1) np_pwrite(from, slab_of(run), number_of(&run->in), length % 65536, low, high);
  else if (choice == 2) np_splice_file(fd, from, low, high, length);
  else np_sendfile(fd, from, low, high, length);
}

static void call_pipe(struct run *run) {
  int32_t *pair = array_of(run, 2 * sizeof *pair);
  if (np_pipe(pair) == 0) {
    keep(run, pair[0]);
    np_pipe_resize(keep(run, pair[1]), number_of(&run->in));
  }
  free(pair);
}

static void call_splice(struct run *run) {
  int32_t from = fd_of(run), to = fd_of(run);
  np_splice(from, to, number_of(&run->in));
}

static void call_completions(struct run *run) {
  uint32_t *out = array_of(run, COMPLETIONS_MAX * COMPLETION_WORDS * sizeof *out);
  int32_t count = np_completions(fd_of(run), out);
  assert(count >= 0 && count <= COMPLETIONS_MAX);
  free(out);
}

static void call_epoll_create(struct run *run) {
  keep(run, np_epoll_create());
}

static void call_epoll_ctl(struct run *run) {
  int32_t epoll = fd_of(run), fd = fd_of(run), op = byte_of(&run->in) % 5;
  uint32_t token = number_of(&run->in), events = number_of(&run->in);
  if (byte_of(&run->in) & 1) events |= COMPLETIONS | EPOLLIN | EPOLLOUT;
  np_epoll_ctl(epoll, op, fd, token, events);
}

static void call_epoll_wait(struct run *run) {
  int32_t capacity = (int32_t)(byte_of(&run->in) % 8) - 1;
  if (byte_of(&run->in) == 0xff) capacity = EVENTS_MAX + 1;
  size_t pairs = capacity > 0 ? (size_t)capacity : 0;
  uint32_t *out = array_of(run, pairs * (2 + COMPLETIONS_MAX * COMPLETION_WORDS) * sizeof *out);
  int32_t seen = np_epoll_wait(fd_of(run), out, capacity, byte_of(&run->in) % WAIT_MICROS_MAX);
  assert(seen < 0 || (seen & 0xffff) <= capacity);
  assert(seen < 0 || seen >> 16 <= COMPLETIONS_MAX * capacity);
  free(out);
}

static void call_clock(struct run *run) {
  switch (byte_of(&run->in) % 5) {
    case 0: keep(run, np_eventfd()); break;
    case 1: keep(run, np_timerfd()); break;
    case 2: { int32_t fd = fd_of(run); np_timerfd_set(fd, number_of(&run->in)); break; }
    case 3: np_counter_add(fd_of(run)); break;
    default: np_counter_take(fd_of(run));
  }
}

static void close_waker(struct waker_held *held) {
  if (held->id < 0 || np_waker_close(held->id) < 0) return;
  close(held->socket);  // as the runtime does that had adopted it
  held->id = -1;
}

static void call_waker(struct run *run) {
  struct waker_held *held = &run->wakers[byte_of(&run->in) % WAKERS_EACH];
  switch (byte_of(&run->in) % 8) {
    case 0:
    case 1:
      if (held->id >= 0) break;
      held->epoll = fd_of(run);
      if (held->epoll < 0) break;
      held->id = np_waker_open(held->epoll);
      held->socket = np_waker_socket(held->id);
      break;
    case 2: np_waker_arm(held->id); break;
    case 3: np_waker_ring(held->id); break;
    case 4: np_waker_loop(held->id); break;
    case 5: close_waker(held); break;
    case 6: {
      int32_t none = byte_of(&run->in) & 1 ? WAKERS_MAX : -1;
      np_waker_arm(none), np_waker_ring(none), np_waker_loop(none), np_waker_close(none), np_waker_socket(none);
      break;
    }
    default:
      if (held->id >= 0) recv(held->socket, &(char){0}, 1, MSG_DONTWAIT);
  }
}
