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
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
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
enum { ABI = 7 };

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
  CALL_PIPE, CALL_PREAD, CALL_SENDFILE, CALL_SPLICE, CALL_SEND_ZERO_COPY, CALLS,
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
static pthread_once_t owner_once = PTHREAD_ONCE_INIT;

static void give_back(void *owner);

static void make_owner_key(void) {
  pthread_key_create(&owner_key, give_back);
}

// The number of this thread. Nobody's when there are too many: its end then gives nothing back.
static uint16_t this_thread(void) {
  pthread_once(&owner_once, make_owner_key);
  uintptr_t owner = (uintptr_t)pthread_getspecific(owner_key);
  for (uintptr_t id = 1; owner == 0 && id < OWNERS_MAX; id++) {
    bool expected = false;
    if (!atomic_compare_exchange_strong(&owners[id], &expected, true)) continue;
    pthread_setspecific(owner_key, (void *)id);
    owner = id;
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
  return fd < 0 ? fd : set_owner(fd, this_thread());
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
  if (atomic_load(&spare_slabs) == 0) return -1;
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

// The addresses of a connection, its peer's and ours: of family 0 when nobody has asked.
struct ends { struct address peer, local; };

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

// Two connected Unix stream sockets, written to `out`.
EXPORT int32_t np_socketpair(int32_t *out) {
  int32_t code = result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, out));
  for (int i = 0; code == 0 && i < 2; i++) own(out[i]);
  return code;
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

// Whether there is something to read, to accept, or an error to hear of: 1 or 0. A tenth of what an
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

// Close. Never repeated after EINTR: Linux has released the descriptor by then (close(2)).
EXPORT int32_t np_close(int32_t fd) {
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
  own(fd);
  return 0;
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

// Receive into one piece of a socket's memory. Bytes, 0 at the end, or -errno.
EXPORT int32_t np_recv(int32_t fd, uint32_t slab, uint32_t offset, uint32_t length) {
  uint8_t *base = piece(slab, offset, length);
  if (!base) return -EFAULT;
  return counted(CALL_RECV, RETRY(recv(fd, base, length, 0)));
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

// Send a piece of a file from a position of its own, in two halves; the file's own stays. Bytes, or
// 0 behind the end. A closed peer is -EPIPE because both runtimes ignore SIGPIPE.
EXPORT int32_t np_sendfile(int32_t to, int32_t from, uint32_t low, uint32_t high, uint32_t length) {
  off_t at = position(low, high);
  return counted(CALL_SENDFILE, RETRY(sendfile(to, from, &at, length)));
}

// A pipe, non-blocking and close-on-exec: its reading and its writing end go to `out`.
EXPORT int32_t np_pipe(int32_t *out) {
  int32_t code = counted(CALL_PIPE, result(pipe2(out, O_NONBLOCK | O_CLOEXEC)));
  for (int i = 0; code == 0 && i < 2; i++) own(out[i]);
  return code;
}

// Make a pipe hold so many bytes. How many it holds.
EXPORT int32_t np_pipe_resize(int32_t fd, uint32_t bytes) {
  return result(fcntl(fd, F_SETPIPE_SZ, bytes));
}

// Move bytes without reading them; one of both is a pipe, neither waits. Bytes, or 0 at the end.
EXPORT int32_t np_splice(int32_t from, int32_t to, uint32_t length) {
  return counted(CALL_SPLICE, RETRY(splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)));
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
    if (read(waker->control, &count, sizeof count) < 0) continue;
    if (atomic_load(&waker->state) == WAKER_CLOSING) return NULL;
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

static struct stat file_of(int fd) {
  struct stat file = {0};
  syscall(SYS_fstat, fd, &file);  // by number: glibc before 2.33 has no symbol fstat
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

// Whether an epoll descriptor watches the waker's socket, under whatever number it was added: the
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
  np_counter_add(waker->control);
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
  ring->maker = this_thread();
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
  if (!atomic_exchange(&ring->is_rung, true)) np_counter_add(ring->bell);
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

// Whether a socket may send without a copy.
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
    if (atomic_compare_exchange_strong(&owner_of[fd], &expected, 0)) close(fd);
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
