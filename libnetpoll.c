// libnetpoll.c: the Linux system calls of netpoll, and the little that must live beside them.
//
// Most functions are one system call. Each returns a value >= 0, or -errno. EINTR is retried; what
// "not ready" or "end of file" means for a connection is TypeScript's business (src/connection/).
//
// Four things are decided here, because no JavaScript runs when they are needed:
// - owners: every descriptor has the thread that opened it, and is closed when that thread ends;
// - wakers: a thread of C waits for a poller's events and wakes the runtime's own loop;
// - rings: a queue without a lock hands descriptors from one Worker to another;
// - counters: each system call that is made is counted, for metrics().
//
// C never trusts an address from JavaScript. Memory travels as (slab, offset, length) and is looked
// up and bounds-checked here: -EFAULT otherwise. The one exception is a *borrowed* array, the
// user's own: it arrives as a pointer that the runtime made for this call, and no address of it
// outlives the call.
//
// Signatures stay within int32_t, uint32_t, double and pointers, because those are what both
// runtimes call without boxing (docs/decisions/0003-native-boundary.md). ffi/symbols.ts mirrors
// this file.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

// Raised with every change that ffi/symbols.ts must follow; the loader refuses any other number.
enum { ABI = 12 };

enum {
  SLABS_MAX = 1 << 14,   // 32 GiB of 2 MiB slabs
  WAKERS_MAX = 1 << 10,  // one a poller
  IOVECS_MAX = 64,       // pieces a readv, writev or sendmsg takes
  EVENTS_MAX = 256,      // events an epoll_wait returns
  ADDRESS_BYTES = 16,    // the longest numeric address, IPv6
  HUGE_PAGE_BYTES = 2 << 20,
  WAKER_STACK_BYTES = 256 << 10,  // what is not touched costs nothing; glibc on arm64 refuses less than 128 KiB
  RESOLVE_BASE = 4096,   // getaddrinfo's codes start behind the last errno
  COMPLETIONS_MAX = 4,   // notifications taken from one socket at a time: each may be a range of many sends
  COMPLETION_WORDS = 4,
  CONTROL_BYTES = 512,   // a notification that does not fit is lost (recvmsg(2), MSG_CTRUNC); the longest has 296
  OWNERS_MAX = 1 << 12,  // threads that hold something at a time
  OWNED_FDS = 1 << 20,   // descriptors from here on are nobody's
  RINGS_MAX = 1 << 10,   // one a Worker
  RING_NUMBER_MAX = INT32_MAX - RINGS_MAX,
  RING_SLOTS = 1 << 10,  // descriptors on their way to one Worker; a power of two
  WAKE_TRIES_MAX = 100,  // a millisecond apart; a runtime that closed its end refuses all of them
  DATAGRAMS_MAX = 64,    // datagrams, or trains of them, that one recvmmsg or sendmmsg takes
  DATAGRAM_CONTROL_BYTES = 192,  // what the kernel says of one that came: at most 152 with every option
  CACHE_LINE = 64,       // what one thread writes lies apart from what others read or write
};

static int32_t result(int64_t value) {
  return value < 0 ? -errno : (int32_t)value;
}

// The call again for as long as a signal interrupts it.
#define RETRY(call)                                \
  ({                                               \
    int64_t value_;                                \
    do value_ = (call); while (value_ < 0 && errno == EINTR); \
    result(value_);                                \
  })

EXPORT int32_t np_abi(void) {
  return ABI;
}

// ---- counters -----------------------------------------------------------------------------------

// The calls that are counted. ffi/symbols.ts has this list, and a test compares.
enum call {
  CALL_SOCKET, CALL_ACCEPT, CALL_CONNECT, CALL_EPOLL_CTL, CALL_EPOLL_WAIT, CALL_RECV, CALL_SEND, CALL_OPEN,
  CALL_PIPE, CALL_PREAD, CALL_PWRITE, CALL_SENDFILE, CALL_SPLICE, CALL_SEND_ZERO_COPY, CALLS,
};

// The counts of this thread's calls of each kind: how many, the sum of what they returned, how many were
// not ready. Then waits by how many events they brought (powers of two), and failures by errno.
enum { BATCHES = 3 * CALLS, ERRORS = BATCHES + 10, COUNTERS = ERRORS + 134 };
static _Thread_local uint64_t counters[COUNTERS];

static int32_t counted(enum call call, int32_t value) {
  counters[3 * call]++;
  if (value >= 0) counters[3 * call + 1] += (uint32_t)value;
  else if (value == -EAGAIN || value == -EINPROGRESS) counters[3 * call + 2]++;
  else if (value > ERRORS - COUNTERS) counters[ERRORS - value]++;
  return value;
}

// The counters of this thread, up to `capacity` of them, go to `out`. How many there are.
EXPORT int32_t np_counters(double *out, int32_t capacity) {
  for (int32_t i = 0; i < capacity && i < COUNTERS; i++) out[i] = (double)counters[i];
  return COUNTERS;
}

// ---- owners -------------------------------------------------------------------------------------

// A descriptor belongs to the thread that opened it until it is closed or given away. A Worker may be terminated
// between any two instructions of its JavaScript, and then nobody is left who knows what it held:
// the end of the thread gives it all back, as the end of a process does. Number 0 is nobody.
static atomic_bool owners[OWNERS_MAX];
static _Atomic uint16_t owner_of[OWNED_FDS];
static atomic_int owned_fds;  // above every descriptor that ever had an owner
static pthread_key_t owner_key;
static bool has_owner_key;
static pthread_once_t owner_once = PTHREAD_ONCE_INIT;

static void give_back(void *owner);

static void make_owner_key(void) {
  has_owner_key = pthread_key_create(&owner_key, give_back) == 0;
}

// The number of this thread. Nobody's when there are too many, or the thread has no room to keep it: then it
// gets nothing that its end would have to give back.
static uint16_t this_thread(void) {
  pthread_once(&owner_once, make_owner_key);
  if (!has_owner_key) return 0;
  uintptr_t owner = (uintptr_t)pthread_getspecific(owner_key);
  for (uintptr_t id = 1; owner == 0 && id < OWNERS_MAX; id++) {
    bool expected = false;
    if (!atomic_compare_exchange_strong(&owners[id], &expected, true)) continue;
    if (pthread_setspecific(owner_key, (void *)id) == 0) owner = id;
    else return atomic_store(&owners[id], false), 0;
  }
  return (uint16_t)owner;
}

static int32_t set_owner(int32_t fd, uint16_t owner) {
  if (fd < 0 || fd >= OWNED_FDS) return fd;
  atomic_store(&owner_of[fd], owner);
  int known = atomic_load(&owned_fds);
  while (fd >= known && !atomic_compare_exchange_weak(&owned_fds, &known, fd + 1)) {}
  return fd;
}

// The descriptor, or the error, that a call returned: this thread's from now on.
static int32_t own(int32_t fd) {
  if (fd < 0) return fd;
  uint16_t owner = this_thread();
  if (owner) return set_owner(fd, owner);
  close(fd);
  return -ENOMEM;
}

// 0, or the error, of a call that made two descriptors.
static int32_t own_both(int32_t code, const int32_t *fds) {
  if (code < 0) return code;
  if (own(fds[0]) >= 0) return own(fds[1]) < 0 ? -ENOMEM : 0;
  close(fds[1]);
  return -ENOMEM;
}

// Give a descriptor away: the end of this thread leaves it open. The descriptor.
EXPORT int32_t np_disown(int32_t fd) {
  return set_owner(fd, 0);
}

// ---- slabs --------------------------------------------------------------------------------------

// A slab is never unmapped: a stale view in JavaScript may read recycled bytes, it can never fault.
static struct slab {
  _Atomic(uint8_t *) base;
  uint32_t bytes;
  bool is_mapped;  // not the runtime's own memory
  _Atomic uint16_t owner;
} slabs[SLABS_MAX];
static atomic_int slab_count, spare_slabs, free_slabs;

// The owner of a slab whose thread has ended: its memory is there (SPARE), or only its number (FREE).
enum { SPARE = UINT16_MAX, FREE = SPARE - 1 };

// Null unless the piece lies inside the slab.
static uint8_t *piece(uint32_t slab, uint32_t offset, uint32_t length) {
  if (slab >= SLABS_MAX) return NULL;
  uint8_t *base = atomic_load_explicit(&slabs[slab].base, memory_order_acquire);
  if (!base || (uint64_t)offset + length > slabs[slab].bytes) return NULL;
  return base + offset;
}

// A number whose memory went with its thread, or one that nobody had; -ENOMEM when all are in use.
static int32_t take_slab_number(void) {
  for (int id = 0; atomic_load(&free_slabs) > 0 && id < SLABS_MAX && id < atomic_load(&slab_count); id++) {
    uint16_t expected = FREE;
    if (!atomic_compare_exchange_strong(&slabs[id].owner, &expected, this_thread())) continue;
    atomic_fetch_sub(&free_slabs, 1);
    return id;
  }
  int id = atomic_fetch_add(&slab_count, 1);
  if (id < SLABS_MAX) return id;
  atomic_fetch_sub(&slab_count, 1);
  return -ENOMEM;
}

// Sizes stay below 2^31: every offset and count must fit the int32_t that comes back.
static int32_t publish_slab(uint8_t *base, uint32_t bytes, bool is_mapped) {
  if (!base || bytes == 0 || bytes > INT32_MAX) return -EINVAL;
  if (!this_thread()) return -ENOMEM;
  int32_t id = take_slab_number();
  if (id < 0) return id;
  slabs[id].bytes = bytes;
  slabs[id].is_mapped = is_mapped;
  atomic_store(&slabs[id].owner, this_thread());
  atomic_store_explicit(&slabs[id].base, base, memory_order_release);
  return id;
}

// A slab of that size whose thread has ended, or -1.
static int32_t take_spare(uint32_t bytes) {
  if (atomic_load(&spare_slabs) == 0 || !this_thread()) return -1;
  for (int id = 0; id < SLABS_MAX && id < atomic_load(&slab_count); id++) {
    uint16_t expected = SPARE;
    if (atomic_load(&slabs[id].owner) != SPARE || slabs[id].bytes != bytes) continue;
    if (!atomic_compare_exchange_strong(&slabs[id].owner, &expected, this_thread())) continue;
    atomic_fetch_sub(&spare_slabs, 1);
    return id;
  }
  return -1;
}

// Map a slab of zeroed memory, aligned to a huge page. Its number, or -errno.
EXPORT int32_t np_slab_map(uint32_t bytes) {
  if (bytes == 0 || bytes > INT32_MAX || bytes % HUGE_PAGE_BYTES) return -EINVAL;
  int32_t spare = take_spare(bytes);
  if (spare >= 0) return spare;
  size_t room = (size_t)bytes + HUGE_PAGE_BYTES;
  uint8_t *from = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (from == MAP_FAILED) return -errno;
  size_t before = -(uintptr_t)from % HUGE_PAGE_BYTES;
  uint8_t *base = from + before;
  if (before) munmap(from, before);
  if (room - before - bytes) munmap(base + bytes, room - before - bytes);
  madvise(base, bytes, MADV_HUGEPAGE);  // refused where huge pages are off: no error of ours
  int32_t id = publish_slab(base, bytes, true);
  if (id < 0) munmap(base, bytes);
  return id;
}

// Make memory of the runtime a slab. The caller keeps it alive and in place for ever. Its number.
EXPORT int32_t np_slab_register(uint8_t *base, uint32_t bytes) {
  return publish_slab(base, bytes, false);
}

// The address of a slab, for the runtime to wrap; null for no such slab.
EXPORT void *np_slab_address(uint32_t slab) {
  return piece(slab, 0, 0);
}

// Give the pages back to the kernel; the mapping stays and reads as zeros. -EINVAL for memory of
// the runtime that is not whole pages: madvise would round up and wipe what follows it.
EXPORT int32_t np_slab_discard(uint32_t slab) {
  uint8_t *base = piece(slab, 0, 0);
  if (!base) return -EFAULT;
  if (slabs[slab].bytes % (uint32_t)sysconf(_SC_PAGESIZE)) return -EINVAL;
  return result(madvise(base, slabs[slab].bytes, MADV_DONTNEED));
}

// The first place of the needle in the piece, -1 without one, or -EFAULT.
EXPORT int32_t np_find(uint32_t slab, uint32_t offset, uint32_t length, const uint8_t *needle, uint32_t needle_bytes) {
  const uint8_t *from = piece(slab, offset, length);
  if (!from) return -EFAULT;
  if (needle_bytes == 0) return -1;
  const uint8_t *at = needle_bytes == 1 ? memchr(from, needle[0], length)
                                        : memmem(from, length, needle, needle_bytes);
  return at ? (int32_t)(at - from) : -1;
}

// ---- addresses ----------------------------------------------------------------------------------

// An address in JavaScript: {family, port, scope, length} and then `length` bytes: 4 of IPv4, 16 of
// IPv6, or the path of a Unix socket (a leading 0 byte for an abstract one).
struct address { uint32_t family, port, scope, length; uint8_t bytes[108]; };

// The addresses of a connection, its peer's and ours: of family 0 when nobody has asked. Then the bounds of the
// PROXY header that comes before its bytes: no more milliseconds and bytes than that, 0 bytes where none comes.
struct ends { struct address peer, local; uint32_t header_ms, header_bytes; };

_Static_assert(sizeof(struct address) == 124, "src/net/address.ts relies on this size");

static socklen_t to_kernel(const struct address *from, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  to->ss_family = (sa_family_t)from->family;
  if (from->family == AF_INET && from->length == 4) {
    struct sockaddr_in *in = (void *)to;
    in->sin_port = htons((uint16_t)from->port);
    memcpy(&in->sin_addr, from->bytes, 4);
    return sizeof *in;
  }
  if (from->family == AF_INET6 && from->length == 16) {
    struct sockaddr_in6 *in6 = (void *)to;
    in6->sin6_port = htons((uint16_t)from->port);
    in6->sin6_scope_id = from->scope;
    memcpy(&in6->sin6_addr, from->bytes, 16);
    return sizeof *in6;
  }
  if (from->family == AF_UNIX && from->length > 0 && from->length <= sizeof from->bytes) {
    struct sockaddr_un *un = (void *)to;
    memcpy(un->sun_path, from->bytes, from->length);
    // A path ends at its 0 byte, which need not fit; an abstract name is all of its bytes.
    uint32_t terminator = from->bytes[0] && from->length < sizeof un->sun_path ? 1 : 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + from->length + terminator);
  }
  return 0;
}

static void from_kernel(const struct sockaddr_storage *from, socklen_t length, struct address *to) {
  to->family = from->ss_family;
  to->port = to->scope = to->length = 0;
  if (from->ss_family == AF_INET) {
    const struct sockaddr_in *in = (const void *)from;
    to->port = ntohs(in->sin_port);
    to->length = 4;
    memcpy(to->bytes, &in->sin_addr, 4);
  } else if (from->ss_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const void *)from;
    to->port = ntohs(in6->sin6_port);
    to->scope = in6->sin6_scope_id;
    to->length = 16;
    memcpy(to->bytes, &in6->sin6_addr, 16);
  } else if (from->ss_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path)) {
    const struct sockaddr_un *un = (const void *)from;
    size_t bytes = length - offsetof(struct sockaddr_un, sun_path);
    // The kernel counts the 0 byte after a path of 108 bytes, which lies behind the array (unix(7),
    // BUGS).
    if (bytes > sizeof un->sun_path) bytes = sizeof un->sun_path;
    if (un->sun_path[0]) bytes = strnlen(un->sun_path, bytes);
    to->length = (uint32_t)bytes;
    memcpy(to->bytes, un->sun_path, bytes);
  }
}

// Look a host name up (getaddrinfo, blocking), at most `capacity` addresses of a stream socket. How
// many, or -(RESOLVE_BASE - code) with getaddrinfo's own negative code.
EXPORT int32_t np_resolve(const char *name, int32_t family, struct address *out, uint32_t capacity) {
  struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *list;
  int code = getaddrinfo(name, NULL, &hints, &list);
  if (code == EAI_SYSTEM) return -errno;
  if (code) return -(RESOLVE_BASE - code);
  uint32_t count = 0;
  for (struct addrinfo *at = list; at && count < capacity; at = at->ai_next) {
    struct sockaddr_storage storage = {0};
    memcpy(&storage, at->ai_addr, at->ai_addrlen);
    from_kernel(&storage, at->ai_addrlen, &out[count++]);
  }
  freeaddrinfo(list);
  return (int32_t)count;
}

// ---- sockets ------------------------------------------------------------------------------------

// A stream socket, non-blocking and close-on-exec. Its descriptor.
EXPORT int32_t np_socket(int32_t family) {
  return own(counted(CALL_SOCKET, result(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))));
}

// A datagram socket, non-blocking and close-on-exec. Its descriptor.
EXPORT int32_t np_datagram_socket(int32_t family) {
  return own(counted(CALL_SOCKET, result(socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))));
}

// Two connected Unix stream sockets, written to `out`.
EXPORT int32_t np_socketpair(int32_t *out) {
  return own_both(result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, out)), out);
}

EXPORT int32_t np_bind(int32_t fd, const struct address *address) {
  struct sockaddr_storage storage;
  socklen_t length = to_kernel(address, &storage);
  if (length == 0) return -EINVAL;
  return result(bind(fd, (void *)&storage, length));
}

EXPORT int32_t np_listen(int32_t fd, int32_t backlog) {
  return result(listen(fd, backlog));
}

// Take a connection, non-blocking and close-on-exec, and write down who it is from. Its descriptor.
EXPORT int32_t np_accept(int32_t fd, struct address *peer) {
  struct sockaddr_storage storage = {0};
  socklen_t length = sizeof storage;
  int32_t taken = RETRY(accept4(fd, (void *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (taken >= 0) from_kernel(&storage, length, peer);
  counted(CALL_ACCEPT, taken < 0 ? taken : 1);
  return own(taken);
}

// 1 if there is something to read, to accept, or an error to hear of, and 0 if not. A tenth of what an
// accept costs that finds nothing, for that makes the socket first (net/socket.c, do_accept).
EXPORT int32_t np_readable(int32_t fd) {
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  return RETRY(poll(&waiting, 1, 0));
}

// Bytes that were received and not read (tcp(7), unix(7): SIOCINQ).
EXPORT int32_t np_unread(int32_t fd) {
  int bytes = 0;
  int32_t code = result(ioctl(fd, SIOCINQ, &bytes));
  return code < 0 ? code : bytes;
}

// Begin to connect: 0 when it is done at once, -EINPROGRESS when epoll will tell. An interrupted
// connect goes on by itself and must not be repeated (POSIX connect), so EINTR is the same as
// EINPROGRESS.
EXPORT int32_t np_connect(int32_t fd, const struct address *address) {
  struct sockaddr_storage storage;
  socklen_t length = to_kernel(address, &storage);
  if (length == 0) return -EINVAL;
  int32_t code = result(connect(fd, (void *)&storage, length));
  return counted(CALL_CONNECT, code == -EINTR ? -EINPROGRESS : code);
}

// The address of this end (peer 0) or of the other (peer 1).
EXPORT int32_t np_name(int32_t fd, int32_t peer, struct address *out) {
  struct sockaddr_storage storage = {0};
  socklen_t length = sizeof storage;
  int code = peer ? getpeername(fd, (void *)&storage, &length) : getsockname(fd, (void *)&storage, &length);
  if (code < 0) return -errno;
  from_kernel(&storage, length, out);
  return 0;
}

EXPORT int32_t np_setsockopt(int32_t fd, int32_t level, int32_t name, const int32_t *values, uint32_t bytes) {
  return result(setsockopt(fd, level, name, values, bytes));
}

enum { STEER_BYTES_MAX = 20, STEER_STEPS_MAX = 4 * STEER_BYTES_MAX + 16 };

// Choose the socket of a group (SO_REUSEPORT) by a range of bytes of each datagram: its place in the order in which
// they were bound. One byte is divided by the number of sockets, and the rest is the place; more are hashed before
// (steering.ts has the same: FNV-1a, and the last step of MurmurHash3, without which only low bits would count). For
// all sockets of the group. A load behind the end of a datagram ends the program with 0, the first socket.
EXPORT int32_t np_steer(int32_t fd, uint32_t offset, uint32_t length, uint32_t count) {
  if (count == 0 || length == 0 || length > STEER_BYTES_MAX) return -EINVAL;
  struct sock_filter code[STEER_STEPS_MAX];
  uint16_t steps = 0;
#define STEP(operation, value) code[steps++] = (struct sock_filter)BPF_STMT(operation, value)
  if (length == 1) {
    STEP(BPF_LD | BPF_B | BPF_ABS, offset);
  } else {
    STEP(BPF_LD | BPF_IMM, 0x811c9dc5);
    for (uint32_t i = 0; i < length; i++) {
      STEP(BPF_MISC | BPF_TAX, 0);
      STEP(BPF_LD | BPF_B | BPF_ABS, offset + i);
      STEP(BPF_ALU | BPF_XOR | BPF_X, 0);
      STEP(BPF_ALU | BPF_MUL | BPF_K, 0x01000193);
    }
    static const struct { uint32_t shift, factor; } mix[] = {{16, 0x85ebca6b}, {13, 0xc2b2ae35}, {16, 1}};
    for (uint32_t i = 0; i < 3; i++) {
      STEP(BPF_MISC | BPF_TAX, 0);
      STEP(BPF_ALU | BPF_RSH | BPF_K, mix[i].shift);
      STEP(BPF_ALU | BPF_XOR | BPF_X, 0);
      STEP(BPF_ALU | BPF_MUL | BPF_K, mix[i].factor);
    }
  }
  STEP(BPF_ALU | BPF_MOD | BPF_K, count);
  STEP(BPF_RET | BPF_A, 0);
#undef STEP
  struct sock_fprog program = {.len = steps, .filter = code};
  return result(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program));
}

// The option's bytes go to `values`; how many there were.
EXPORT int32_t np_getsockopt(int32_t fd, int32_t level, int32_t name, int32_t *values, uint32_t bytes) {
  socklen_t length = bytes;
  int32_t code = result(getsockopt(fd, level, name, values, &length));
  return code < 0 ? code : (int32_t)length;
}

// `how`: 0 ends reading, 1 writing, 2 both.
EXPORT int32_t np_shutdown(int32_t fd, int32_t how) {
  return result(shutdown(fd, how));
}

// Bytes of a TCP socket that its peer has not acknowledged, sent or not, and the end of sending as one
// (tcp(7), SIOCOUTQ). Other sockets count memory in its place.
EXPORT int32_t np_unacked(int32_t fd) {
  int bytes = 0;
  int32_t code = result(ioctl(fd, SIOCOUTQ, &bytes));
  return code < 0 ? code : bytes;
}

static void tls_close(int32_t fd, bool in_order);

// Close. Never repeated after EINTR: Linux has released the descriptor by then (close(2)).
EXPORT int32_t np_close(int32_t fd) {
  tls_close(fd, true);
  set_owner(fd, 0);  // first: once it is closed the number may be another thread's
  int32_t code = result(close(fd));
  return code == -EINTR ? 0 : code;
}

// Make somebody else's descriptor ours: non-blocking and close-on-exec.
EXPORT int32_t np_adopt(int32_t fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
  uint16_t owner = this_thread();
  set_owner(fd, owner);
  return owner ? 0 : -ENOMEM;
}

// ---- bytes --------------------------------------------------------------------------------------

// A scatter/gather list from JavaScript: `count` triplets of (slab, offset, length). 0, or -errno. (The
// kernel moves less than 2^31 bytes in one call: read(2), NOTES.)
static int32_t gather(const uint32_t *table, int32_t count, struct iovec *pieces) {
  if (count < 0 || count > IOVECS_MAX) return -EINVAL;
  for (int32_t i = 0; i < count; i++, table += 3) {
    uint8_t *base = piece(table[0], table[1], table[2]);
    if (!base) return -EFAULT;
    pieces[i] = (struct iovec){base, table[2]};
  }
  return 0;
}

static int32_t receive(int32_t fd, uint8_t *to, uint32_t length) {
  return counted(CALL_RECV, RETRY(recv(fd, to, length, 0)));
}

// Receive into one piece of a socket's memory. Bytes, 0 at the end, or -errno.
EXPORT int32_t np_recv(int32_t fd, uint32_t slab, uint32_t offset, uint32_t length) {
  uint8_t *base = piece(slab, offset, length);
  if (!base) return -EFAULT;
  return receive(fd, base, length);
}

// Receive to the end of a user's array, from `offset` on, or only look (MSG_PEEK). Bytes, 0 at the end, or -errno.
EXPORT int32_t np_recv_array(int32_t fd, uint8_t *array, uint32_t bytes, uint32_t offset, int32_t flags) {
  if (offset > bytes) return -EFAULT;
  int32_t count = RETRY(recv(fd, array + offset, bytes - offset, flags));
  bool was_look = (flags & MSG_PEEK) && count > 0;  // what it has seen is counted when it is received
  counted(CALL_RECV, was_look ? 0 : count);
  return count;
}

// Read into several pieces, from any kind of descriptor.
EXPORT int32_t np_readv(int32_t fd, const uint32_t *table, int32_t count) {
  struct iovec pieces[IOVECS_MAX];
  int32_t code = gather(table, count, pieces);
  if (code < 0) return code;
  return counted(CALL_RECV, RETRY(readv(fd, pieces, count)));
}

// Send one piece. SIGPIPE never: a closed peer is -EPIPE.
EXPORT int32_t np_send(int32_t fd, uint32_t slab, uint32_t offset, uint32_t length, int32_t flags) {
  uint8_t *base = piece(slab, offset, length);
  if (!base) return -EFAULT;
  return counted(CALL_SEND, RETRY(send(fd, base, length, flags | MSG_NOSIGNAL)));
}

static int32_t send_pieces(enum call call, int32_t fd, const uint32_t *table, int32_t count, int32_t flags) {
  struct iovec pieces[IOVECS_MAX];
  int32_t code = gather(table, count, pieces);
  if (code < 0) return code;
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
  return counted(call, RETRY(sendmsg(fd, &message, flags | MSG_NOSIGNAL)));
}

// Send several pieces in one call.
EXPORT int32_t np_sendmsg(int32_t fd, const uint32_t *table, int32_t count, int32_t flags) {
  return send_pieces(CALL_SEND, fd, table, count, flags);
}

// Descriptors in one message: the kernel's own bound (net/core/scm.h, SCM_MAX_FD).
enum { RIGHTS_MAX = 253 };

// Room for the descriptors of one message, and for what a socket may have been told to add: credentials, a pidfd.
union rights {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(RIGHTS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
};

// Send several pieces, the first byte with descriptors (unix(7), SCM_RIGHTS), which stay open here. They have left
// when one byte has.
EXPORT int32_t np_send_rights(int32_t fd, const uint32_t *table, int32_t count, const int32_t *fds, int32_t fd_count) {
  struct iovec pieces[IOVECS_MAX];
  union rights control = {0};
  int32_t code = gather(table, count, pieces);
  if (code < 0) return code;
  if (fd_count < 1 || fd_count > RIGHTS_MAX) return -EINVAL;
  size_t bytes = (size_t)fd_count * sizeof *fds;
  control.header = (struct cmsghdr){CMSG_LEN(bytes), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.header), fds, bytes);
  struct msghdr message = {
    .msg_iov = pieces, .msg_iovlen = (size_t)count, .msg_control = &control, .msg_controllen = CMSG_SPACE(bytes),
  };
  return counted(CALL_SEND, RETRY(sendmsg(fd, &message, MSG_NOSIGNAL)));
}

// The descriptors of a message, this thread's from now on, go to `out`; of those that nobody can own, none does.
static int32_t take_rights(struct msghdr *message, int32_t *out) {
  int32_t count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t bytes = header->cmsg_len - CMSG_LEN(0);
    for (size_t at = 0; at + sizeof(int) <= bytes && count < RIGHTS_MAX; at += sizeof(int)) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
      if (own(fd) >= 0) out[count++] = fd;
    }
  }
  return count;
}

// Receive into one piece, with the descriptors that came with it, close-on-exec: {how many, whether more came than
// there was room for, each of them} go to `out`. Bytes, 0 at the end, or -errno.
EXPORT int32_t np_recv_rights(int32_t fd, uint32_t slab, uint32_t offset, uint32_t length, int32_t *out) {
  union rights control;
  struct iovec to = {piece(slab, offset, length), length};
  out[0] = out[1] = 0;
  if (!to.iov_base) return -EFAULT;
  struct msghdr message = {
    .msg_iov = &to, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
  };
  int32_t code = counted(CALL_RECV, RETRY(recvmsg(fd, &message, MSG_CMSG_CLOEXEC)));
  if (code < 0) return code;
  out[0] = take_rights(&message, out + 2);
  out[1] = (message.msg_flags & MSG_CTRUNC) != 0;
  return code;
}

// Write several pieces to what is no socket. A closed pipe is -EPIPE because both runtimes ignore
// SIGPIPE.
EXPORT int32_t np_writev(int32_t fd, const uint32_t *table, int32_t count) {
  struct iovec pieces[IOVECS_MAX];
  int32_t code = gather(table, count, pieces);
  if (code < 0) return code;
  return counted(CALL_SEND, RETRY(writev(fd, pieces, count)));
}

// Send from a borrowed array. `bytes` is its byteLength, read just before this call: the one length
// that C must believe.
EXPORT int32_t np_send_borrowed(int32_t fd, const uint8_t *array, uint32_t bytes, uint32_t offset,
                                uint32_t length, int32_t flags) {
  if ((uint64_t)offset + length > bytes) return -EFAULT;
  return counted(CALL_SEND, RETRY(send(fd, array + offset, length, flags | MSG_NOSIGNAL)));
}

// ---- datagrams ----------------------------------------------------------------------------------

// A datagram in JavaScript (src/datagram/record.ts): where its bytes lie, who it is from or for. The record
// of one that was received can be sent as it is. IPv4 addresses that arrive mapped into IPv6 are IPv4 here.
struct datagram {
  uint32_t slab, offset, capacity;  // memory
  uint32_t length;                  // of the bytes
  uint32_t segment;                 // above 0: a train of datagrams, each of that many bytes but the last
  uint32_t flags;                   // bits 0-7 the kernel's (recvmsg(2)), 8-15 the type of service, and those below
  uint16_t port, family;            // the other end
  uint32_t scope;
  uint8_t address[16];
  uint8_t local[16];                // where it was sent to, or is sent from, of the same family
  uint32_t interface;               // through which it came
  uint32_t time[2];                 // microseconds since 1970 when it came, the low half first
  uint32_t note;                    // JavaScript's
};
_Static_assert(sizeof(struct datagram) == 80, "src/datagram/record.ts relies on this size");

enum {
  DATAGRAM_LOCAL = 1 << 16,      // `local` is known
  DATAGRAM_GROUP = 1 << 17,      // `local` is no address to send from: a group's, or broadcast
  DATAGRAM_SERVICE = 1 << 18,    // bits 8-15 are to be sent
  DATAGRAM_CONNECTED = 1 << 19,  // it goes where the socket is connected to
};

// An error of the error queue, in a record: errno in `length`, ee_info in `segment`, origin, type and code in
// `flags`, whom the datagram was for, and in `local` who says so.
enum { ERROR_TYPE_SHIFT = 8, ERROR_CODE_SHIFT = 16 };

static bool is_mapped(const uint8_t *address) {
  static const uint8_t PREFIX[12] = {[10] = 0xff, 0xff};
  return memcmp(address, PREFIX, sizeof PREFIX) == 0;
}

static void set_other_end(struct datagram *d, const struct sockaddr_in6 *from) {
  const struct sockaddr_in *in = (const void *)from;
  bool is_mapped_4 = from->sin6_family == AF_INET6 && is_mapped(from->sin6_addr.s6_addr);
  d->family = is_mapped_4 ? AF_INET : from->sin6_family;
  d->port = ntohs(from->sin6_port);  // in the same place for both families
  d->scope = 0;
  if (is_mapped_4) {
    memcpy(d->address, from->sin6_addr.s6_addr + 12, 4);
  } else if (from->sin6_family == AF_INET) {
    memcpy(d->address, &in->sin_addr, 4);
  } else {
    d->scope = from->sin6_scope_id;
    memcpy(d->address, &from->sin6_addr, 16);
  }
}

// IPv4 addresses are understood by sockets of IPv6, too (net/ipv6/udp.c, udpv6_sendmsg).
static socklen_t other_end(const struct datagram *d, struct sockaddr_in6 *to) {
  if (d->family == AF_INET) {
    struct sockaddr_in *in = (void *)to;
    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(d->port)};
    memcpy(&in->sin_addr, d->address, 4);
    return sizeof *in;
  }
  *to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(d->port), .sin6_scope_id = d->scope};
  memcpy(&to->sin6_addr, d->address, 16);
  return sizeof *to;
}

static void set_local(struct datagram *d, const uint8_t *address, uint32_t bytes, uint32_t interface, bool is_group) {
  memcpy(d->local, address, bytes);
  d->interface = interface;
  d->flags |= DATAGRAM_LOCAL | (is_group ? DATAGRAM_GROUP : 0);
}

static void take_control(struct datagram *d, const struct cmsghdr *at) {
  const uint8_t *data = CMSG_DATA(at);
  if (at->cmsg_level == SOL_UDP && at->cmsg_type == UDP_GRO) {
    memcpy(&d->segment, data, sizeof d->segment);
  } else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS) {
    d->flags |= (uint32_t)*data << 8;
  } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS) {
    int class;
    memcpy(&class, data, sizeof class);
    d->flags |= (uint32_t)(class & 0xff) << 8;
  } else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
    struct in_pktinfo info;
    memcpy(&info, data, sizeof info);
    // A datagram to a group, or to all, is answered from an address of ours. What came before the socket was asked
    // to note such an address (it was somebody else's) has none: then only a group's own can be told.
    bool is_noted = info.ipi_spec_dst.s_addr != 0;
    bool is_group = is_noted ? info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr : *(uint8_t *)&info.ipi_addr >= 0xe0;
    set_local(d, (void *)&info.ipi_addr, 4, (uint32_t)info.ipi_ifindex, is_group);
  } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
    struct in6_pktinfo info;
    memcpy(&info, data, sizeof info);
    const uint8_t *address = info.ipi6_addr.s6_addr;
    if (is_mapped(address)) set_local(d, address + 12, 4, info.ipi6_ifindex, (address[12] & 0xf0) == 0xe0);
    else set_local(d, address, 16, info.ipi6_ifindex, address[0] == 0xff);
  } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_TIMESTAMPNS) {
    struct timespec when;
    memcpy(&when, data, sizeof when);
    uint64_t micros = (uint64_t)when.tv_sec * 1000000 + (uint64_t)when.tv_nsec / 1000;
    d->time[0] = (uint32_t)micros;
    d->time[1] = (uint32_t)(micros >> 32);
  }
}

// Messages over the memory of records, each with room for a name and for what the kernel says beside it.
struct datagram_messages {
  struct mmsghdr headers[DATAGRAMS_MAX];
  struct iovec pieces[DATAGRAMS_MAX];
  struct sockaddr_in6 names[DATAGRAMS_MAX];
  union { struct cmsghdr align; char bytes[DATAGRAM_CONTROL_BYTES]; } control[DATAGRAMS_MAX];
};

// The bytes of the messages that a call has moved, or why it has moved none.
static int32_t moved_bytes(const struct mmsghdr *headers, int32_t count) {
  int32_t bytes = count < 0 ? count : 0;
  for (int32_t i = 0; i < count; i++) bytes += (int32_t)headers[i].msg_len;
  return bytes;
}

// Receive up to `count` datagrams, or trains of them, each into the memory of its record. How many.
EXPORT int32_t np_recvmmsg(int32_t fd, struct datagram *table, int32_t count) {
  struct datagram_messages m;
  if (count < 0 || count > DATAGRAMS_MAX) return -EINVAL;
  for (int32_t i = 0; i < count; i++) {
    uint8_t *base = piece(table[i].slab, table[i].offset, table[i].capacity);
    if (!base) return -EFAULT;
    m.pieces[i] = (struct iovec){base, table[i].capacity};
    m.headers[i].msg_hdr = (struct msghdr){.msg_name = &m.names[i], .msg_namelen = sizeof m.names[i],
      .msg_iov = &m.pieces[i], .msg_iovlen = 1, .msg_control = &m.control[i], .msg_controllen = sizeof m.control[i]};
  }
  int32_t got = RETRY(recvmmsg(fd, m.headers, (unsigned)count, MSG_DONTWAIT, NULL));
  counted(CALL_RECV, moved_bytes(m.headers, got));
  for (int32_t i = 0; i < got; i++) {
    struct datagram *d = &table[i];
    struct msghdr *header = &m.headers[i].msg_hdr;
    d->length = m.headers[i].msg_len;
    d->flags = (uint32_t)header->msg_flags & 0xff;
    d->segment = d->time[0] = d->time[1] = 0;
    set_other_end(d, &m.names[i]);
    for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at; at = CMSG_NXTHDR(header, at)) take_control(d, at);
  }
  return got;
}

static void add_control(struct msghdr *header, int level, int type, const void *data, size_t bytes) {
  struct cmsghdr *at = (void *)((char *)header->msg_control + header->msg_controllen);
  at->cmsg_level = level;
  at->cmsg_type = type;
  at->cmsg_len = CMSG_LEN(bytes);
  memcpy(CMSG_DATA(at), data, bytes);
  header->msg_controllen += CMSG_SPACE(bytes);
}

static void give_control(const struct datagram *d, struct msghdr *header) {
  bool is_6 = d->family == AF_INET6;
  if (d->segment > 0 && d->segment < d->length) {
    uint16_t segment = (uint16_t)d->segment;
    add_control(header, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment);
  }
  if (d->flags & DATAGRAM_SERVICE) {
    int service = d->flags >> 8 & 0xff;
    add_control(header, is_6 ? IPPROTO_IPV6 : IPPROTO_IP, is_6 ? IPV6_TCLASS : IP_TOS, &service, sizeof service);
  }
  if (!(d->flags & DATAGRAM_LOCAL) || d->flags & DATAGRAM_GROUP) return;
  if (is_6) {
    struct in6_pktinfo info = {0};
    memcpy(&info.ipi6_addr, d->local, 16);
    add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  } else {
    struct in_pktinfo info = {0};
    memcpy(&info.ipi_spec_dst, d->local, 4);
    add_control(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  }
}

// Send one message as sendmmsg does. Without control messages the kernel need not copy its headers, which takes 7 % of
// the time that a datagram on loopback does.
static int32_t send_one(int fd, struct mmsghdr *message) {
  const struct msghdr *header = &message->msg_hdr;
  const struct iovec *piece = header->msg_iov;
  if (header->msg_control) return RETRY(sendmmsg(fd, message, 1, MSG_NOSIGNAL));
  int32_t code = RETRY(sendto(fd, piece->iov_base, piece->iov_len, MSG_NOSIGNAL, header->msg_name,
                              header->msg_namelen));
  if (code < 0) return code;
  message->msg_len = (unsigned)code;
  return 1;
}

// Send the datagrams, or trains of them, of `count` records from the `first` one on. How many the kernel has
// taken: it stops at the first that it refuses, and says why only when that is the first of all.
EXPORT int32_t np_sendmmsg(int32_t fd, const struct datagram *table, int32_t first, int32_t count) {
  struct datagram_messages m;
  if (first < 0 || count < 0 || count > DATAGRAMS_MAX) return -EINVAL;
  for (int32_t i = 0; i < count; i++) {
    const struct datagram *d = &table[first + i];
    uint8_t *base = piece(d->slab, d->offset, d->length);
    if (!base) return -EFAULT;
    m.pieces[i] = (struct iovec){base, d->length};
    struct msghdr *header = &m.headers[i].msg_hdr;
    *header = (struct msghdr){.msg_iov = &m.pieces[i], .msg_iovlen = 1, .msg_control = &m.control[i]};
    if (!(d->flags & DATAGRAM_CONNECTED)) {
      header->msg_name = &m.names[i];
      header->msg_namelen = other_end(d, &m.names[i]);
    }
    give_control(d, header);
    if (header->msg_controllen == 0) header->msg_control = NULL;
  }
  int32_t taken = count == 1 ? send_one(fd, m.headers)
                             : RETRY(sendmmsg(fd, m.headers, (unsigned)count, MSG_NOSIGNAL));
  counted(CALL_SEND, moved_bytes(m.headers, taken));
  return taken;
}

static bool take_error(struct datagram *d, struct msghdr *header) {
  for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at; at = CMSG_NXTHDR(header, at)) {
    bool is_4 = at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_RECVERR;
    bool is_6 = at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_RECVERR;
    if (!is_4 && !is_6) continue;
    struct { struct sock_extended_err error; struct sockaddr_in6 offender; } what = {0};
    size_t bytes = at->cmsg_len - CMSG_LEN(0);
    memcpy(&what, CMSG_DATA(at), bytes < sizeof what ? bytes : sizeof what);
    d->length = what.error.ee_errno;
    d->segment = what.error.ee_info;
    d->flags = what.error.ee_origin | (uint32_t)what.error.ee_type << ERROR_TYPE_SHIFT
             | (uint32_t)what.error.ee_code << ERROR_CODE_SHIFT;
    memcpy(d->local, is_4 ? (void *)&((struct sockaddr_in *)&what.offender)->sin_addr : &what.offender.sin6_addr,
           is_4 ? 4 : 16);
    return true;
  }
  return false;
}

// Take up to `count` errors from a socket's error queue: ICMP's, and our own datagrams that were too long. How
// many; 0 when the queue is empty.
EXPORT int32_t np_errors(int32_t fd, struct datagram *table, int32_t count) {
  struct datagram_messages m;
  if (count < 0 || count > DATAGRAMS_MAX) return -EINVAL;
  for (int32_t i = 0; i < count; i++) {
    m.headers[i].msg_hdr = (struct msghdr){.msg_name = &m.names[i], .msg_namelen = sizeof m.names[i],
      .msg_control = &m.control[i], .msg_controllen = sizeof m.control[i]};
    m.names[i] = (struct sockaddr_in6){0};
  }
  int32_t got = RETRY(recvmmsg(fd, m.headers, (unsigned)count, MSG_DONTWAIT | MSG_ERRQUEUE, NULL));
  int32_t told = 0;
  for (int32_t i = 0; i < got; i++) {
    set_other_end(&table[told], &m.names[i]);
    if (take_error(&table[told], &m.headers[i].msg_hdr)) told++;
  }
  return got < 0 ? (got == -EAGAIN ? 0 : got) : told;
}

// ---- files and pipes ----------------------------------------------------------------------------

static off_t position(uint32_t low, uint32_t high) {
  return (off_t)((uint64_t)high << 32 | low);
}

// Another descriptor of the same open file, close-on-exec: the runtime opens, for it knows what may
// be opened.
EXPORT int32_t np_dup(int32_t fd) {
  return own(counted(CALL_OPEN, result(fcntl(fd, F_DUPFD_CLOEXEC, 0))));
}

// The kind of a descriptor, to `out`: {mode, low half of the size, high half}.
EXPORT int32_t np_stat(int32_t fd, uint32_t *out) {
  struct stat about;
  // By number: glibc before 2.33 has no symbol fstat.
  if (syscall(SYS_fstat, fd, &about) < 0) return -errno;
  out[0] = about.st_mode;
  out[1] = (uint32_t)about.st_size;
  out[2] = (uint32_t)((uint64_t)about.st_size >> 32);
  return 0;
}

// Read a piece of a file from a position of its own, in two halves. Bytes, or 0 behind the end.
EXPORT int32_t np_pread(int32_t fd, uint32_t slab, uint32_t offset, uint32_t length, uint32_t low, uint32_t high) {
  uint8_t *base = piece(slab, offset, length);
  if (!base) return -EFAULT;
  return counted(CALL_PREAD, RETRY(pread(fd, base, length, position(low, high))));
}

// Write to a position of a file, in two halves; the file's own stays. Bytes.
EXPORT int32_t np_pwrite(int32_t fd, uint32_t slab, uint32_t offset, uint32_t length, uint32_t low, uint32_t high) {
  uint8_t *base = piece(slab, offset, length);
  if (!base) return -EFAULT;
  return counted(CALL_PWRITE, RETRY(pwrite(fd, base, length, position(low, high))));
}

// Send a piece of a file from a position of its own, in two halves; the file's own stays. Bytes, or
// 0 behind the end. A closed peer is -EPIPE because both runtimes ignore SIGPIPE.
EXPORT int32_t np_sendfile(int32_t to, int32_t from, uint32_t low, uint32_t high, uint32_t length) {
  off_t at = position(low, high);
  return counted(CALL_SENDFILE, RETRY(sendfile(to, from, &at, length)));
}

// A pipe, non-blocking and close-on-exec: its reading and its writing end go to `out`.
EXPORT int32_t np_pipe(int32_t *out) {
  return own_both(counted(CALL_PIPE, result(pipe2(out, O_NONBLOCK | O_CLOEXEC))), out);
}

// Make a pipe hold so many bytes. How many it holds.
EXPORT int32_t np_pipe_resize(int32_t fd, uint32_t bytes) {
  return result(fcntl(fd, F_SETPIPE_SZ, bytes));
}

// Move bytes without reading them; one of both is a pipe, neither waits. Bytes, or 0 at the end.
EXPORT int32_t np_splice(int32_t from, int32_t to, uint32_t length) {
  return counted(CALL_SPLICE, RETRY(splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)));
}

// Move bytes from a pipe to a position of a file, in two halves; the file's own stays. Bytes.
EXPORT int32_t np_splice_file(int32_t from, int32_t to, uint32_t low, uint32_t high, uint32_t length) {
  off_t at = position(low, high);
  return counted(CALL_SPLICE, RETRY(splice(from, NULL, to, &at, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)));
}

// ---- TLS ----------------------------------------------------------------------------------------

// OpenSSL 3, opened at run time: no header of it and no link to it is needed to build or to load this
// file. Its types are opaque here, and the numbers below are its stable interface (openssl/ssl.h);
// tests/native compares them with the header where there is one.
//
// Nothing here calls back into JavaScript. Choices are tables, made before: certificates by server
// name, application protocols, authorities. A choice by program stops the handshake instead.

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_session_st SSL_SESSION;
typedef struct bio_st BIO;
typedef struct x509_st X509;
typedef int (*tls_password)(char *, int, int, void *);

#define TLS_FUNCTIONS(F) \
  F(const void *, TLS_method, (void)) \
  F(SSL_CTX *, SSL_CTX_new, (const void *)) \
  F(void, SSL_CTX_free, (SSL_CTX *)) \
  F(long, SSL_CTX_ctrl, (SSL_CTX *, int, long, void *)) \
  F(long, SSL_CTX_callback_ctrl, (SSL_CTX *, int, void (*)(void))) \
  F(uint64_t, SSL_CTX_set_options, (SSL_CTX *, uint64_t)) \
  F(void, SSL_CTX_set_default_read_buffer_len, (SSL_CTX *, size_t)) \
  F(int, SSL_CTX_set_session_id_context, (SSL_CTX *, const unsigned char *, unsigned)) \
  F(int, SSL_CTX_use_certificate, (SSL_CTX *, X509 *)) \
  F(int, SSL_CTX_use_PrivateKey, (SSL_CTX *, void *)) \
  F(int, SSL_CTX_check_private_key, (const SSL_CTX *)) \
  F(void *, SSL_CTX_get_cert_store, (const SSL_CTX *)) \
  F(int, SSL_CTX_set_default_verify_paths, (SSL_CTX *)) \
  F(int, SSL_CTX_add_client_CA, (SSL_CTX *, X509 *)) \
  F(void, SSL_CTX_set_verify, (SSL_CTX *, int, void *)) \
  F(int, SSL_CTX_set_alpn_protos, (SSL_CTX *, const unsigned char *, unsigned)) \
  F(void, SSL_CTX_set_alpn_select_cb, (SSL_CTX *, void *, void *)) \
  F(void, SSL_CTX_set_client_hello_cb, (SSL_CTX *, void *, void *)) \
  F(void, SSL_CTX_set_keylog_callback, (SSL_CTX *, void (*)(const SSL *, const char *))) \
  F(void, SSL_CTX_set_msg_callback, (SSL_CTX *, void *)) \
  F(int, SSL_CTX_set_cipher_list, (SSL_CTX *, const char *)) \
  F(int, SSL_CTX_get_security_level, (const SSL_CTX *)) \
  F(void, SSL_CTX_set_security_level, (SSL_CTX *, int)) \
  F(int, SSL_CTX_set_tlsext_ticket_key_evp_cb, (SSL_CTX *, void *)) \
  F(SSL *, SSL_new, (SSL_CTX *)) \
  F(void, SSL_free, (SSL *)) \
  F(long, SSL_ctrl, (SSL *, int, long, void *)) \
  F(void, SSL_set_bio, (SSL *, BIO *, BIO *)) \
  F(BIO *, SSL_get_rbio, (const SSL *)) \
  F(void, SSL_set_accept_state, (SSL *)) \
  F(void, SSL_set_connect_state, (SSL *)) \
  F(int, SSL_set1_host, (SSL *, const char *)) \
  F(void *, SSL_get0_param, (SSL *)) \
  F(void, SSL_set_hostflags, (SSL *, unsigned)) \
  F(SSL_CTX *, SSL_set_SSL_CTX, (SSL *, SSL_CTX *)) \
  F(int, SSL_do_handshake, (SSL *)) \
  F(int, SSL_read, (SSL *, void *, int)) \
  F(int, SSL_write, (SSL *, const void *, int)) \
  F(int, SSL_shutdown, (SSL *)) \
  F(int, SSL_get_shutdown, (const SSL *)) \
  F(void, SSL_set_shutdown, (SSL *, int)) \
  F(int, SSL_get_error, (const SSL *, int)) \
  F(int, SSL_has_pending, (const SSL *)) \
  F(int, SSL_is_init_finished, (const SSL *)) \
  F(long, SSL_get_verify_result, (const SSL *)) \
  F(const char *, SSL_get_version, (const SSL *)) \
  F(int, SSL_version, (const SSL *)) \
  F(const void *, SSL_get_current_cipher, (const SSL *)) \
  F(const char *, SSL_CIPHER_standard_name, (const void *)) \
  F(const char *, SSL_get_servername, (const SSL *, int)) \
  F(void, SSL_get0_alpn_selected, (const SSL *, const unsigned char **, unsigned *)) \
  F(int, SSL_session_reused, (const SSL *)) \
  F(X509 *, SSL_get1_peer_certificate, (const SSL *)) \
  F(void, SSL_CTX_sess_set_new_cb, (SSL_CTX *, int (*)(SSL *, SSL_SESSION *))) \
  F(int, SSL_set_session, (SSL *, SSL_SESSION *)) \
  F(SSL_SESSION *, SSL_get1_session, (SSL *)) \
  F(void, SSL_SESSION_free, (SSL_SESSION *)) \
  F(int, SSL_client_hello_get0_ext, (SSL *, unsigned, const unsigned char **, size_t *))
#define CRYPTO_FUNCTIONS(F) \
  F(BIO *, BIO_new_mem_buf, (const void *, int)) \
  F(BIO *, BIO_new, (const void *)) \
  F(int, BIO_free, (BIO *)) \
  F(void *, BIO_meth_new, (int, const char *)) \
  F(int, BIO_meth_set_write, (void *, int (*)(BIO *, const char *, int))) \
  F(int, BIO_meth_set_read, (void *, int (*)(BIO *, char *, int))) \
  F(int, BIO_meth_set_ctrl, (void *, long (*)(BIO *, int, long, void *))) \
  F(void, BIO_set_data, (BIO *, void *)) \
  F(void *, BIO_get_data, (BIO *)) \
  F(void, BIO_set_init, (BIO *, int)) \
  F(void, BIO_set_flags, (BIO *, int)) \
  F(void, BIO_clear_flags, (BIO *, int)) \
  F(X509 *, PEM_read_bio_X509, (BIO *, X509 **, tls_password, void *)) \
  F(X509 *, PEM_read_bio_X509_AUX, (BIO *, X509 **, tls_password, void *)) \
  F(void *, PEM_read_bio_PrivateKey, (BIO *, void **, tls_password, void *)) \
  F(void, EVP_PKEY_free, (void *)) \
  F(void, X509_free, (X509 *)) \
  F(int, i2d_X509, (const X509 *, unsigned char **)) \
  F(int, X509_STORE_add_cert, (void *, X509 *)) \
  F(int, X509_VERIFY_PARAM_set1_ip, (void *, const unsigned char *, size_t)) \
  F(const char *, X509_verify_cert_error_string, (long)) \
  F(void, ERR_clear_error, (void)) \
  F(unsigned long, ERR_get_error, (void)) \
  F(unsigned long, ERR_peek_last_error, (void)) \
  F(const char *, ERR_reason_error_string, (unsigned long)) \
  F(void *, CRYPTO_malloc, (size_t, const char *, int)) \
  F(int, RAND_bytes, (unsigned char *, int)) \
  F(const void *, EVP_aes_256_cbc, (void)) \
  F(int, EVP_EncryptInit_ex, (void *, const void *, void *, const uint8_t *, const uint8_t *)) \
  F(int, EVP_DecryptInit_ex, (void *, const void *, void *, const uint8_t *, const uint8_t *)) \
  F(int, EVP_MAC_CTX_set_params, (void *, const void *))

#define DECLARE(R, N, A) R (*N) A;
static struct { TLS_FUNCTIONS(DECLARE) CRYPTO_FUNCTIONS(DECLARE) } tls;
#undef DECLARE

enum {
  TLS_CONTEXTS_MAX = 1 << 12,
  TLS_SESSIONS_MAX = 1 << 6,      // servers whose sessions a client's context keeps
  TLS_RECORD_BYTES = 16384,       // the most that a record carries (RFC 8446 §5.1)
  TLS_GATHER_RECORDS = 4,         // that one send carries at most
  TLS_GATHER_BYTES = TLS_GATHER_RECORDS * TLS_RECORD_BYTES,
  TLS_READ_BYTES = 2 * (TLS_RECORD_BYTES + 22) + 3,  // two full records of TLS 1.3, behind OpenSSL's alignment
  TLS_TICKET_SECONDS = 3600,      // the age at which another key makes the tickets; the last one is still good
  TLS_NAME_BYTES_MAX = 255,
  TLS_IDLE_MAX = 64,              // messages and answers in a row without a byte for the user: more are an attack
  TLS_LEFT_BYTES_MAX = 1 << 17,   // encrypted bytes that wait for a peer which does not read
  TLS_LINE_BYTES = 512,           // the longest line of a key log has 200
};

// A number of OpenSSL's controls and options (openssl/ssl.h, openssl/bio.h).
enum {
  TLS_CTRL_EXTRA_CHAIN = 89, TLS_CTRL_MODE = 33, TLS_CTRL_READ_AHEAD = 41, TLS_CTRL_CACHE = 44,
  TLS_CTRL_NAME_CB = 53, TLS_CTRL_NAME_ARG = 54, TLS_CTRL_HOST = 55, TLS_CTRL_STATUS_CB = 63,
  TLS_CTRL_STATUS_ARG = 64, TLS_CTRL_STATUS_RESPONSE = 71, TLS_CTRL_GROUPS = 92, TLS_CTRL_MIN = 123, TLS_CTRL_MAX = 124,
  TLS_MODES = 1 | 2 | 16,  // partial writes, from another address the next time, no buffers while idle
  TLS_CACHE_NONE = 0, TLS_CACHE_CLIENT_ALONE = 1 | 0x300,
  TLS_VERIFY_PEER = 1, TLS_VERIFY_MUST = 2,
  TLS_ERROR_SSL = 1, TLS_ERROR_READ = 2, TLS_ERROR_WRITE = 3, TLS_ERROR_SYSCALL = 5, TLS_ERROR_END = 6,
  TLS_ERROR_HELLO = 11,
  TLS_ACK = 0, TLS_FATAL = 2, TLS_NOACK = 3,
  TLS_HELLO_RETRY = -1, TLS_HELLO_ERROR = 0, TLS_HELLO_SUCCESS = 1,
  TLS_ALERT_UNRECOGNIZED = 112,
  TLS_1_2 = 0x0303, TLS_SENT_SHUTDOWN = 1,
  TLS_NAME_FLAGS = 4 | 32,  // no star within a label; never the common name
  TLS_HANDSHAKE_MESSAGE = 22, TLS_NO_START_LINE = 9 << 23 | 108, TLS_UNEXPECTED_EOF = 20 << 23 | 294,
  TLS_BIO_READ = 1, TLS_BIO_WRITE = 2, TLS_BIO_RETRY = 8, TLS_BIO_EOF = 2, TLS_BIO_FLUSH = 11,
  TLS_BIO_SOURCE_SINK = 0x0400,
};
// No compression, no renegotiation, the server's order of ciphers.
static const uint64_t TLS_OPTIONS = 1ull << 17 | 1ull << 30 | 1ull << 22;
// Of TLS 1.2: forward secrecy, and encryption with authentication in one (RFC 9325 §4.2). 112 bits are the least
// of keys and digests (SSL_CTX_set_security_level(3)), whatever the machine's configuration allows.
static const char *const TLS_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20";
// Curves alone, the first one where OpenSSL has it (3.5): with a group of 8192 bits a client makes a server calculate
// for as long as 20 handshakes take (CVE-2002-20001).
static const char *const TLS_GROUPS[] = {
  "X25519MLKEM768:X25519:P-256:X448:P-384:P-521", "X25519:P-256:X448:P-384:P-521",
};
enum { TLS_SECURITY_LEVEL = 2, TLS_REASON_IDLE = 1 << 20 };

// A key that encrypts tickets.
struct tls_ticket_key { uint8_t name[16], cipher[32], mac[32]; int64_t since; };

// A certificate with all that goes with it. Complete before the first connection has it; only its tickets' keys
// change afterwards. Whoever points at one holds a reference.
struct tls_context {
  atomic_int references;
  uint16_t owner;  // the thread whose end lets nobody begin with it any more
  SSL_CTX *ssl;
  bool is_server;
  uint8_t *protocols, *status;
  uint32_t protocols_bytes, status_bytes;
  int32_t key_log;
  int32_t name_count;
  struct { char *name; struct tls_context *context; } *names;
  int32_t timeout_ms;  // of a handshake
  pthread_mutex_t lock;  // of what follows
  struct tls_ticket_key tickets[2];
  struct { char *server; SSL_SESSION *session; } *sessions;  // a client's, the next place first
  uint32_t session_at;
};

// The TLS of a descriptor.
struct tls_end {
  SSL *ssl;
  struct tls_context *context, *chosen;
  int32_t fd;
  bool is_refused;
  // Bytes that are encrypted and that the kernel has not taken, and how many plain bytes of them nobody has
  // counted as sent yet.
  uint8_t *left;
  uint32_t left_bytes, left_at, owed;
  uint8_t *early;        // bytes that were received before TLS began
  uint32_t early_bytes, early_at;
  struct tls_out *out;   // while records are gathered
  bool has_ended, is_told;  // the kernel has told of the end; a receive has returned `next`
  int32_t broken;        // the error that a send of OpenSSL's own has met
  bool is_failed;        // TLS itself has failed: no end in order can follow
  bool is_receiving;     // within np_tls_recv, which cannot wait until the kernel takes an answer
  bool is_in_part;       // of the record that is here the kernel has yet to tell of the rest
  int32_t idle;          // messages and answers since the last byte for the user
  int32_t next;          // the result of the next receive, when it is known already; 1 for none
  unsigned long error;   // why the last call failed
  char *name;            // that the client asks for, where the program chooses; of a client, its server's
};

// Records on their way to one send.
struct tls_out {
  bool is_last;  // no other record follows
  bool is_gone;  // it has left without being gathered
  int32_t sent;  // the result of the last send
  uint32_t bytes, count;
  struct { uint32_t plain, end; } records[TLS_GATHER_RECORDS];
  uint8_t data[TLS_GATHER_BYTES + TLS_RECORD_BYTES + 8 * 1024];
  uint8_t copy[TLS_RECORD_BYTES];  // of plain bytes that lie in several pieces
};

static struct tls_end *tls_of[OWNED_FDS];
static struct tls_context *tls_contexts[TLS_CONTEXTS_MAX];
static pthread_mutex_t tls_lock = PTHREAD_MUTEX_INITIALIZER;
static void *tls_bio;
static pthread_once_t tls_once = PTHREAD_ONCE_INIT;
static int32_t tls_loaded = -ENOENT;

// Why this thread could not make a context.
static _Thread_local unsigned long tls_error;

static struct tls_end *tls_end_of(int32_t fd) {
  return fd >= 0 && fd < OWNED_FDS ? tls_of[fd] : NULL;
}

static int tls_bio_read(BIO *bio, char *to, int length);
static int tls_bio_write(BIO *bio, const char *from, int length);

static long tls_bio_ctrl(BIO *bio, int command, long number, void *pointer) {
  (void)number; (void)pointer;
  if (command == TLS_BIO_EOF) return ((struct tls_end *)tls.BIO_get_data(bio))->has_ended;
  return command == TLS_BIO_FLUSH;
}

static int32_t tls_find(void) {
  void *crypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
  void *ssl = crypto ? dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!ssl) return -ENOENT;
#define FIND_SSL(R, N, A) if (!(tls.N = (R (*) A)dlsym(ssl, #N))) return -ENOSYS;
#define FIND_CRYPTO(R, N, A) if (!(tls.N = (R (*) A)dlsym(crypto, #N))) return -ENOSYS;
  TLS_FUNCTIONS(FIND_SSL)
  CRYPTO_FUNCTIONS(FIND_CRYPTO)
#undef FIND_SSL
#undef FIND_CRYPTO
  tls_bio = tls.BIO_meth_new(TLS_BIO_SOURCE_SINK, "netpoll");
  if (!tls_bio) return -ENOMEM;
  tls.BIO_meth_set_read(tls_bio, tls_bio_read);
  tls.BIO_meth_set_write(tls_bio, tls_bio_write);
  tls.BIO_meth_set_ctrl(tls_bio, tls_bio_ctrl);
  return 0;
}

static void tls_load_once(void) {
  tls_loaded = tls_find();
}

// Open OpenSSL. -ENOENT when it is not installed, -ENOSYS when it is older than 3.0.
EXPORT int32_t np_tls_load(void) {
  pthread_once(&tls_once, tls_load_once);
  return tls_loaded;
}

static int32_t tls_text(const char *text, uint8_t *out, uint32_t capacity) {
  uint32_t length = text ? (uint32_t)strlen(text) : 0;
  if (length > capacity) return -ENOBUFS;
  memcpy(out, text ? text : "", length);
  return (int32_t)length;
}

// Write down why the last call of OpenSSL failed, of an end or of a context that is made.
static int32_t tls_fail(struct tls_end *end, int32_t code) {
  *(end ? &end->error : &tls_error) = tls.ERR_get_error();
  tls.ERR_clear_error();
  return code;
}

// Why the last call for a descriptor, or (-1) for a context, failed: {OpenSSL's reason, the result of verifying} go
// to `numbers`, OpenSSL's words for one of both (`what` 0 or 1) to `text`. How many bytes of text there are.
EXPORT int32_t np_tls_failure(int32_t fd, int32_t what, int32_t *numbers, uint8_t *text, uint32_t capacity) {
  struct tls_end *end = tls_end_of(fd);
  unsigned long error = end ? end->error : tls_error;
  long verify = end ? tls.SSL_get_verify_result(end->ssl) : 0;
  const char *words = what == 1 ? tls.X509_verify_cert_error_string(verify) : tls.ERR_reason_error_string(error);
  numbers[0] = error & 0x80000000ul ? 0 : (int32_t)(error & 0x7fffff);
  numbers[1] = (int32_t)verify;
  return tls_text(words, text, capacity);
}

// ---- contexts

// The context that this thread is making.
static struct tls_context *tls_context_of(int32_t id) {
  return id < 0 || id >= TLS_CONTEXTS_MAX ? NULL : tls_contexts[id];
}

// A reference to a context, which another thread may be about to free. Null for no such context.
static struct tls_context *tls_hold(int32_t id) {
  pthread_mutex_lock(&tls_lock);
  struct tls_context *context = tls_context_of(id);
  if (context) atomic_fetch_add(&context->references, 1);
  pthread_mutex_unlock(&tls_lock);
  return context;
}

static void tls_forget_session(struct tls_context *context, int32_t at) {
  free(context->sessions[at].server);
  if (context->sessions[at].session) tls.SSL_SESSION_free(context->sessions[at].session);
  context->sessions[at].server = NULL;
  context->sessions[at].session = NULL;
}

static void tls_let_go(struct tls_context *context) {
  if (!context || atomic_fetch_sub(&context->references, 1) != 1) return;
  for (int32_t i = 0; i < context->name_count; i++) {
    free(context->names[i].name);
    tls_let_go(context->names[i].context);
  }
  if (context->key_log >= 0) close(context->key_log);
  tls.SSL_CTX_free(context->ssl);
  pthread_mutex_destroy(&context->lock);
  explicit_bzero(context->tickets, sizeof context->tickets);
  for (int32_t i = 0; context->sessions && i < TLS_SESSIONS_MAX; i++) tls_forget_session(context, i);
  free(context->sessions);
  free(context->names);
  free(context->protocols);
  free(context->status);
  free(context);
}

// Tells whether a certificate's name, which may begin with "*.", is for a host: the star stands for one label.
static bool tls_fits(const char *name, const char *host, size_t length) {
  const char *rest = memchr(host, '.', length);
  if (name[0] != '*' || name[1] != '.') return strlen(name) == length && strncasecmp(name, host, length) == 0;
  size_t label = rest ? (size_t)(rest - host) : 0;
  return label > 0 && strlen(name + 1) == length - label && strncasecmp(name + 1, rest, length - label) == 0;
}

static struct tls_context *tls_named(struct tls_context *context, const char *host) {
  size_t length = strlen(host);
  if (length > 0 && host[length - 1] == '.') length--;  // it belongs to DNS, not to the name (RFC 6066 §3)
  for (int pass = 0; pass < 2; pass++) {  // what is named exactly comes first
    for (int32_t i = 0; i < context->name_count; i++) {
      const char *name = context->names[i].name;
      if ((name[0] == '*') == (pass == 1) && tls_fits(name, host, length)) return context->names[i].context;
    }
  }
  return NULL;
}

static int tls_on_name(SSL *ssl, int *alert, void *of) {
  (void)alert;
  const char *host = tls.SSL_get_servername(ssl, 0);
  struct tls_context *named = host ? tls_named(of, host) : NULL;
  if (named) tls.SSL_set_SSL_CTX(ssl, named->ssl);
  return host ? TLS_ACK : TLS_NOACK;
}

// The server's order decides. Without a common protocol the handshake fails (RFC 7301 §3.2).
static int tls_on_protocols(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                            const unsigned char *theirs, unsigned theirs_bytes, void *of) {
  (void)ssl;
  const struct tls_context *context = of;
  for (uint32_t i = 0; i < context->protocols_bytes; i += 1u + context->protocols[i]) {
    const uint8_t *ours = context->protocols + i;
    for (unsigned j = 0; j < theirs_bytes && j + theirs[j] < theirs_bytes; j += 1u + theirs[j]) {
      if (ours[0] != theirs[j] || memcmp(ours + 1, theirs + j + 1, ours[0])) continue;
      *out = theirs + j + 1;
      *out_bytes = theirs[j];
      return TLS_ACK;
    }
  }
  return TLS_FATAL;
}

static int tls_on_status(SSL *ssl, void *of) {
  const struct tls_context *context = of;
  if (!context->status) return TLS_NOACK;
  void *copy = tls.CRYPTO_malloc(context->status_bytes, "", 0);  // it is OpenSSL's to free
  if (!copy) return TLS_FATAL;
  memcpy(copy, context->status, context->status_bytes);
  tls.SSL_ctrl(ssl, TLS_CTRL_STATUS_RESPONSE, context->status_bytes, copy);
  return TLS_ACK;
}

static struct tls_end *tls_end_behind(const SSL *ssl) {
  return tls.BIO_get_data(tls.SSL_get_rbio(ssl));
}

// The name that a client asks for, of the extension's bytes (RFC 6066 §3); null without one.
static char *tls_asked_name(SSL *ssl) {
  const unsigned char *bytes;
  size_t length;
  if (!tls.SSL_client_hello_get0_ext(ssl, 0, &bytes, &length) || length < 5 || bytes[2] != 0) return NULL;
  size_t count = (size_t)bytes[3] << 8 | bytes[4];
  if (count > length - 5 || count > TLS_NAME_BYTES_MAX || memchr(bytes + 5, 0, count)) return NULL;
  return strndup((const char *)bytes + 5, count);
}

// The program chooses: stop until it has.
static int tls_on_hello(SSL *ssl, int *alert, void *of) {
  (void)of;
  struct tls_end *end = tls_end_behind(ssl);
  if (end->is_refused) {
    *alert = TLS_ALERT_UNRECOGNIZED;
    return TLS_HELLO_ERROR;
  }
  if (!end->chosen) {
    free(end->name);
    end->name = tls_asked_name(ssl);
    return TLS_HELLO_RETRY;
  }
  tls.SSL_set_SSL_CTX(ssl, end->chosen->ssl);
  return TLS_HELLO_SUCCESS;
}

// A line of NSS's key log format. Whoever reads the file can read all traffic.
static void tls_on_secret(const SSL *ssl, const char *line) {
  char out[TLS_LINE_BYTES];
  int length = snprintf(out, sizeof out, "%s\n", line);
  int32_t fd = tls_end_behind(ssl)->context->key_log;
  if (fd >= 0 && length > 0 && length < (int)sizeof out) (void)!write(fd, out, (size_t)length);
  explicit_bzero(out, sizeof out);
}

// One parameter of a MAC (openssl/core.h, OSSL_PARAM).
struct tls_parameter { const char *key; unsigned type; void *data; size_t bytes, result; };

static bool tls_renew_ticket_key(struct tls_context *context, int64_t now) {
  struct tls_ticket_key fresh = {.since = now};
  bool is_made = tls.RAND_bytes(fresh.name, sizeof fresh.name) == 1 &&
                 tls.RAND_bytes(fresh.cipher, sizeof fresh.cipher) == 1 &&
                 tls.RAND_bytes(fresh.mac, sizeof fresh.mac) == 1;
  if (is_made) {
    context->tickets[1] = context->tickets[0];
    context->tickets[0] = fresh;
  }
  explicit_bzero(&fresh, sizeof fresh);
  return is_made;
}

// The key of a ticket's MAC, with the server name in it: a session is for that name
// alone (RFC 6066 §3). How many bytes.
static size_t tls_mac_key(SSL *ssl, const struct tls_ticket_key *key, bool is_new, uint8_t *out) {
  const char *host = is_new ? tls.SSL_get_servername(ssl, 0) : NULL;
  char *asked = is_new ? NULL : tls_asked_name(ssl);
  if (asked) host = asked;
  size_t length = host ? strnlen(host, TLS_NAME_BYTES_MAX) : 0;
  memcpy(out, key->mac, sizeof key->mac);
  for (size_t i = 0; i < length; i++) out[sizeof key->mac + i] = (uint8_t)tolower((unsigned char)host[i]);
  free(asked);
  return sizeof key->mac + length;
}

// Encrypts a ticket, or finds the key that one was made with: 1, 2 when another should be made, 0 for no such key.
static int tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, void *cipher, void *mac, int is_new) {
  struct tls_context *context = tls_end_behind(ssl)->context;
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  pthread_mutex_lock(&context->lock);
  struct tls_ticket_key *keys = context->tickets;
  bool is_late = keys[0].since == 0 || time.tv_sec + 1 - keys[0].since >= TLS_TICKET_SECONDS;
  bool has_key = !is_late || tls_renew_ticket_key(context, time.tv_sec + 1);
  int found = is_new ? 0 : -1;
  for (int i = 0; !is_new && i < 2; i++) if (keys[i].since && !memcmp(keys[i].name, name, 16)) found = i;
  struct tls_ticket_key key = {0};
  if (found >= 0) key = keys[found];
  pthread_mutex_unlock(&context->lock);
  if (found < 0 || !has_key) {
    explicit_bzero(&key, sizeof key);
    return found < 0 ? 0 : -1;
  }
  static char digest[] = "sha256";
  uint8_t mac_key[sizeof key.mac + TLS_NAME_BYTES_MAX];
  size_t mac_bytes = tls_mac_key(ssl, &key, is_new, mac_key);
  struct tls_parameter parameters[] = {
    {"key", 5, mac_key, mac_bytes, 0}, {"digest", 4, digest, sizeof digest - 1, 0}, {NULL, 0, NULL, 0, 0},
  };
  int is_done;
  if (is_new) {
    memcpy(name, key.name, sizeof key.name);
    is_done = tls.RAND_bytes(iv, 16) == 1 &&
              tls.EVP_EncryptInit_ex(cipher, tls.EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1;
  } else {
    is_done = tls.EVP_DecryptInit_ex(cipher, tls.EVP_aes_256_cbc(), NULL, key.cipher, iv) == 1;
  }
  is_done = is_done && tls.EVP_MAC_CTX_set_params(mac, parameters) == 1;
  explicit_bzero(&key, sizeof key);
  explicit_bzero(mac_key, sizeof mac_key);
  // A ticket of TLS 1.3 is good for one connection: whoever has used it gets another.
  return !is_done ? -1 : found == 1 || (!is_new && tls.SSL_version(ssl) > TLS_1_2) ? 2 : 1;
}

// Find the session with a server, or the place for it.
static int32_t tls_session_at(struct tls_context *context, const char *server) {
  for (int32_t i = 0; i < TLS_SESSIONS_MAX; i++) {
    if (context->sessions[i].server && strcmp(context->sessions[i].server, server) == 0) return i;
  }
  return (int32_t)(context->session_at++ % TLS_SESSIONS_MAX);
}

// A server has given a client a session, to go on with in a later connection: the newest is kept.
static int tls_on_session(SSL *ssl, SSL_SESSION *session) {
  struct tls_end *end = tls_end_behind(ssl);
  char *server = end->name ? strdup(end->name) : NULL;
  if (!server) return 0;
  struct tls_context *context = end->context;
  pthread_mutex_lock(&context->lock);
  int32_t at = tls_session_at(context, server);
  tls_forget_session(context, at);
  context->sessions[at].server = server;
  context->sessions[at].session = session;
  pthread_mutex_unlock(&context->lock);
  return 1;  // the reference is ours
}

// A server of TLS 1.2 may replace a session while it goes on with it (RFC 5077 §3.3): OpenSSL tells nobody.
static void tls_keep_renewed(struct tls_end *end) {
  if (end->context->is_server || tls.SSL_version(end->ssl) != TLS_1_2 || !tls.SSL_session_reused(end->ssl)) return;
  SSL_SESSION *session = tls.SSL_get1_session(end->ssl);
  if (session && !tls_on_session(end->ssl, session)) tls.SSL_SESSION_free(session);
}

static void tls_go_on(struct tls_end *end) {
  struct tls_context *context = end->context;
  pthread_mutex_lock(&context->lock);
  for (int32_t i = 0; i < TLS_SESSIONS_MAX; i++) {
    const char *server = context->sessions[i].server;
    if (server && strcmp(server, end->name) == 0) tls.SSL_set_session(end->ssl, context->sessions[i].session);
  }
  pthread_mutex_unlock(&context->lock);
}

// A message has come or left. After the handshake those that come ask for new keys, offer sessions or want to
// negotiate anew, and each costs far more to read than to send: tls_bio_read() ends a flood of them.
static void tls_on_message(int is_ours, int version, int type, const void *bytes, size_t length, SSL *ssl, void *of) {
  (void)version; (void)bytes; (void)length; (void)of;
  if (!is_ours && type == TLS_HANDSHAKE_MESSAGE) tls_end_behind(ssl)->idle++;
}

static bool tls_prepare_client(struct tls_context *context) {
  context->sessions = calloc(TLS_SESSIONS_MAX, sizeof *context->sessions);
  tls.SSL_CTX_ctrl(context->ssl, TLS_CTRL_CACHE, TLS_CACHE_CLIENT_ALONE, NULL);
  tls.SSL_CTX_sess_set_new_cb(context->ssl, tls_on_session);
  return context->sessions;
}

static void tls_prepare_server(struct tls_context *context) {
  SSL_CTX *ssl = context->ssl;
  tls.SSL_CTX_ctrl(ssl, TLS_CTRL_CACHE, TLS_CACHE_NONE, NULL);  // tickets alone: nothing is kept here
  tls.SSL_CTX_callback_ctrl(ssl, TLS_CTRL_NAME_CB, (void (*)(void))tls_on_name);
  tls.SSL_CTX_ctrl(ssl, TLS_CTRL_NAME_ARG, 0, context);
  tls.SSL_CTX_callback_ctrl(ssl, TLS_CTRL_STATUS_CB, (void (*)(void))tls_on_status);
  tls.SSL_CTX_ctrl(ssl, TLS_CTRL_STATUS_ARG, 0, context);
  tls.SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, (void *)tls_on_ticket);
}

// A context without a certificate. `least` and `most` are versions (0x0303 is TLS 1.2). Its number.
EXPORT int32_t np_tls_context(int32_t is_server, int32_t least, int32_t most) {
  struct tls_context *context = calloc(1, sizeof *context);
  if (!context) return -ENOMEM;
  context->ssl = tls.SSL_CTX_new(tls.TLS_method());
  if (!context->ssl) {
    free(context);
    return -ENOMEM;
  }
  context->is_server = is_server;
  context->key_log = -1;
  context->owner = this_thread();
  atomic_store(&context->references, 1);
  pthread_mutex_init(&context->lock, NULL);
  tls.SSL_CTX_ctrl(context->ssl, TLS_CTRL_MODE, TLS_MODES, NULL);
  tls.SSL_CTX_ctrl(context->ssl, TLS_CTRL_READ_AHEAD, 1, NULL);
  tls.SSL_CTX_ctrl(context->ssl, TLS_CTRL_MIN, least, NULL);
  tls.SSL_CTX_ctrl(context->ssl, TLS_CTRL_MAX, most, NULL);
  tls.SSL_CTX_set_options(context->ssl, TLS_OPTIONS);
  tls.SSL_CTX_set_cipher_list(context->ssl, TLS_CIPHERS);
  for (int i = 0; i < 2 && tls.SSL_CTX_ctrl(context->ssl, TLS_CTRL_GROUPS, 0, (void *)TLS_GROUPS[i]) != 1; i++) {
    tls.ERR_clear_error();
  }
  int level = tls.SSL_CTX_get_security_level(context->ssl);
  tls.SSL_CTX_set_security_level(context->ssl, level < TLS_SECURITY_LEVEL ? TLS_SECURITY_LEVEL : level);
  tls.SSL_CTX_set_msg_callback(context->ssl, (void *)tls_on_message);
  tls.SSL_CTX_set_default_read_buffer_len(context->ssl, TLS_READ_BYTES);
  tls.SSL_CTX_set_session_id_context(context->ssl, (const unsigned char *)"netpoll", 7);
  int32_t id = 0;
  if (is_server) tls_prepare_server(context);
  else if (!tls_prepare_client(context)) id = TLS_CONTEXTS_MAX;
  pthread_mutex_lock(&tls_lock);
  while (id < TLS_CONTEXTS_MAX && tls_contexts[id]) id++;
  if (id < TLS_CONTEXTS_MAX) tls_contexts[id] = context;
  pthread_mutex_unlock(&tls_lock);
  if (id < TLS_CONTEXTS_MAX) return id;
  tls_let_go(context);
  return -ENOMEM;
}

// Nobody begins with this context any more; who has begun goes on.
EXPORT int32_t np_tls_context_free(int32_t id) {
  pthread_mutex_lock(&tls_lock);
  struct tls_context *context = tls_context_of(id);
  if (context) tls_contexts[id] = NULL;
  pthread_mutex_unlock(&tls_lock);
  tls_let_go(context);
  return context ? 0 : -EBADF;
}

// The contexts of a thread go with it: authorities alone are a megabyte.
static void free_contexts_of(uint16_t owner) {
  for (int32_t id = 0; id < TLS_CONTEXTS_MAX; id++) {
    pthread_mutex_lock(&tls_lock);
    bool is_theirs = tls_contexts[id] && tls_contexts[id]->owner == owner;
    pthread_mutex_unlock(&tls_lock);
    if (is_theirs) np_tls_context_free(id);
  }
}

// Put what one number stands for in the place of another: who begins with that from now on gets the new one.
EXPORT int32_t np_tls_swap(int32_t id, int32_t other) {
  pthread_mutex_lock(&tls_lock);
  struct tls_context *one = tls_context_of(id), *two = tls_context_of(other);
  if (one && two) {
    tls_contexts[id] = two;
    tls_contexts[other] = one;
  }
  pthread_mutex_unlock(&tls_lock);
  return one && two ? 0 : -EBADF;
}

// The next certificate of a text in PEM: 1, 0 behind the last, or -EINVAL for one that is malformed.
static int32_t tls_next_certificate(BIO *text, X509 **out) {
  tls.ERR_clear_error();
  *out = tls.PEM_read_bio_X509(text, NULL, NULL, NULL);
  if (*out) return 1;
  if (tls.ERR_peek_last_error() != TLS_NO_START_LINE) return tls_fail(NULL, -EINVAL);
  tls.ERR_clear_error();
  return 0;
}

static int32_t tls_use_chain(SSL_CTX *ssl, BIO *text) {
  X509 *own = tls.PEM_read_bio_X509_AUX(text, NULL, NULL, NULL);
  if (!own) return tls_fail(NULL, -EINVAL);
  int code = tls.SSL_CTX_use_certificate(ssl, own);
  tls.X509_free(own);
  if (code != 1) return tls_fail(NULL, -EINVAL);
  int32_t there;
  for (X509 *next; (there = tls_next_certificate(text, &next)) == 1;) {
    if (tls.SSL_CTX_ctrl(ssl, TLS_CTRL_EXTRA_CHAIN, 0, next) == 1) continue;  // OpenSSL's from now on
    tls.X509_free(next);
    return tls_fail(NULL, -EINVAL);
  }
  return there;
}

static int tls_no_password(char *to, int capacity, int is_writing, void *password) {
  (void)is_writing;
  size_t length = password ? strlen(password) : 0;
  if (length == 0 || length > (size_t)capacity) return -1;
  memcpy(to, password, length);
  return (int)length;
}

static int32_t tls_use_key(SSL_CTX *ssl, BIO *text, const uint8_t *password, uint32_t bytes) {
  char secret[1024];
  if (bytes >= sizeof secret) return -EINVAL;
  memcpy(secret, password, bytes);
  secret[bytes] = 0;
  void *key = tls.PEM_read_bio_PrivateKey(text, NULL, tls_no_password, secret);
  explicit_bzero(secret, sizeof secret);
  if (!key) return tls_fail(NULL, -EINVAL);
  int code = tls.SSL_CTX_use_PrivateKey(ssl, key);
  tls.EVP_PKEY_free(key);
  return code == 1 && tls.SSL_CTX_check_private_key(ssl) == 1 ? 0 : tls_fail(NULL, -EINVAL);
}

static int32_t tls_use_authorities(struct tls_context *context, BIO *text) {
  int32_t count = 0, there;
  for (X509 *next; (there = tls_next_certificate(text, &next)) == 1; count++) {
    int code = tls.X509_STORE_add_cert(tls.SSL_CTX_get_cert_store(context->ssl), next);
    if (code == 1 && context->is_server) tls.SSL_CTX_add_client_CA(context->ssl, next);
    tls.X509_free(next);
    if (code != 1) return tls_fail(NULL, -EINVAL);
  }
  return there < 0 ? there : count;
}

static int32_t tls_keep(uint8_t **to, uint32_t *to_bytes, const uint8_t *bytes, uint32_t length) {
  uint8_t *copy = malloc(length ? length : 1);
  if (!copy) return -ENOMEM;
  memcpy(copy, bytes, length);
  free(*to);
  *to = copy;
  *to_bytes = length;
  return 0;
}

// Tells whether each of a list's names has the length that stands before it.
static bool tls_are_protocols(const uint8_t *bytes, uint32_t length) {
  uint32_t at = 0;
  while (at < length && bytes[at] > 0) at += 1u + bytes[at];
  return at == length;
}

// The kinds of bytes that np_tls_use takes. src/tls/context.ts has this list.
enum tls_use { TLS_CHAIN, TLS_KEY, TLS_AUTHORITIES, TLS_PROTOCOLS, TLS_STATUS };

// Give a context, before anything begins with it, some bytes: PEM of certificates and keys (`more` is the
// password), protocols as they go over the wire, an OCSP response. 0 or above, or -errno.
EXPORT int32_t np_tls_use(int32_t id, int32_t what, const uint8_t *bytes, uint32_t length, const uint8_t *more,
                          uint32_t more_bytes) {
  struct tls_context *context = tls_context_of(id);
  if (!context || length > INT32_MAX) return -EBADF;
  if (what == TLS_STATUS) return tls_keep(&context->status, &context->status_bytes, bytes, length);
  if (what == TLS_PROTOCOLS) {
    if (!tls_are_protocols(bytes, length)) return -EINVAL;
    int32_t code = tls_keep(&context->protocols, &context->protocols_bytes, bytes, length);
    if (code < 0) return code;
    if (context->is_server) tls.SSL_CTX_set_alpn_select_cb(context->ssl, (void *)tls_on_protocols, context);
    else if (tls.SSL_CTX_set_alpn_protos(context->ssl, bytes, length)) return -EINVAL;
    return 0;
  }
  BIO *text = tls.BIO_new_mem_buf(bytes, (int)length);
  if (!text) return -ENOMEM;
  int32_t code = -EINVAL;
  if (what == TLS_CHAIN) code = tls_use_chain(context->ssl, text);
  if (what == TLS_KEY) code = tls_use_key(context->ssl, text, more, more_bytes);
  if (what == TLS_AUTHORITIES) code = tls_use_authorities(context, text);
  tls.BIO_free(text);
  return code;
}

// The settings of np_tls_set. src/tls/context.ts has this list.
enum tls_setting { TLS_VERIFY, TLS_DISTRIBUTION, TLS_KEY_LOG, TLS_ASKS, TLS_TIMEOUT };

// Set something of a context, before anything begins with it: whether the peer shows a certificate (0 no, 1 it
// may, 2 it must), the distribution's authorities, the descriptor of a key log, that the program chooses, and the
// time of a handshake in milliseconds.
EXPORT int32_t np_tls_set(int32_t id, int32_t what, int32_t value) {
  struct tls_context *context = tls_context_of(id);
  if (!context) return -EBADF;
  switch (what) {
    case TLS_VERIFY:
      value = value == 2 ? TLS_VERIFY_PEER | TLS_VERIFY_MUST : value == 1 ? TLS_VERIFY_PEER : 0;
      tls.SSL_CTX_set_verify(context->ssl, value, NULL);
      return 0;
    case TLS_DISTRIBUTION:
      return tls.SSL_CTX_set_default_verify_paths(context->ssl) == 1 ? 0 : tls_fail(NULL, -EINVAL);
    case TLS_KEY_LOG:
      if (context->key_log >= 0) close(context->key_log);
      context->key_log = fcntl(value, F_DUPFD_CLOEXEC, 0);
      if (context->key_log < 0) return -errno;
      tls.SSL_CTX_set_keylog_callback(context->ssl, tls_on_secret);
      return 0;
    case TLS_ASKS:
      tls.SSL_CTX_set_client_hello_cb(context->ssl, value ? (void *)tls_on_hello : NULL, NULL);
      return 0;
    case TLS_TIMEOUT:
      context->timeout_ms = value;
      return 0;
  }
  return -EINVAL;
}

// Show another context's certificate to clients that ask for this name, a text with its 0.
EXPORT int32_t np_tls_name(int32_t id, const char *name, int32_t other) {
  struct tls_context *context = tls_context_of(id);
  if (!context || id == other) return -EBADF;
  void *names = realloc(context->names, (size_t)(context->name_count + 1) * sizeof *context->names);
  if (!names) return -ENOMEM;
  context->names = names;
  char *copy = strdup(name);
  struct tls_context *named = copy ? tls_hold(other) : NULL;
  if (!named) {
    free(copy);
    return copy ? -EBADF : -ENOMEM;
  }
  context->names[context->name_count].name = copy;
  context->names[context->name_count++].context = named;
  return 0;
}

// ---- ends

// Send what is left of earlier records. 0 when nothing is left.
static int32_t tls_send_left(struct tls_end *end) {
  if (end->broken) return end->broken;  // a record was lost: the peer could make nothing of another
  while (end->left_at < end->left_bytes) {
    uint32_t rest = end->left_bytes - end->left_at;
    int32_t code = np_send_borrowed(end->fd, end->left, end->left_bytes, end->left_at, rest, 0);
    if (code < 0) return code;
    end->left_at += (uint32_t)code;
  }
  free(end->left);
  end->left = NULL;
  end->left_bytes = end->left_at = 0;
  return 0;
}

static int tls_bio_result(BIO *bio, int32_t code, int retry) {
  tls.BIO_clear_flags(bio, TLS_BIO_READ | TLS_BIO_WRITE | TLS_BIO_RETRY);
  if (code >= 0) return code;
  // Without room or memory in the kernel nothing is lost: the call is repeated.
  bool is_not_now = code == -EAGAIN || code == -ENOBUFS || code == -ENOMEM;
  if (is_not_now) tls.BIO_set_flags(bio, retry | TLS_BIO_RETRY);
  errno = -code;
  return -1;
}

// Take bytes that were received before TLS began. How many.
static int32_t tls_take_early(struct tls_end *end, char *to, uint32_t length) {
  uint32_t rest = end->early_bytes - end->early_at;
  if (length > rest) length = rest;
  memcpy(to, end->early + end->early_at, length);
  end->early_at += length;
  return (int32_t)length;
}

static int tls_bio_read(BIO *bio, char *to, int length) {
  struct tls_end *end = tls.BIO_get_data(bio);
  if (end->early_at < end->early_bytes) return tls_bio_result(bio, tls_take_early(end, to, (uint32_t)length), 0);
  if (end->idle > TLS_IDLE_MAX) return tls_bio_result(bio, -EPROTO, TLS_BIO_READ);
  int32_t code = receive(end->fd, (uint8_t *)to, (uint32_t)length);
  if (code == 0 && end->broken) code = end->broken;  // a send has taken the error of the socket
  end->has_ended = code == 0;
  return tls_bio_result(bio, code, TLS_BIO_READ);
}

// Keep records until the kernel takes bytes again. They go ahead of the next one.
static int32_t tls_leave(struct tls_end *end, const uint8_t *from, uint32_t length) {
  uint32_t rest = end->left_bytes - end->left_at;
  uint8_t *both = malloc(rest + length);
  if (!both) return -ENOBUFS;
  if (end->left) memcpy(both, end->left + end->left_at, rest);
  memcpy(both + rest, from, length);
  free(end->left);
  end->left = both;
  end->left_bytes = rest + length;
  end->left_at = 0;
  return (int32_t)length;
}

// Send records, and keep what the kernel does not take. What it took, or -errno: nothing is kept after an error that
// ends the connection.
static int32_t tls_send_records(struct tls_end *end, const uint8_t *from, uint32_t length) {
  int32_t sent = end->left ? -EAGAIN : np_send_borrowed(end->fd, from, length, 0, length, 0);
  if (sent < 0 && sent != -EAGAIN && sent != -ENOBUFS && sent != -ENOMEM) return sent;
  uint32_t taken = sent > 0 ? (uint32_t)sent : 0;
  if (taken == length) return sent;
  // A record that is lost cannot be made again.
  return tls_leave(end, from + taken, length - taken) < 0 ? -EPIPE : sent;
}

static int tls_bio_write(BIO *bio, const char *from, int length) {
  struct tls_end *end = tls.BIO_get_data(bio);
  struct tls_out *out = end->out;
  if (out && (out->is_gone || (out->is_last && out->bytes == 0))) {  // nothing to gather: it need not be copied
    out->is_gone = true;
    out->bytes += (uint32_t)length;
    out->sent = tls_send_records(end, (const uint8_t *)from, (uint32_t)length);
    return tls_bio_result(bio, out->sent < 0 && !end->left ? out->sent : length, TLS_BIO_WRITE);
  }
  if (out) {
    if (out->bytes + (uint32_t)length > sizeof out->data) return tls_bio_result(bio, -ENOBUFS, TLS_BIO_WRITE);
    memcpy(out->data + out->bytes, from, (size_t)length);
    out->bytes += (uint32_t)length;
    return tls_bio_result(bio, length, TLS_BIO_WRITE);
  }
  int32_t code = tls_send_left(end);
  if (code == 0) code = np_send_borrowed(end->fd, (const uint8_t *)from, (uint32_t)length, 0, (uint32_t)length, 0);
  if (code == -ENOBUFS || code == -ENOMEM) code = -EAGAIN;
  end->idle += end->is_receiving;
  // A handshake is gone on with when there is room; everything else is kept until then.
  if (code == -EAGAIN && (end->is_receiving || tls.SSL_is_init_finished(end->ssl))) {
    bool is_room = end->left_bytes - end->left_at + (uint32_t)length <= TLS_LEFT_BYTES_MAX;
    code = is_room ? tls_leave(end, (const uint8_t *)from, (uint32_t)length) : -ENOBUFS;
    if (code < 0) code = -EPROTO, end->idle = TLS_IDLE_MAX + 1;  // it asks for more, and reads none: it is refused
  }
  if (code < 0 && code != -EAGAIN && !end->broken) end->broken = code;
  return tls_bio_result(bio, code, TLS_BIO_WRITE);
}

static void tls_free(struct tls_end *end) {
  // OpenSSL takes the session of a connection back that was cut. Nobody has to since TLS 1.1 (RFC 4346 §7.2.1).
  if (end->ssl) tls.SSL_set_shutdown(end->ssl, TLS_SENT_SHUTDOWN);
  if (end->ssl) tls.SSL_free(end->ssl);
  tls_let_go(end->context);
  tls_let_go(end->chosen);
  free(end->name);
  free(end->early);
  free(end->left);
  free(end);
}

// Tells whether a close resets the connection, as far as is known: then the peer must not hear of an end in order.
static bool resets(int fd) {
  struct linger linger = {0};
  socklen_t length = sizeof linger;
  if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) < 0) return true;
  return linger.l_onoff && linger.l_linger == 0;
}

// Before a descriptor is closed. A peer that is not told of the end takes it for a cut (RFC 8446 §6.1): it is one
// when a thread ends and leaves the descriptor (`in_order` false).
static void tls_close(int32_t fd, bool in_order) {
  struct tls_end *end = tls_end_of(fd);
  if (!end) return;
  tls_of[fd] = NULL;
  bool may_tell = in_order && !end->left && !end->is_failed && tls.SSL_is_init_finished(end->ssl);
  bool has_told = tls.SSL_get_shutdown(end->ssl) & TLS_SENT_SHUTDOWN;
  if (may_tell && !has_told && !resets(fd)) tls.SSL_shutdown(end->ssl);
  tls.ERR_clear_error();
  tls_free(end);
}

static int32_t tls_set_host(SSL *ssl, const char *host, const uint8_t *ip, uint32_t ip_bytes) {
  if (ip_bytes > 0) return tls.X509_VERIFY_PARAM_set1_ip(tls.SSL_get0_param(ssl), ip, ip_bytes) == 1 ? 0 : -EINVAL;
  if (!host[0]) return 0;
  tls.SSL_set_hostflags(ssl, TLS_NAME_FLAGS);
  if (tls.SSL_set1_host(ssl, host) != 1) return -EINVAL;
  return tls.SSL_ctrl(ssl, TLS_CTRL_HOST, 0, (void *)host) == 1 ? 0 : -EINVAL;
}

// Begin TLS on a descriptor. Of a client: the host, a text with its 0 (empty for none), or the bytes of an IP
// address, that the certificate must be for; and a name for the server, with whose last session it goes on.
EXPORT int32_t np_tls_begin(int32_t fd, int32_t id, const char *host, const uint8_t *ip, uint32_t ip_bytes,
                            const char *server) {
  if (fd < 0 || fd >= OWNED_FDS) return -EBADF;
  if (tls_of[fd]) return -EEXIST;
  struct tls_end *end = calloc(1, sizeof *end);
  if (!end) return -ENOMEM;
  struct tls_context *context = end->context = tls_hold(id);
  if (!context) {
    free(end);
    return -EBADF;
  }
  end->fd = fd;
  end->next = 1;
  BIO *bio = tls.BIO_new(tls_bio);
  end->ssl = bio ? tls.SSL_new(context->ssl) : NULL;
  if (!end->ssl) {
    if (bio) tls.BIO_free(bio);
    tls_free(end);
    return tls_fail(NULL, -ENOMEM);
  }
  tls.BIO_set_data(bio, end);
  tls.BIO_set_init(bio, 1);
  tls.SSL_set_bio(end->ssl, bio, bio);
  if (context->is_server) tls.SSL_set_accept_state(end->ssl);
  else tls.SSL_set_connect_state(end->ssl);
  int32_t code = context->is_server ? 0 : tls_set_host(end->ssl, host, ip, ip_bytes);
  if (code < 0) {
    tls_free(end);
    return tls_fail(NULL, code);
  }
  if (!context->is_server && (end->name = strdup(server))) tls_go_on(end);
  tls_of[fd] = end;
  return 0;
}

// Let TLS that has just begun have bytes that were received before it. Without memory it has not begun.
EXPORT int32_t np_tls_feed(int32_t fd, const uint8_t *bytes, uint32_t length) {
  struct tls_end *end = tls_end_of(fd);
  if (!end || end->early) return -EBADF;
  end->early = malloc(length);
  if (!end->early) {
    tls_of[fd] = NULL;
    tls_free(end);
    return -ENOMEM;
  }
  memcpy(end->early, bytes, length);
  end->early_bytes = length;
  return 0;
}

// The time that the handshake of a descriptor has, in milliseconds, 0 for ever; -EBADF where there is no TLS.
EXPORT int32_t np_tls_timeout(int32_t fd) {
  struct tls_end *end = tls_end_of(fd);
  return end ? end->context->timeout_ms : -EBADF;
}

// The meaning of a call of OpenSSL that moved nothing: 0 is the peer's end, told in order.
static int32_t tls_result(struct tls_end *end, int count) {
  int was = errno;
  if (end->idle > TLS_IDLE_MAX) {
    tls.ERR_clear_error();
    end->error = TLS_REASON_IDLE;
    end->is_failed = true;
    return -EPROTO;
  }
  switch (tls.SSL_get_error(end->ssl, count)) {
    case TLS_ERROR_READ: case TLS_ERROR_WRITE: case TLS_ERROR_HELLO:
      tls.ERR_clear_error();
      return -EAGAIN;
    case TLS_ERROR_END:
      tls.ERR_clear_error();
      return 0;
    case TLS_ERROR_SYSCALL:
      tls.ERR_clear_error();
      return was ? -was : -EPROTO;
    default:
      end->is_failed = true;
      return tls_fail(end, -EPROTO);
  }
}

// The results of np_tls_handshake. src/tls/handshake.ts has this list.
enum tls_step { TLS_DONE, TLS_WANTS_READ, TLS_WANTS_WRITE, TLS_WANTS_CHOICE };

// Go on with the handshake: what it waits for, or -errno; -EPROTO when np_tls_failure says why.
EXPORT int32_t np_tls_handshake(int32_t fd) {
  struct tls_end *end = tls_end_of(fd);
  if (!end) return -EBADF;
  errno = 0;
  int done = tls.SSL_do_handshake(end->ssl);
  if (done == 1) tls_keep_renewed(end);
  if (done == 1) return TLS_DONE;
  switch (tls.SSL_get_error(end->ssl, done)) {
    case TLS_ERROR_READ: return TLS_WANTS_READ;
    case TLS_ERROR_WRITE: return TLS_WANTS_WRITE;
    case TLS_ERROR_HELLO: return TLS_WANTS_CHOICE;
  }
  int32_t code = tls_result(end, done);
  if (code != 0) return code;
  end->error = TLS_UNEXPECTED_EOF;  // an end in order, where there is nothing yet to end
  return -EPROTO;
}

// The program has chosen a context for a handshake that waits for it; -1 refuses the client.
EXPORT int32_t np_tls_choose(int32_t fd, int32_t id) {
  struct tls_end *end = tls_end_of(fd);
  if (!end) return -EBADF;
  if (!end->chosen) end->chosen = tls_hold(id);
  end->is_refused = !end->chosen;
  return 0;
}

// 1 if bytes or an end are here that the kernel does not tell of, and 0 if not. SSL_has_pending() holds for a record
// in part as well: a peer that stops amid one has us wait for it.
EXPORT int32_t np_tls_pending(int32_t fd) {
  struct tls_end *end = tls_end_of(fd);
  bool has_bytes = end && !end->is_in_part && tls.SSL_has_pending(end->ssl);
  return end && (has_bytes || end->early_at < end->early_bytes || (end->next < 1 && !end->is_told));
}

// Receive decrypted bytes into one piece: as many as are there. Bytes, 0 at the end, or -errno.
EXPORT int32_t np_tls_recv(int32_t fd, uint32_t slab, uint32_t offset, uint32_t length) {
  uint8_t *base = piece(slab, offset, length);
  struct tls_end *end = tls_end_of(fd);
  if (!base || !end) return -EFAULT;
  uint32_t total = 0;
  while (total < length && end->next > 0) {
    errno = 0;
    end->is_receiving = true;
    int count = tls.SSL_read(end->ssl, base + total, (int)(length - total));
    end->is_receiving = false;
    int32_t code = count > 0 ? count : tls_result(end, count);
    if (count > 0) total += (uint32_t)count, end->idle = 0;
    else if (code != -EAGAIN) end->next = code;
    end->is_in_part = code == -EAGAIN;
    if (code == -EAGAIN || !tls.SSL_has_pending(end->ssl)) break;
  }
  if (total > 0 || length == 0) return (int32_t)total;
  end->is_told = end->next <= 0;  // and again, by each call from now on
  return end->is_told ? end->next : -EAGAIN;
}

// Encrypt bytes of at most one record. 0, or -errno.
static int32_t tls_encrypt(struct tls_end *end, const uint8_t *bytes, uint32_t length) {
  for (uint32_t at = 0; at < length;) {  // a peer may ask for shorter records (RFC 6066 §4)
    errno = 0;
    int count = tls.SSL_write(end->ssl, bytes + at, (int)(length - at));
    if (count > 0) {
      at += (uint32_t)count;
      continue;
    }
    int32_t code = tls_result(end, count);
    return code == 0 ? -EPIPE : code == -EAGAIN ? -EPROTO : code;  // nothing waits: records go to memory
  }
  return 0;
}

// A place in a list of pieces.
struct tls_place { const struct iovec *pieces; int32_t count; size_t skip; };

// The bytes of the next record: in place where a piece has them all, and copied together otherwise. How many.
static uint32_t tls_next_record(struct tls_place *at, uint8_t *copy, const uint8_t **bytes) {
  uint32_t held = 0;
  while (at->count > 0 && held < TLS_RECORD_BYTES) {
    size_t length = at->pieces->iov_len;
    if (at->skip >= length) {
      at->skip -= length;
      at->pieces++;
      at->count--;
      continue;
    }
    const uint8_t *from = (const uint8_t *)at->pieces->iov_base + at->skip;
    size_t part = length - at->skip < TLS_RECORD_BYTES - held ? length - at->skip : TLS_RECORD_BYTES - held;
    at->skip += part;
    if (held == 0 && (part == TLS_RECORD_BYTES || at->count == 1)) {
      *bytes = from;
      return (uint32_t)part;
    }
    memcpy(copy + held, from, part);
    held += (uint32_t)part;
  }
  *bytes = copy;
  return held;
}

// Encrypt pieces, as much as one send carries. Plain bytes, or -errno.
static int32_t tls_gather(struct tls_end *end, struct tls_place *at, struct tls_out *out) {
  int32_t code = 0;
  uint32_t plain = 0;
  end->out = out;
  while (code == 0 && out->count < TLS_GATHER_RECORDS) {
    const uint8_t *bytes;
    uint32_t length = tls_next_record(at, out->copy, &bytes);
    if (length == 0) break;
    out->is_last = at->count == 0 || (at->count == 1 && at->skip == at->pieces->iov_len);
    code = tls_encrypt(end, bytes, length);
    out->records[out->count].plain = length;
    out->records[out->count++].end = out->bytes;
    plain += length;
  }
  end->out = NULL;
  return code < 0 ? code : (int32_t)plain;
}

// Encrypt and send pieces, the records of several together. Bytes, or -errno. Those of a record that has not left as a
// whole count when what is left has gone.
static int32_t tls_send_pieces(struct tls_end *end, const struct iovec *pieces, int32_t count) {
  int32_t code = tls_send_left(end);
  if (code < 0) return code;
  uint32_t plain = end->owed;  // these have left meanwhile
  end->owed = 0;
  struct tls_place at = {pieces, count, plain};
  struct tls_out out;  // not zeroed: it is large
  out.is_gone = false;
  out.bytes = out.count = 0;
  code = tls_gather(end, &at, &out);
  if (code < 0) return code;
  if (out.count == 0) return (int32_t)plain;
  if (!out.is_gone) out.sent = tls_send_records(end, out.data, out.bytes);
  if (!end->left) return out.sent < 0 ? out.sent : (int32_t)plain + code;
  uint32_t gone = out.bytes - (end->left_bytes - end->left_at);
  for (uint32_t i = 0; i < out.count; i++) *(out.records[i].end > gone ? &end->owed : &plain) += out.records[i].plain;
  return plain > 0 ? (int32_t)plain : out.sent < 0 ? out.sent : -EAGAIN;
}

// Encrypt and send pieces of slabs. Bytes, or -errno.
EXPORT int32_t np_tls_send(int32_t fd, const uint32_t *table, int32_t count) {
  struct tls_end *end = tls_end_of(fd);
  struct iovec pieces[IOVECS_MAX];
  int32_t code = end ? gather(table, count, pieces) : -EFAULT;
  return code < 0 ? code : tls_send_pieces(end, pieces, count);
}

// Encrypt and send from a borrowed array, as np_send_borrowed sends.
EXPORT int32_t np_tls_send_borrowed(int32_t fd, const uint8_t *array, uint32_t bytes, uint32_t offset,
                                    uint32_t length) {
  struct tls_end *end = tls_end_of(fd);
  if ((uint64_t)offset + length > bytes || !end) return -EFAULT;
  struct iovec all = {(void *)(array + offset), length};
  return tls_send_pieces(end, &all, 1);
}

// End our side: the peer is told, and then the socket's side ends too. -EAGAIN, and again when there is room.
EXPORT int32_t np_tls_shutdown(int32_t fd) {
  struct tls_end *end = tls_end_of(fd);
  if (!end) return -EBADF;
  bool has_told = tls.SSL_get_shutdown(end->ssl) & TLS_SENT_SHUTDOWN;
  if (!has_told && tls.SSL_is_init_finished(end->ssl)) tls.SSL_shutdown(end->ssl);
  tls.ERR_clear_error();
  int32_t code = tls_send_left(end);
  return code < 0 ? code : np_shutdown(fd, SHUT_WR);
}

// The facts of np_tls_about. src/tls/info.ts has this list.
enum tls_fact { TLS_PROTOCOL, TLS_CIPHER, TLS_ALPN, TLS_SERVER_NAME, TLS_CERTIFICATE, TLS_IS_RESUMED, TLS_ASKED_NAME };

static int32_t tls_certificate(SSL *ssl, uint8_t *out, uint32_t capacity) {
  X509 *certificate = tls.SSL_get1_peer_certificate(ssl);
  if (!certificate) return 0;
  int length = tls.i2d_X509(certificate, NULL);
  int32_t code = length > 0 && (uint32_t)length <= capacity ? tls.i2d_X509(certificate, &out) : -ENOBUFS;
  tls.X509_free(certificate);
  return code;
}

// Tell something of a connection, as text or DER. Bytes, 0 for what is not known, -ENOBUFS for too little room.
EXPORT int32_t np_tls_about(int32_t fd, int32_t what, uint8_t *out, uint32_t capacity) {
  struct tls_end *end = tls_end_of(fd);
  if (!end) return -EBADF;
  const unsigned char *protocol = NULL;
  unsigned length = 0;
  switch (what) {
    case TLS_PROTOCOL: return tls_text(tls.SSL_get_version(end->ssl), out, capacity);
    case TLS_CIPHER: {
      const void *cipher = tls.SSL_get_current_cipher(end->ssl);
      return tls_text(cipher ? tls.SSL_CIPHER_standard_name(cipher) : NULL, out, capacity);
    }
    case TLS_ALPN:
      tls.SSL_get0_alpn_selected(end->ssl, &protocol, &length);
      if (length > capacity) return -ENOBUFS;
      if (length) memcpy(out, protocol, length);
      return (int32_t)length;
    case TLS_SERVER_NAME: return tls_text(tls.SSL_get_servername(end->ssl, 0), out, capacity);
    case TLS_CERTIFICATE: return tls_certificate(end->ssl, out, capacity);
    case TLS_IS_RESUMED: return tls_text(tls.SSL_session_reused(end->ssl) ? "1" : "", out, capacity);
    case TLS_ASKED_NAME: return tls_text(end->name, out, capacity);
  }
  return -EINVAL;
}

// ---- zero copy ----------------------------------------------------------------------------------

// MSG_ZEROCOPY (Documentation/networking/msg_zerocopy): the kernel sends from our pages and numbers
// those sends of a socket from 0. Its error queue later tells which numbers are done with, as
// inclusive ranges: merged where they are neighbours, not always in order, and wrapping at 2^32.

// Sends as np_sendmsg does, from our own pages. A result above 0 has taken the socket's next number;
// -ENOBUFS, -EAGAIN and the rest have not. The socket must have SO_ZEROCOPY: without it the kernel
// copies, and numbers nothing.
EXPORT int32_t np_sendmsg_zero_copy(int32_t fd, const uint32_t *table, int32_t count, int32_t flags) {
  return send_pieces(CALL_SEND_ZERO_COPY, fd, table, count, flags | MSG_ZEROCOPY);
}

// The range that a message of the error queue tells, or null: timestamps and ICMP use it as well.
static const struct sock_extended_err *range_of(struct msghdr *message) {
  for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
    int is4 = at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_RECVERR;
    int is6 = at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_RECVERR;  // IPv4 mapped into it, too
    const struct sock_extended_err *range = (const void *)CMSG_DATA(at);
    if ((is4 || is6) && range->ee_origin == SO_EE_ORIGIN_ZEROCOPY && range->ee_errno == 0) return range;
  }
  return NULL;
}

// Take up to COMPLETIONS_MAX messages from a socket's error queue, and write the ranges down as
// (token, lo, hi, code). How many ranges; `taken` counts the messages, foreign ones too.
static int32_t take_completions(int32_t fd, uint32_t token, uint32_t *out, int32_t *taken) {
  int32_t count = 0;
  for (*taken = 0; *taken < COMPLETIONS_MAX; ++*taken) {
    union { struct cmsghdr align; char bytes[CONTROL_BYTES]; } control;
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
    if (RETRY(recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT)) < 0) break;
    // Unix sockets have no error queue, and overlook that they are asked for it (net/unix/af_unix.c).
    if (!(message.msg_flags & MSG_ERRQUEUE)) break;
    const struct sock_extended_err *range = range_of(&message);
    if (!range) continue;
    uint32_t *to = out + COMPLETION_WORDS * count++;
    to[0] = token;
    to[1] = range->ee_info;
    to[2] = range->ee_data;
    to[3] = range->ee_code;
  }
  return count;
}

// The content of a socket's error queue, as (0, lo, hi, code): code is 1 where the kernel has copied
// after all (SO_EE_CODE_ZEROCOPY_COPIED). At most 4 at a time; how many, 0 for none.
EXPORT int32_t np_completions(int32_t fd, uint32_t *out) {
  int32_t taken, count;
  do count = take_completions(fd, 0, out, &taken); while (count == 0 && taken > 0);
  return count;
}

// Abort a connection: its peer sees a reset, its descriptor stays open, and every zero-copy send
// that is under way completes (connect(2), AF_UNSPEC). close(2) would leave the kernel sending from
// pages of which nobody is told when they are free.
EXPORT int32_t np_disconnect(int32_t fd) {
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  return result(connect(fd, &none, sizeof none));
}

// The KiB that this process may have pinned (RLIMIT_MEMLOCK, which binds all processes of a user
// together); INT32_MAX where nothing binds it.
EXPORT int32_t np_pinned_max(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {0};
  if (syscall(SYS_capget, &header, data) == 0 && data[0].effective >> CAP_IPC_LOCK & 1) return INT32_MAX;
  struct rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0) return -errno;
  return limit.rlim_cur >> 10 > INT32_MAX ? INT32_MAX : (int32_t)(limit.rlim_cur >> 10);
}

// ---- epoll --------------------------------------------------------------------------------------

EXPORT int32_t np_epoll_create(void) {
  return own(result(epoll_create1(EPOLL_CLOEXEC)));
}

// A bit of ours among the events: drain the error queue of this socket of zero-copy completions. In
// epoll's data it is the top bit of the descriptor, which no descriptor has.
#define COMPLETIONS 0x01000000u
#define DRAINED 0x80000000u

// op: EPOLL_CTL_ADD 1, EPOLL_CTL_DEL 2, EPOLL_CTL_MOD 3. The token comes back with every event:
// epoll's data is the descriptor in its low and the token in its high half.
EXPORT int32_t np_epoll_ctl(int32_t epoll, int32_t op, int32_t fd, uint32_t token, uint32_t events) {
  uint32_t low = (uint32_t)fd | (events & COMPLETIONS ? DRAINED : 0);
  struct epoll_event event = {.events = events & ~COMPLETIONS, .data.u64 = (uint64_t)token << 32 | low};
  return counted(CALL_EPOLL_CTL, result(epoll_ctl(epoll, op, fd, &event)));
}

static int64_t wait_micros(int32_t epoll, struct epoll_event *events, int32_t capacity, int32_t micros) {
#ifdef SYS_epoll_pwait2
  if (micros > 0) {
    struct timespec timeout = {micros / 1000000, micros % 1000000 * 1000};
    int64_t count = syscall(SYS_epoll_pwait2, epoll, events, capacity, &timeout, NULL, (size_t)8);
    // ENOSYS before Linux 5.11. EPERM is no error of this call: it is how the filters of older
    // container runtimes refuse calls they do not know.
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
  }
#endif
  // Up to the next millisecond: a wait is never shorter than asked for.
  return epoll_wait(epoll, events, capacity, micros > 0 ? (micros - 1) / 1000 + 1 : micros);
}

// Drain the error queue of a socket that reports EPOLLERR. The events that are left of it: an error
// queue raises EPOLLERR by itself, and only together with EPOLLHUP is the connection over, too.
static uint32_t drain_event(const struct epoll_event *event, uint32_t *out, int32_t *count) {
  int32_t taken, fd = (int32_t)(event->data.u64 & ~DRAINED);
  *count += take_completions(fd, (uint32_t)(event->data.u64 >> 32), out + COMPLETION_WORDS * *count, &taken);
  return taken > 0 && !(event->events & EPOLLHUP) ? event->events & ~(uint32_t)EPOLLERR : event->events;
}

// Wait for at most `micros` microseconds (0 polls, -1 has no end). Pairs of (token, events) go to
// `out`; how many. An interrupted wait is one that saw nothing: a signal may be what the host waits
// for.
//
// Zero-copy completions of descriptors that asked for them go behind the `capacity` pairs, as
// (token, lo, hi, code), at most 4 for each pair; there must be room. How many is in the upper 16
// bits of the result. What is left in an error queue is reported again.
EXPORT int32_t np_epoll_wait(int32_t epoll, uint32_t *out, int32_t capacity, int32_t micros) {
  struct epoll_event events[EVENTS_MAX];
  int64_t seen = wait_micros(epoll, events, capacity < EVENTS_MAX ? capacity : EVENTS_MAX, micros);
  if (seen < 0) return counted(CALL_EPOLL_WAIT, errno == EINTR ? 0 : -errno);
  int32_t count = 0, completions = 0;
  for (int64_t i = 0; i < seen; i++) {
    uint32_t left = events[i].events;
    if (left & EPOLLERR && events[i].data.u64 & DRAINED) {
      left = drain_event(&events[i], out + 2 * capacity, &completions);
      if (left == 0) continue;
    }
    out[2 * count] = (uint32_t)(events[i].data.u64 >> 32);
    out[2 * count++ + 1] = left;
  }
  counters[3 * CALL_EPOLL_WAIT + 2] += micros != 0;  // a wait is never not ready: those that may block
  counters[BATCHES + (count > 0 ? 32 - __builtin_clz((uint32_t)count) : 0)]++;
  return counted(CALL_EPOLL_WAIT, count) | completions << 16;
}

// ---- clocks and counters ------------------------------------------------------------------------

static double micros_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

// Microseconds of CLOCK_MONOTONIC.
EXPORT double np_now(void) {
  return micros_of(CLOCK_MONOTONIC);
}

EXPORT int32_t np_eventfd(void) {
  return own(result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)));
}

EXPORT int32_t np_timerfd(void) {
  return own(result(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)));
}

// Expire every `micros` microseconds from now on; 0 stops it.
EXPORT int32_t np_timerfd_set(int32_t fd, uint32_t micros) {
  struct timespec every = {micros / 1000000, micros % 1000000 * 1000};
  struct itimerspec timer = {every, every};
  return result(timerfd_settime(fd, 0, &timer, NULL));
}

// Add one to an eventfd: it becomes readable.
EXPORT int32_t np_counter_add(int32_t fd) {
  uint64_t one = 1;
  int32_t code = RETRY(write(fd, &one, sizeof one));
  return code < 0 ? code : 0;
}

// A word that is lost is somebody who sleeps for ever, and the kernel may refuse it only just now.
static bool add_until_heard(int32_t fd) {
  for (int tries = 0; tries < WAKE_TRIES_MAX; tries++) {
    if (np_counter_add(fd) >= 0) return true;
  }
  return false;
}

// Take what an eventfd or a timerfd has counted: it is readable no more.
EXPORT int32_t np_counter_take(int32_t fd) {
  uint64_t count = 0;  // what is no counter may have fewer bytes
  int32_t code = RETRY(read(fd, &count, sizeof count));
  if (code < 0) return code;
  return count > INT32_MAX ? INT32_MAX : (int32_t)count;
}

// ---- waker --------------------------------------------------------------------------------------

// A thread that sleeps until the epoll descriptor is readable and then sends one byte into a socket
// pair, whose other end the runtime polls. It never calls into JavaScript: threadsafe callbacks
// crash both runtimes at teardown. It looks once an arming, so that a byte means "armed since the
// last byte".
struct waker {
  _Atomic int state;
  _Atomic uint16_t owner;
  int epoll, control, ours, theirs;
  ino_t theirs_inode;  // tells whether the runtime has closed its end, and which loop watches it
  dev_t theirs_device;
  pthread_t thread;
};

enum { WAKER_FREE, WAKER_TAKEN, WAKER_OPEN, WAKER_CLOSING };

static struct waker wakers[WAKERS_MAX];

static struct waker *open_waker(int32_t id) {
  if (id < 0 || id >= WAKERS_MAX) return NULL;
  return atomic_load(&wakers[id].state) == WAKER_OPEN ? &wakers[id] : NULL;
}

static int32_t ring(const struct waker *waker) {
  // A full socket has bytes in it that will wake the runtime all the same.
  int32_t code = RETRY(send(waker->ours, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
  return code == -EAGAIN ? 0 : code;
}

// A byte that is lost is a poller that sleeps for ever, and the kernel may only lack memory just now.
static void ring_until_sent(struct waker *waker) {
  for (int tries = 0; ring(waker) < 0 && tries < WAKE_TRIES_MAX; tries++) {
    if (atomic_load(&waker->state) == WAKER_CLOSING) return;
    poll(NULL, 0, 1);
  }
}

static void *watch(void *argument) {
  struct waker *waker = argument;
  prctl(PR_SET_NAME, "np-waker");  // what `top -H` shows
  struct pollfd armed = {.fd = waker->control, .events = POLLIN};
  struct pollfd both[2] = {armed, {.fd = waker->epoll, .events = POLLIN}};
  for (;;) {
    uint64_t count;
    if (poll(&armed, 1, -1) < 0) continue;
    bool is_armed = read(waker->control, &count, sizeof count) >= 0;
    if (atomic_load(&waker->state) == WAKER_CLOSING) return NULL;
    if (!is_armed) continue;
    // Armed. A second arming, or closing, ends this look and begins another.
    while (poll(both, 2, -1) < 0) {}
    if (both[1].revents) ring_until_sent(waker);
  }
}

static int32_t start(struct waker *waker) {
  pthread_attr_t attributes;
  sigset_t all, before;
  if (pthread_attr_init(&attributes)) return -ENOMEM;
  pthread_attr_setstacksize(&attributes, WAKER_STACK_BYTES);
  // Signals are the runtime's: its handlers must not run here.
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&waker->thread, &attributes, watch, waker);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  // -EAGAIN means "not ready" to everyone above; here it means that no thread is to be had.
  return code == EAGAIN ? -ENOMEM : -code;
}

// By number: glibc before 2.33 has no symbol fstat. An inode of 0 is none: the kernel has refused.
static struct stat file_of(int fd) {
  struct stat file = {0};
  for (int tries = 0; syscall(SYS_fstat, fd, &file) < 0 && tries < WAKE_TRIES_MAX; tries++) {}
  return file;
}

static int32_t prepare(struct waker *waker, int32_t epoll) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) return -errno;
  int control = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int32_t code = control < 0 ? -errno : 0;
  waker->epoll = epoll;
  waker->control = control;
  waker->ours = pair[0];
  waker->theirs = pair[1];
  struct stat theirs = file_of(pair[1]);
  if (code == 0 && theirs.st_ino == 0) code = -errno;  // nobody could tell whether the runtime has closed it
  waker->theirs_inode = theirs.st_ino;
  waker->theirs_device = theirs.st_dev;
  if (code == 0) code = start(waker);
  if (code == 0) return 0;
  if (control >= 0) close(control);
  close(pair[0]);
  close(pair[1]);
  return code;
}

// The hexadecimal number behind a name in a line, or UINT64_MAX. (The C library's own parsers have
// other symbols from version to version.)
static uint64_t hex_behind(const char *line, const char *name) {
  static const char digits[] = "0123456789abcdef";
  const char *at = strstr(line, name), *digit;
  if (!at) return UINT64_MAX;
  uint64_t number = 0;
  for (at += strlen(name); *at && (digit = strchr(digits, *at)); at++) {
    number = number << 4 | (uint64_t)(digit - digits);
  }
  return number;
}

// Tells whether an epoll descriptor watches the waker's socket, under whatever number it was added: the
// runtime may have duplicated it. fdinfo lists the inode and the device of all that an epoll
// descriptor watches (proc_pid_fdinfo(5)), the device as the kernel writes it.
static bool is_loop(int epoll, const struct waker *waker) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epoll);
  FILE *info = fopen(path, "re");
  if (!info) return false;
  uint64_t device = (uint64_t)major(waker->theirs_device) << 20 | minor(waker->theirs_device);
  bool found = false;
  while (!found && fgets(line, sizeof line, info)) {
    found = hex_behind(line, " ino:") == waker->theirs_inode && hex_behind(line, " sdev:") == device;
  }
  fclose(info);
  return found;
}

// The epoll descriptor in which the runtime watches the waker's socket: the event loop of the thread
// that adopted it. -ENOENT where there is none: no /proc, or a runtime that polls otherwise. Called
// once the first byte has come, for by then the runtime watches the socket.
EXPORT int32_t np_waker_loop(int32_t id) {
  struct waker *waker = open_waker(id);
  DIR *fds = waker ? opendir("/proc/self/fd") : NULL;
  if (!fds) return -ENOENT;
  int32_t loop = -ENOENT;
  const struct dirent *entry;
  while (loop < 0 && (entry = readdir(fds))) {
    char target[32] = {0};
    if (readlinkat(dirfd(fds), entry->d_name, target, sizeof target - 1) < 0) continue;
    if (strcmp(target, "anon_inode:[eventpoll]")) continue;
    int32_t fd = 0;
    for (const char *digit = entry->d_name; *digit; digit++) fd = fd * 10 + (*digit - '0');
    if (is_loop(fd, waker)) loop = fd;
  }
  closedir(fds);
  return loop;
}

// Start a waker for an epoll descriptor. Its number.
EXPORT int32_t np_waker_open(int32_t epoll) {
  if (!this_thread()) return -ENOMEM;
  for (int32_t id = 0; id < WAKERS_MAX; id++) {
    int expected = WAKER_FREE;
    if (!atomic_compare_exchange_strong(&wakers[id].state, &expected, WAKER_TAKEN)) continue;
    int32_t code = prepare(&wakers[id], epoll);
    atomic_store(&wakers[id].owner, this_thread());
    atomic_store(&wakers[id].state, code < 0 ? WAKER_FREE : WAKER_OPEN);
    return code < 0 ? code : id;
  }
  return -EMFILE;
}

// The end that the runtime adopts, polls, and closes.
EXPORT int32_t np_waker_socket(int32_t id) {
  struct waker *waker = open_waker(id);
  return waker ? waker->theirs : -EBADF;
}

// Send one byte as soon as the epoll descriptor is readable.
EXPORT int32_t np_waker_arm(int32_t id) {
  struct waker *waker = open_waker(id);
  return waker ? np_counter_add(waker->control) : -EBADF;
}

// Send one byte now. 1, or 0 when the socket is full of bytes that were not yet taken.
EXPORT int32_t np_waker_ring(int32_t id) {
  struct waker *waker = open_waker(id);
  return waker ? ring(waker) : -EBADF;
}

// End the thread and close this end. The epoll descriptor must still be open, or its number could
// be somebody else's by now.
EXPORT int32_t np_waker_close(int32_t id) {
  struct waker *waker = open_waker(id);
  int expected = WAKER_OPEN;
  // One of several that close it does: a supervisor may come at the same time as the owner.
  if (!waker || !atomic_compare_exchange_strong(&waker->state, &expected, WAKER_CLOSING)) return -EBADF;
  add_until_heard(waker->control);
  pthread_join(waker->thread, NULL);
  close(waker->control);
  close(waker->ours);
  atomic_store(&waker->owner, 0);  // first: free, it may be another thread's at once
  atomic_store(&waker->state, WAKER_FREE);
  return 0;
}

// ---- cluster ------------------------------------------------------------------------------------

// Descriptors on their way from the thread that accepts to the one that serves. Dmitry Vyukov's
// bounded queue: a slot's turn says whose it is, so that any thread may push and any may take: the
// supervisor takes what a Worker left that died. The bell is an eventfd, for the Worker's epoll.
struct slot { _Atomic uint32_t turn; int32_t fd; struct ends ends; };

static struct ring {
  _Alignas(CACHE_LINE) _Atomic int32_t users;  // 0: free, 1: being made or unmade, then one for each who uses it
  _Atomic uint16_t owner;  // the thread that serves
  _Atomic uint16_t maker;  // the thread that made it
  _Atomic int32_t number;  // of which ring this is the place now
  int32_t bell;
  struct slot *slots;      // mapped once and kept
  _Alignas(CACHE_LINE) _Atomic uint32_t head;
  _Alignas(CACHE_LINE) _Atomic uint32_t tail;
  atomic_bool is_rung;     // whoever serves has heard, or will, and takes until nothing is there
} rings[RINGS_MAX];

// A number is a place and how often that was given away: a Worker that is terminated while it starts
// may still ask for a ring that is gone, and must not get the one that has its place.
static struct ring *open_ring(int32_t id) {
  if (id < 0) return NULL;
  struct ring *ring = &rings[id % RINGS_MAX];
  return atomic_load(&ring->users) > 1 && atomic_load(&ring->number) == id ? ring : NULL;
}

static void leave_ring(struct ring *ring);

static int32_t prepare_ring(struct ring *ring) {
  uint16_t maker = this_thread();
  if (maker == 0) return -ENOMEM;  // a ring of nobody would never be closed
  const size_t bytes = RING_SLOTS * sizeof *ring->slots;
  if (!ring->slots) {
    void *slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) return -errno;
    ring->slots = slots;
  }
  ring->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (ring->bell < 0) return -errno;
  for (uint32_t i = 0; i < RING_SLOTS; i++) ring->slots[i].turn = i;
  ring->head = ring->tail = 0;
  ring->owner = 0;
  ring->maker = maker;
  ring->number += ring->number > RING_NUMBER_MAX ? -(ring->number / RINGS_MAX) * RINGS_MAX : RINGS_MAX;
  ring->is_rung = false;
  return 0;
}

// Make a ring, this thread's until it closes it or ends. Its number.
EXPORT int32_t np_ring_open(void) {
  for (int32_t at = 0; at < RINGS_MAX; at++) {
    struct ring *ring = &rings[at];
    int32_t expected = 0;
    if (!atomic_compare_exchange_strong(&ring->users, &expected, 1)) continue;
    if (ring->number == 0) ring->number = at;
    int32_t code = prepare_ring(ring), number = ring->number;
    atomic_store(&ring->users, code < 0 ? 0 : 2);
    return code < 0 ? code : number;
  }
  return -EMFILE;
}

// This thread serves what the ring brings, and uses it until it ends. The bell, to be watched
// edge-triggered: nobody reads it. -EBUSY while another thread serves; again by the same one is once.
EXPORT int32_t np_ring_join(int32_t id) {
  struct ring *ring = open_ring(id);
  int32_t users = ring ? atomic_load(&ring->users) : 0;
  do if (users < 2) return -EBADF;
  while (!atomic_compare_exchange_weak(&ring->users, &users, users + 1));
  if (atomic_load(&ring->number) != id) {
    leave_ring(ring);  // its place was given away meanwhile
    return -EBADF;
  }
  uint16_t owner = 0, self = this_thread();
  if (atomic_compare_exchange_strong(&ring->owner, &owner, self)) return ring->bell;
  leave_ring(ring);  // the end of a thread leaves a ring once
  return owner == self ? ring->bell : -EBUSY;
}

// The slot at a cursor whose turn is that far ahead of it, this thread's alone; null while it is not.
static struct slot *claim(struct ring *ring, _Atomic uint32_t *cursor, uint32_t lead, uint32_t *at) {
  *at = atomic_load(cursor);
  for (;;) {
    struct slot *slot = &ring->slots[*at % RING_SLOTS];
    int32_t ahead = (int32_t)(atomic_load(&slot->turn) - (*at + lead));
    if (ahead < 0) return NULL;
    if (ahead > 0) *at = atomic_load(cursor);
    else if (atomic_compare_exchange_weak(cursor, at, *at + 1)) return slot;
  }
}

// Hand a descriptor over, with the addresses of its ends, and ring unless somebody has. 0, or
// -EAGAIN when the ring is full: then it is still the caller's.
EXPORT int32_t np_ring_push(int32_t id, int32_t fd, const struct ends *ends) {
  struct ring *ring = open_ring(id);
  if (!ring) return -EBADF;
  uint32_t at;
  struct slot *slot = claim(ring, &ring->tail, 0, &at);
  if (!slot) return -EAGAIN;
  slot->fd = fd;
  slot->ends = *ends;
  set_owner(fd, 0);
  atomic_store(&slot->turn, at + 1);
  if (!atomic_exchange(&ring->is_rung, true) && !add_until_heard(ring->bell)) atomic_store(&ring->is_rung, false);
  return 0;
}

static int32_t take_slot(struct ring *ring, struct ends *ends) {
  uint32_t at;
  struct slot *slot = claim(ring, &ring->head, 1, &at);
  if (!slot) {
    // A push from here on rings; one just before is seen by the second look.
    atomic_store(&ring->is_rung, false);
    slot = claim(ring, &ring->head, 1, &at);
  }
  if (!slot) return -EAGAIN;
  int32_t fd = slot->fd;
  *ends = slot->ends;
  atomic_store(&slot->turn, at + RING_SLOTS);
  return fd;
}

// The next descriptor, this thread's from now on; -EAGAIN when there is none: only then does the
// next push ring.
EXPORT int32_t np_ring_take(int32_t id, struct ends *ends) {
  struct ring *ring = open_ring(id);
  return ring ? own(take_slot(ring, ends)) : -EBADF;
}

static void leave_ring(struct ring *ring) {
  if (atomic_fetch_sub(&ring->users, 1) > 2) return;
  struct ends ends;
  for (int32_t fd; (fd = take_slot(ring, &ends)) >= 0;) close(fd);
  close(ring->bell);
  atomic_store(&ring->users, 0);
}

// The maker of the ring uses it no more. It is gone, with what is in it, when its thread has ended too.
EXPORT int32_t np_ring_close(int32_t id) {
  struct ring *ring = open_ring(id);
  if (!ring || atomic_exchange(&ring->maker, 0) == 0) return -EBADF;
  leave_ring(ring);
  return 0;
}

static void spare_slab(struct slab *slab) {
  if (slab->is_mapped) {
    madvise(atomic_load(&slab->base), slab->bytes, MADV_DONTNEED);
    atomic_store(&slab->owner, SPARE);
    atomic_fetch_add(&spare_slabs, 1);
  } else {
    // The runtime's own memory went with the thread.
    atomic_store(&slab->base, NULL);
    atomic_store(&slab->owner, FREE);
    atomic_fetch_add(&free_slabs, 1);
  }
}

// Tells whether a socket may send without a copy.
static bool pins(int fd) {
  int on = 0;
  socklen_t length = sizeof on;
  return getsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, &length) == 0 && on;
}

// The kernel may still send from slabs that another thread is about to get: an aborted connection
// sends nothing any more.
static void abort_zero_copy(int fd) {
  if (pins(fd)) np_disconnect(fd);
}

// Wakers go first, for they look at an epoll descriptor.
static void close_wakers(uint16_t owner) {
  for (int32_t id = 0; id < WAKERS_MAX; id++) {
    if (atomic_load(&wakers[id].owner) != owner) continue;
    int theirs = wakers[id].theirs;
    ino_t inode = wakers[id].theirs_inode;
    // Bun closes what a Worker had adopted, Deno does not.
    if (np_waker_close(id) == 0 && file_of(theirs).st_ino == inode) close(theirs);
  }
}

static void leave_rings(uint16_t owner) {
  for (int32_t id = 0; id < RINGS_MAX; id++) {
    uint16_t expected = owner;
    if (atomic_compare_exchange_strong(&rings[id].owner, &expected, 0)) leave_ring(&rings[id]);
    expected = owner;
    if (atomic_compare_exchange_strong(&rings[id].maker, &expected, 0)) leave_ring(&rings[id]);
  }
}

static void close_all(uint16_t owner) {
  for (int32_t fd = 0; fd < atomic_load(&owned_fds); fd++) {
    uint16_t expected = owner;
    if (!atomic_compare_exchange_strong(&owner_of[fd], &expected, 0)) continue;
    tls_close(fd, false);
    close(fd);
  }
}

static void spare_slabs_of(uint16_t owner) {
  for (int32_t id = 0; id < SLABS_MAX && id < atomic_load(&slab_count); id++) {
    if (atomic_load(&slabs[id].owner) == owner) spare_slab(&slabs[id]);
  }
}

static void forget_slabs_of(uint16_t owner) {
  for (int32_t id = 0; id < SLABS_MAX && id < atomic_load(&slab_count); id++) {
    uint16_t expected = owner;
    atomic_compare_exchange_strong(&slabs[id].owner, &expected, 0);
  }
}

// A thread has ended: close what it left open.
static void give_back(void *thread) {
  uint16_t owner = (uint16_t)(uintptr_t)thread;
  close_wakers(owner);
  leave_rings(owner);
  for (int32_t fd = 0; fd < atomic_load(&owned_fds); fd++) {
    if (atomic_load(&owner_of[fd]) == owner) abort_zero_copy(fd);
  }
  close_all(owner);
  free_contexts_of(owner);
  spare_slabs_of(owner);
  atomic_store(&owners[owner], false);
}

// The module that this thread ran is unloaded, and another may come in its place: close what it left
// open. This may be the end of the process as well, so nothing is aborted: the kernel goes on
// delivering what it has taken. Slabs go, too, unless the module lives on (`with_slabs` 0); those
// from which the kernel may still send are nobody's from now on.
EXPORT int32_t np_give_back(int32_t with_slabs) {
  uint16_t owner = this_thread();
  if (owner == 0) return 0;
  bool may_send = false;
  for (int32_t fd = 0; fd < atomic_load(&owned_fds) && !may_send; fd++) {
    may_send = atomic_load(&owner_of[fd]) == owner && pins(fd);
  }
  close_wakers(owner);
  leave_rings(owner);
  close_all(owner);
  if (may_send) forget_slabs_of(owner);
  else if (with_slabs) spare_slabs_of(owner);
  return 0;
}
