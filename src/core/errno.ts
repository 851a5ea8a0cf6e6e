/**
 * The meaning of the kernel's error numbers. Linux has the same numbers on x64 and arm64
 * (asm-generic/errno-base.h, asm-generic/errno.h).
 */

const TABLE: Readonly<Record<number, readonly [name: string, meaning: string]>> = {
  1: ["EPERM", "not permitted"],
  2: ["ENOENT", "no such file or directory"],
  3: ["ESRCH", "no such process"],
  4: ["EINTR", "interrupted"],
  5: ["EIO", "input or output failed"],
  6: ["ENXIO", "nobody is behind that file"],
  7: ["E2BIG", "too many arguments"],
  8: ["ENOEXEC", "not a program"],
  9: ["EBADF", "not an open descriptor"],
  10: ["ECHILD", "no such child"],
  11: ["EAGAIN", "not ready"],
  12: ["ENOMEM", "out of memory"],
  13: ["EACCES", "permission denied"],
  14: ["EFAULT", "not our memory"],
  16: ["EBUSY", "busy"],
  17: ["EEXIST", "it exists already"],
  18: ["EXDEV", "on another file system"],
  19: ["ENODEV", "no such device"],
  20: ["ENOTDIR", "not a directory"],
  21: ["EISDIR", "it is a directory"],
  22: ["EINVAL", "invalid argument"],
  23: ["ENFILE", "too many open files on this machine"],
  24: ["EMFILE", "too many open files in this process"],
  25: ["ENOTTY", "not a terminal"],
  26: ["ETXTBSY", "the file is a program that runs"],
  27: ["EFBIG", "the file is too large"],
  28: ["ENOSPC", "no space left"],
  29: ["ESPIPE", "it has no positions"],
  30: ["EROFS", "read-only file system"],
  31: ["EMLINK", "too many links"],
  32: ["EPIPE", "the peer has closed the connection"],
  33: ["EDOM", "the argument is out of its domain"],
  34: ["ERANGE", "the result is out of range"],
  35: ["EDEADLK", "it would wait for itself"],
  36: ["ENAMETOOLONG", "the name is too long"],
  37: ["ENOLCK", "no locks left"],
  38: ["ENOSYS", "this kernel does not have it"],
  39: ["ENOTEMPTY", "the directory is not empty"],
  40: ["ELOOP", "too many symbolic links"],
  42: ["ENOMSG", "no such message"],
  43: ["EIDRM", "it was removed"],
  60: ["ENOSTR", "not a stream"],
  61: ["ENODATA", "no data"],
  62: ["ETIME", "the time is over"],
  63: ["ENOSR", "no resources for streams left"],
  64: ["ENONET", "not on the network"],
  67: ["ENOLINK", "the link is gone"],
  71: ["EPROTO", "protocol error"],
  72: ["EMULTIHOP", "several hops"],
  74: ["EBADMSG", "not a message"],
  75: ["EOVERFLOW", "the value is too large for its type"],
  84: ["EILSEQ", "not a character"],
  88: ["ENOTSOCK", "not a socket"],
  89: ["EDESTADDRREQ", "it wants an address to send to"],
  90: ["EMSGSIZE", "the message is too long"],
  91: ["EPROTOTYPE", "the protocol is of another type"],
  92: ["ENOPROTOOPT", "no such option"],
  93: ["EPROTONOSUPPORT", "protocol not supported"],
  94: ["ESOCKTNOSUPPORT", "type of socket not supported"],
  95: ["EOPNOTSUPP", "not supported"],
  97: ["EAFNOSUPPORT", "address family not supported"],
  98: ["EADDRINUSE", "the address is in use"],
  99: ["EADDRNOTAVAIL", "no such address on this machine"],
  100: ["ENETDOWN", "the network is down"],
  101: ["ENETUNREACH", "the network is unreachable"],
  102: ["ENETRESET", "the network has reset the connection"],
  103: ["ECONNABORTED", "the connection was aborted"],
  104: ["ECONNRESET", "the peer has reset the connection"],
  105: ["ENOBUFS", "no buffer space"],
  106: ["EISCONN", "already connected"],
  107: ["ENOTCONN", "not connected"],
  108: ["ESHUTDOWN", "the other end was shut down"],
  109: ["ETOOMANYREFS", "too many descriptors are under way"],
  110: ["ETIMEDOUT", "the kernel's own time ran out"],
  111: ["ECONNREFUSED", "nobody listens there"],
  112: ["EHOSTDOWN", "the host is down"],
  113: ["EHOSTUNREACH", "no route to the host"],
  114: ["EALREADY", "already under way"],
  115: ["EINPROGRESS", "under way"],
  116: ["ESTALE", "the file is gone from its server"],
  117: ["EUCLEAN", "the file system is damaged"],
  121: ["EREMOTEIO", "input or output failed on the other side"],
  122: ["EDQUOT", "the quota is used up"],
  125: ["ECANCELED", "cancelled"],
  133: ["EHWPOISON", "the memory is damaged"],
};

/** The name of an error number, like `"ECONNREFUSED"`. */
export function nameOf(errno: number): string {
  return TABLE[errno]?.[0] ?? `E${errno}`;
}

/** The number of an error that has this name; 0 for none. */
export function numberOf(name: string): number {
  for (const [errno, [its]] of Object.entries(TABLE)) if (its === name) return Number(errno);
  return 0;
}

/** The meaning of an error number, in a few words. */
export function describe(errno: number): string {
  return TABLE[errno]?.[1] ?? "an error this version has no words for";
}

/** The numbers that the code asks for by name. */
export const ERRNO = {
  EPERM: 1,
  EPROTO: 71,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EEXIST: 17,
  ENFILE: 23,
  EMFILE: 24,
  EINVAL: 22,
  EISDIR: 21,
  ESPIPE: 29,
  EPIPE: 32,
  ENONET: 64,
  EMSGSIZE: 90,
  ENOPROTOOPT: 92,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EINPROGRESS: 115,
} as const;

/** The result of a call that would have to wait: an outcome, not an error. */
export const NOT_READY = -ERRNO.EAGAIN;

/**
 * Whether the kernel could not move bytes just now, for want of room or of memory. Nothing is lost: the
 * descriptor is reported ready again, and the call is repeated.
 */
export function isNotNow(count: number): boolean {
  return count === NOT_READY || count === -ERRNO.ENOBUFS || count === -ERRNO.ENOMEM;
}

/** The errors that ICMP makes (net/ipv4/icmp.c, icmp_err_convert; net/ipv6/icmp.c). */
const OF_NETWORK: ReadonlySet<number> = new Set([
  ERRNO.EACCES,
  ERRNO.ECONNREFUSED,
  ERRNO.EHOSTDOWN,
  ERRNO.EHOSTUNREACH,
  ERRNO.EMSGSIZE,
  ERRNO.ENETUNREACH,
  ERRNO.ENONET,
  ERRNO.ENOPROTOOPT,
  ERRNO.EOPNOTSUPP,
  ERRNO.EPROTO,
]);

/** Whether an error may be of a datagram that was sent before, of which the network has told. */
export function isOfNetwork(errno: number): boolean {
  return OF_NETWORK.has(errno);
}
