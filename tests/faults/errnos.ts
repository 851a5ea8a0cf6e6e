/**
 * The errors that each kind of native call can end with, by the manual pages (man-pages 6, section
 * ERRORS).
 */
import { nameOf } from "../../src/core/errno.ts";
import type { Call } from "../support/faults.ts";

/** What is done to a call: the name of an error, less than was asked, or later. */
export type Effect = string;

/** A call that moves one byte. */
export const SHORT = "short";
/** A call that is made, and counted. */
export const NONE = "none";
/** A call that comes 3 ms later. */
export const LATE = "late";

/** Errors of a descriptor that is none, or no socket: of a program that closes what is not its own. */
const NO_SOCKET = "EBADF ENOTSOCK";

/**
 * The names by kind. What the kernel passes on from a network (accept(2), ip(7), tcp(7)), and what a
 * file system says, stands with the call that hears of it. `EAI_…` are getaddrinfo's own.
 */
const NAMES: Readonly<Record<Call, string>> = {
  socket: "EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT",
  socketpair: "EAFNOSUPPORT EFAULT EMFILE ENFILE ENOMEM EOPNOTSUPP EPROTONOSUPPORT",
  bind: `${NO_SOCKET} EACCES EADDRINUSE EADDRNOTAVAIL EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ` +
    "ENOMEM ENOTDIR EROFS",
  listen: `${NO_SOCKET} EADDRINUSE EOPNOTSUPP`,
  accept:
    `${NO_SOCKET} EAGAIN ECONNABORTED EFAULT EINTR EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPERM ` +
    "EPROTO ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH EOPNOTSUPP ENETUNREACH ETIMEDOUT",
  connect:
    `${NO_SOCKET} EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY ECONNREFUSED ` +
    "EFAULT EHOSTUNREACH EINPROGRESS EINTR EISCONN ENETUNREACH EPERM EPROTOTYPE ETIMEDOUT",
  sockname: `${NO_SOCKET} EFAULT EINVAL ENOBUFS ENOTCONN`,
  setsockopt: `${NO_SOCKET} EFAULT EINVAL ENOBUFS ENOMEM ENOPROTOOPT EPERM`,
  getsockopt: `${NO_SOCKET} EFAULT EINVAL ENOPROTOOPT`,
  shutdown: `${NO_SOCKET} EINVAL ENOTCONN`,
  close: "EBADF EDQUOT EINTR EIO ENOSPC",
  poll: "EFAULT EINTR EINVAL ENOMEM",
  ioctl: "EBADF EFAULT EINVAL ENOTTY",
  fcntl: "EBADF EBUSY EINVAL EMFILE ENOMEM EPERM",
  recv: `${NO_SOCKET} EAGAIN ECONNREFUSED ECONNRESET EFAULT EHOSTUNREACH EINTR EINVAL EIO ENOMEM ` +
    "ENOTCONN ETIMEDOUT",
  send:
    `${NO_SOCKET} EACCES EAGAIN ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL EIO EISCONN EMSGSIZE ` +
    "ENOBUFS ENOMEM ENOTCONN EOPNOTSUPP EPIPE ETIMEDOUT",
  sendZeroCopy:
    `${NO_SOCKET} EAGAIN ECONNRESET EFAULT EINTR EINVAL EMSGSIZE ENOBUFS ENOMEM ENOTCONN ` +
    "EOPNOTSUPP EPIPE",
  wake: "EAGAIN ECONNRESET EINTR ENOBUFS ENOMEM",
  completion: "EAGAIN EFAULT EINTR EINVAL ENOMEM",
  copied: "",
  fstat: "EBADF EFAULT EIO ENOMEM EOVERFLOW",
  pread: "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR ENXIO EOVERFLOW ESPIPE",
  pwrite: "EAGAIN EBADF EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC ENXIO EOVERFLOW EPERM ESPIPE",
  sendfile: "EAGAIN EBADF ECONNRESET EFAULT EINTR EINVAL EIO ENOMEM EOVERFLOW EPIPE ESPIPE",
  pipe: "EFAULT EINVAL EMFILE ENFILE",
  splice: "EAGAIN EBADF ECONNRESET EINTR EINVAL ENOMEM EPIPE ESPIPE",
  spliceFile: "EAGAIN EBADF EDQUOT EFBIG EINTR EINVAL EIO ENOMEM ENOSPC ESPIPE",
  epollCreate: "EINVAL EMFILE ENFILE ENOMEM",
  epollCtl: "EBADF EEXIST EINVAL ELOOP ENOENT ENOMEM ENOSPC EPERM",
  epollWait: "EBADF EFAULT EINTR EINVAL",
  eventfd: "EINVAL EMFILE ENFILE ENODEV ENOMEM",
  eventfdWrite: "EAGAIN EBADF EINTR EINVAL",
  eventfdRead: "EAGAIN EBADF EINTR EINVAL",
  timerfd: "EINVAL EMFILE ENFILE ENODEV ENOMEM EPERM",
  timerfdSet: "EBADF ECANCELED EFAULT EINVAL",
  mmap: "EACCES EAGAIN EINVAL ENFILE ENOMEM EPERM",
  munmap: "EINVAL ENOMEM",
  madvise: "EACCES EAGAIN EBADF EINVAL EIO ENOMEM EPERM",
  thread: "EAGAIN EINVAL ENOMEM EPERM",
  resolve:
    "EAI_AGAIN EAI_FAIL EAI_FAMILY EAI_MEMORY EAI_NODATA EAI_NONAME EAI_SERVICE EAI_SOCKTYPE " +
    "EINTR EMFILE ENOMEM",
  proc: "EACCES EMFILE ENFILE ENOENT ENOMEM ENOTDIR",
  limit: "EFAULT EINVAL EPERM",
  memory: "ENOMEM",
};

/** The calls that can move less than they are asked to. */
const SHORTENED: ReadonlySet<Call> = new Set<Call>([
  "recv",
  "send",
  "sendZeroCopy",
  "pread",
  "pwrite",
  "sendfile",
  "splice",
  "spliceFile",
]);

/** The codes of getaddrinfo (netdb.h), as numbers behind its base. */
const LOOKUPS: Readonly<Record<string, number>> = {
  EAI_NONAME: 2,
  EAI_AGAIN: 3,
  EAI_FAIL: 4,
  EAI_NODATA: 5,
  EAI_FAMILY: 6,
  EAI_SOCKTYPE: 7,
  EAI_SERVICE: 8,
  EAI_MEMORY: 10,
};
const RESOLVE_BASE = 4096;
/** The highest number that Linux has (asm-generic/errno.h). */
const ERRNO_MAX = 133;
const NUMBERS: ReadonlyMap<string, number> = new Map(
  Array.from({ length: ERRNO_MAX }, (_, i) => [nameOf(i + 1), i + 1]),
);

/** All that can be done to a kind of call. */
export function effectsOf(call: Call): Effect[] {
  const names = NAMES[call].split(" ").filter((name) => name !== "");
  return [...names, ...SHORTENED.has(call) ? [SHORT] : [], LATE];
}

/** The number that np_fault() has for the name of an error, positive. */
export function numberOf(name: string): number {
  const lookup = LOOKUPS[name];
  const number = lookup === undefined ? NUMBERS.get(name) : RESOLVE_BASE + lookup;
  if (number === undefined) throw new TypeError(`Cannot inject ${name}: no error has this name`);
  return number;
}
