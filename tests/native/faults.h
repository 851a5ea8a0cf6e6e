// faults.h: each system call of libnetpoll.c, so that a test can let it fail, do less, or be late.
//
// The compiler reads this file before libnetpoll.c (-include), and only for libnetpoll-faults.so and for
// tests/native: the library that is shipped has nothing of it. Below, each name of a system call becomes
// a macro, and a call of it asks first whether it has an effect. What libnetpoll.c does with the result
// is what it does with the kernel's.
#define _GNU_SOURCE
#define NP_FAULTS
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <linux/errqueue.h>

// The kinds of calls. tests/support/faults.ts has this list, and a test compares.
enum fault_kind {
  FAULT_SOCKET, FAULT_SOCKETPAIR, FAULT_BIND, FAULT_LISTEN, FAULT_ACCEPT, FAULT_CONNECT, FAULT_SOCKNAME,
  FAULT_SETSOCKOPT, FAULT_GETSOCKOPT, FAULT_SHUTDOWN, FAULT_CLOSE, FAULT_POLL, FAULT_IOCTL, FAULT_FCNTL,
  FAULT_RECV, FAULT_SEND, FAULT_SEND_ZERO_COPY, FAULT_WAKE, FAULT_COMPLETION, FAULT_COPIED, FAULT_FSTAT,
  FAULT_PREAD, FAULT_PWRITE, FAULT_SENDFILE, FAULT_PIPE, FAULT_SPLICE, FAULT_SPLICE_FILE,
  FAULT_EPOLL_CREATE, FAULT_EPOLL_CTL,
  FAULT_EPOLL_WAIT, FAULT_EVENTFD, FAULT_EVENTFD_WRITE, FAULT_EVENTFD_READ, FAULT_TIMERFD,
  FAULT_TIMERFD_SET, FAULT_MMAP, FAULT_MUNMAP, FAULT_MADVISE, FAULT_THREAD, FAULT_RESOLVE, FAULT_PROC,
  FAULT_LIMIT, FAULT_MEMORY, FAULT_KINDS,
};

enum {
  FAULT_LATE = 1 << 30,       // an effect from here on: the call comes so many microseconds later
  FAULT_RESOLVE_BASE = 4096,  // getaddrinfo's own codes, as np_resolve returns them
};

static struct fault { int32_t fd, skip, count, effect, used; } faults[FAULT_KINDS];
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

// Let `skip` calls of this kind pass, then give the next `count` of them an effect: a negative one
// is returned in place of the call, as -errno; a positive one is the most bytes that the call may
// move, or how late it is. `fd` < 0 is every descriptor. count 0 takes the fault away. -EINVAL for no
// such kind.
__attribute__((visibility("default")))
int32_t np_fault(int32_t kind, int32_t fd, int32_t skip, int32_t count, int32_t effect) {
  if (kind < 0 || kind >= FAULT_KINDS) return -EINVAL;
  pthread_mutex_lock(&fault_lock);
  faults[kind] = (struct fault){fd, skip, count, effect, 0};
  pthread_mutex_unlock(&fault_lock);
  return 0;
}

// The number of calls of a kind that have had their effect since it was set.
__attribute__((visibility("default")))
int32_t np_fault_used(int32_t kind) {
  if (kind < 0 || kind >= FAULT_KINDS) return -EINVAL;
  pthread_mutex_lock(&fault_lock);
  int32_t used = faults[kind].used;
  pthread_mutex_unlock(&fault_lock);
  return used;
}

// The effect that this call has; it has waited if it is late.
static int32_t injected(enum fault_kind kind, int32_t fd) {
  int32_t effect = 0;
  pthread_mutex_lock(&fault_lock);
  struct fault *fault = &faults[kind];
  if (fault->count > 0 && (fault->fd < 0 || fault->fd == fd)) {
    if (fault->skip > 0) {
      fault->skip--;
    } else {
      fault->count--;
      fault->used++;
      effect = fault->effect;
    }
  }
  pthread_mutex_unlock(&fault_lock);
  if (effect < FAULT_LATE) return effect;
  const struct timespec late = {0, (effect - FAULT_LATE) * 1000L};
  nanosleep(&late, NULL);
  return 0;
}

// True when the call fails, with errno set; otherwise `most` is how many bytes it may move.
static bool is_refused(enum fault_kind kind, int32_t fd, size_t *most) {
  int32_t effect = injected(kind, fd);
  if (effect > 0) *most = (size_t)effect;
  if (effect < 0) errno = -effect;
  return effect < 0;
}

static size_t least(size_t one, size_t other) {
  return one < other ? one : other;
}

// The first `most` bytes of a scatter/gather list.
static void cut(struct iovec *to, const struct iovec *from, size_t count, size_t most) {
  for (size_t i = 0; i < count; i++) {
    to[i] = (struct iovec){from[i].iov_base, least(from[i].iov_len, most)};
    most -= to[i].iov_len;
  }
}

enum { FAULT_IOVECS_MAX = 1024 };

// ---- calls that move bytes ----------------------------------------------------------------------

static ssize_t fault_recv(int fd, void *to, size_t length, int flags) {
  size_t most = SIZE_MAX;
  return is_refused(FAULT_RECV, fd, &most) ? -1 : recv(fd, to, least(length, most), flags);
}

static ssize_t fault_readv(int fd, const struct iovec *pieces, int count) {
  struct iovec fewer[FAULT_IOVECS_MAX];
  size_t most = SIZE_MAX;
  if (count > 0 && is_refused(FAULT_RECV, fd, &most)) return -1;
  cut(fewer, pieces, (size_t)count, most);
  return readv(fd, fewer, count);
}

// The socket of a waker that is full has bytes in it.
static ssize_t fault_wake(int fd, const void *from, size_t length, int flags) {
  int32_t effect = injected(FAULT_WAKE, fd);
  if (effect >= 0 || effect == -EAGAIN) return send(fd, from, length, flags);
  errno = -effect;
  return -1;
}

// Only a waker asks not to wait: what it sends is no connection's.
static ssize_t fault_send(int fd, const void *from, size_t length, int flags) {
  size_t most = SIZE_MAX;
  if (flags & MSG_DONTWAIT) return fault_wake(fd, from, length, flags);
  return is_refused(FAULT_SEND, fd, &most) ? -1 : send(fd, from, least(length, most), flags);
}

static ssize_t fault_writev(int fd, const struct iovec *pieces, int count) {
  struct iovec fewer[FAULT_IOVECS_MAX];
  size_t most = SIZE_MAX;
  if (count > 0 && is_refused(FAULT_SEND, fd, &most)) return -1;
  cut(fewer, pieces, (size_t)count, most);
  return writev(fd, fewer, count);
}

static ssize_t fault_sendmsg(int fd, const struct msghdr *message, int flags) {
  enum fault_kind kind = flags & MSG_ZEROCOPY ? FAULT_SEND_ZERO_COPY : FAULT_SEND;
  struct iovec fewer[FAULT_IOVECS_MAX];
  struct msghdr less = *message;
  size_t most = SIZE_MAX;
  if (is_refused(kind, fd, &most)) return -1;
  cut(fewer, message->msg_iov, message->msg_iovlen, most);
  less.msg_iov = fewer;
  return sendmsg(fd, &less, flags);
}

// What is received without the error queue is bytes, and descriptors with them.
static ssize_t fault_recv_rights(int fd, struct msghdr *message, int flags) {
  struct iovec fewer[FAULT_IOVECS_MAX];
  struct iovec *all = message->msg_iov;
  size_t most = SIZE_MAX;
  if (is_refused(FAULT_RECV, fd, &most)) return -1;
  cut(fewer, all, message->msg_iovlen, most);
  message->msg_iov = fewer;
  ssize_t value = recvmsg(fd, message, flags);
  message->msg_iov = all;
  return value;
}

// The effect of FAULT_COPIED is the code of a notification, 1 for copied. A notification that was cut
// off is a fault of ours: its memory would stay pinned, and tests must hear of it.
static ssize_t fault_recvmsg(int fd, struct msghdr *message, int flags) {
  size_t most;
  if (!(flags & MSG_ERRQUEUE)) return fault_recv_rights(fd, message, flags);
  if (is_refused(FAULT_COMPLETION, fd, &most)) return -1;
  ssize_t value = recvmsg(fd, message, flags);
  if (value < 0) return value;
  if (message->msg_flags & MSG_CTRUNC) __builtin_trap();
  struct cmsghdr *first = CMSG_FIRSTHDR(message);
  int32_t code = injected(FAULT_COPIED, fd);
  if (code > 0 && first) {
    struct sock_extended_err *range = (void *)CMSG_DATA(first);
    range->ee_code = (uint8_t)code;
  }
  return value;
}

// The kernel stops at the first datagram that it refuses, says why only when that is the first of a call, and
// comes upon it again in the next. So `skip` and `count` of a fault are of datagrams here, not of calls. Returns
// the number of datagrams that pass; -1, with errno set, for none.
static int passing(enum fault_kind kind, int32_t fd, unsigned count) {
  pthread_mutex_lock(&fault_lock);
  struct fault *fault = &faults[kind];
  bool is_meant = fault->count > 0 && (fault->fd < 0 || fault->fd == fd);
  int before = is_meant ? (int)least((size_t)fault->skip, count) : (int)count;
  if (is_meant) fault->skip -= before;
  pthread_mutex_unlock(&fault_lock);
  if (before > 0 || count == 0) return before;
  size_t most = count;
  return is_refused(kind, fd, &most) ? -1 : (int)least(most, count);
}

// Where calls are only counted (an effect of 0), datagrams are: each is a place for a fault.
static int count_each(enum fault_kind kind, int messages) {
  pthread_mutex_lock(&fault_lock);
  struct fault *fault = &faults[kind];
  if (messages > 1 && fault->count > 0 && fault->effect == 0) fault->used += messages - 1;
  pthread_mutex_unlock(&fault_lock);
  return messages;
}

// What the error queue has is no datagram.
static int fault_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
  enum fault_kind kind = flags & MSG_ERRQUEUE ? FAULT_COMPLETION : FAULT_RECV;
  int most = passing(kind, fd, count);
  return most < 0 ? -1 : count_each(kind, recvmmsg(fd, messages, (unsigned)most, flags, timeout));
}

static int fault_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  int most = passing(FAULT_SEND, fd, count);
  return most < 0 ? -1 : count_each(FAULT_SEND, sendmmsg(fd, messages, (unsigned)most, flags));
}

// One datagram.
static ssize_t fault_sendto(int fd, const void *from, size_t length, int flags, const struct sockaddr *to,
                            socklen_t bytes) {
  return passing(FAULT_SEND, fd, 1) < 0 ? -1 : sendto(fd, from, length, flags, to, bytes);
}

static ssize_t fault_pread(int fd, void *to, size_t length, off_t at) {
  size_t most = SIZE_MAX;
  return is_refused(FAULT_PREAD, fd, &most) ? -1 : pread(fd, to, least(length, most), at);
}

static ssize_t fault_pwrite(int fd, const void *from, size_t length, off_t at) {
  size_t most = SIZE_MAX;
  return is_refused(FAULT_PWRITE, fd, &most) ? -1 : pwrite(fd, from, least(length, most), at);
}

static ssize_t fault_sendfile(int to, int from, off_t *at, size_t length) {
  size_t most = SIZE_MAX;
  return is_refused(FAULT_SENDFILE, to, &most) ? -1 : sendfile(to, from, at, least(length, most));
}

static ssize_t fault_splice(int from, int to, off_t *at, size_t length, unsigned flags) {
  size_t most = SIZE_MAX;
  int kind = at == NULL ? FAULT_SPLICE : FAULT_SPLICE_FILE;
  return is_refused(kind, from, &most) ? -1 : splice(from, NULL, to, at, least(length, most), flags);
}

// ---- calls that have done something when they fail ----------------------------------------------

// Linux has released the descriptor, whatever close says (close(2), NOTES).
static int fault_close(int fd) {
  int32_t effect = injected(FAULT_CLOSE, fd);
  int code = close(fd);
  if (code < 0 || effect >= 0) return code;
  errno = -effect;
  return -1;
}

// An interrupted connect goes on by itself (connect(2)); one to nowhere of AF_UNSPEC ends what is there.
static int fault_connect(int fd, const struct sockaddr *to, socklen_t length) {
  int32_t effect = injected(FAULT_CONNECT, fd);
  if (effect >= 0) return connect(fd, to, length);
  if (effect == -EINTR || effect == -EINPROGRESS) {
    int code = connect(fd, to, length);
    if (code < 0 && errno != EINPROGRESS) return code;
  }
  errno = -effect;
  return -1;
}

// An eventfd that cannot count further is readable all the same (eventfd(2)).
static ssize_t fault_write(int fd, const void *from, size_t length) {
  int32_t effect = injected(FAULT_EVENTFD_WRITE, fd);
  if (effect == -EAGAIN && write(fd, from, length) < 0) return -1;
  errno = -effect;
  return effect < 0 ? -1 : write(fd, from, length);
}

// ---- calls with results of their own ------------------------------------------------------------

static int fault_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                             struct addrinfo **list) {
  int32_t effect = injected(FAULT_RESOLVE, -1);
  if (effect <= -FAULT_RESOLVE_BASE) return effect + FAULT_RESOLVE_BASE;
  errno = -effect;
  return effect < 0 ? EAI_SYSTEM : getaddrinfo(name, service, hints, list);
}

static enum fault_kind kind_of_number(long number) {
  if (number == SYS_fstat) return FAULT_FSTAT;
  return number == SYS_capget ? FAULT_LIMIT : FAULT_EPOLL_WAIT;
}

// The call, or -1 with errno where it is told to fail.
#define OR_FAULT(kind, fd, call)                                              \
  ({                                                                          \
    int32_t effect_ = injected(kind, fd);                                     \
    if (effect_ < 0) errno = -effect_;                                        \
    effect_ < 0 ? -1 : (call);                                                \
  })
#define OR_NULL(kind, call)                                                   \
  ({                                                                          \
    int32_t effect_ = injected(kind, -1);                                     \
    if (effect_ < 0) errno = -effect_;                                        \
    effect_ < 0 ? NULL : (call);                                              \
  })

#define socket(...) OR_FAULT(FAULT_SOCKET, -1, socket(__VA_ARGS__))
#define socketpair(...) OR_FAULT(FAULT_SOCKETPAIR, -1, socketpair(__VA_ARGS__))
#define bind(fd, ...) OR_FAULT(FAULT_BIND, fd, bind(fd, __VA_ARGS__))
#define listen(fd, ...) OR_FAULT(FAULT_LISTEN, fd, listen(fd, __VA_ARGS__))
#define accept4(fd, ...) OR_FAULT(FAULT_ACCEPT, fd, accept4(fd, __VA_ARGS__))
#define connect fault_connect
#define getsockname(fd, ...) OR_FAULT(FAULT_SOCKNAME, fd, getsockname(fd, __VA_ARGS__))
#define getpeername(fd, ...) OR_FAULT(FAULT_SOCKNAME, fd, getpeername(fd, __VA_ARGS__))
#define setsockopt(fd, ...) OR_FAULT(FAULT_SETSOCKOPT, fd, setsockopt(fd, __VA_ARGS__))
#define getsockopt(fd, ...) OR_FAULT(FAULT_GETSOCKOPT, fd, getsockopt(fd, __VA_ARGS__))
#define shutdown(fd, ...) OR_FAULT(FAULT_SHUTDOWN, fd, shutdown(fd, __VA_ARGS__))
#define close fault_close
#define poll(...) OR_FAULT(FAULT_POLL, -1, poll(__VA_ARGS__))
#define ioctl(fd, ...) OR_FAULT(FAULT_IOCTL, fd, ioctl(fd, __VA_ARGS__))
#define fcntl(fd, ...) OR_FAULT(FAULT_FCNTL, fd, fcntl(fd, __VA_ARGS__))
#define recv fault_recv
#define readv fault_readv
#define send fault_send
#define writev fault_writev
#define sendmsg fault_sendmsg
#define recvmsg fault_recvmsg
#define recvmmsg fault_recvmmsg
#define sendmmsg fault_sendmmsg
#define sendto fault_sendto
#define pread fault_pread
#define pwrite fault_pwrite
#define sendfile fault_sendfile
#define pipe2(...) OR_FAULT(FAULT_PIPE, -1, pipe2(__VA_ARGS__))
#define splice(from, from_at, to, to_at, length, flags) fault_splice(from, to, to_at, length, flags)
#define epoll_create1(...) OR_FAULT(FAULT_EPOLL_CREATE, -1, epoll_create1(__VA_ARGS__))
#define epoll_ctl(epoll, op, fd, event) OR_FAULT(FAULT_EPOLL_CTL, fd, epoll_ctl(epoll, op, fd, event))
#define epoll_wait(fd, ...) OR_FAULT(FAULT_EPOLL_WAIT, fd, epoll_wait(fd, __VA_ARGS__))
#define syscall(number, fd, ...) OR_FAULT(kind_of_number(number), FD_OF(fd), syscall(number, fd, __VA_ARGS__))
#define FD_OF(argument) _Generic((argument), int: (argument), default: -1)
#define eventfd(...) OR_FAULT(FAULT_EVENTFD, -1, eventfd(__VA_ARGS__))
#define write fault_write
#define read(fd, ...) OR_FAULT(FAULT_EVENTFD_READ, fd, read(fd, __VA_ARGS__))
#define timerfd_create(...) OR_FAULT(FAULT_TIMERFD, -1, timerfd_create(__VA_ARGS__))
#define timerfd_settime(fd, ...) OR_FAULT(FAULT_TIMERFD_SET, fd, timerfd_settime(fd, __VA_ARGS__))
#define mmap(...) ({ void *at_ = OR_NULL(FAULT_MMAP, mmap(__VA_ARGS__)); at_ ? at_ : MAP_FAILED; })
#define munmap(...) OR_FAULT(FAULT_MUNMAP, -1, munmap(__VA_ARGS__))
#define madvise(...) OR_FAULT(FAULT_MADVISE, -1, madvise(__VA_ARGS__))
#define OR_CODE(kind, call)                                                   \
  ({                                                                          \
    int32_t effect_ = injected(kind, -1);                                     \
    effect_ < 0 ? -effect_ : (call);                                          \
  })
#define pthread_create(...) OR_CODE(FAULT_THREAD, pthread_create(__VA_ARGS__))
#define pthread_key_create(...) OR_CODE(FAULT_THREAD, pthread_key_create(__VA_ARGS__))
#define pthread_setspecific(...) OR_CODE(FAULT_THREAD, pthread_setspecific(__VA_ARGS__))
#define getaddrinfo fault_getaddrinfo
#define opendir(...) OR_NULL(FAULT_PROC, opendir(__VA_ARGS__))
#define fopen(...) OR_NULL(FAULT_PROC, fopen(__VA_ARGS__))
#define readlinkat(...) OR_FAULT(FAULT_PROC, -1, readlinkat(__VA_ARGS__))
#define getrlimit(...) OR_FAULT(FAULT_LIMIT, -1, getrlimit(__VA_ARGS__))
#define malloc(...) OR_NULL(FAULT_MEMORY, malloc(__VA_ARGS__))
#define calloc(...) OR_NULL(FAULT_MEMORY, calloc(__VA_ARGS__))
#define realloc(...) OR_NULL(FAULT_MEMORY, realloc(__VA_ARGS__))
#define strdup(...) OR_NULL(FAULT_MEMORY, strdup(__VA_ARGS__))
#define strndup(...) OR_NULL(FAULT_MEMORY, strndup(__VA_ARGS__))
