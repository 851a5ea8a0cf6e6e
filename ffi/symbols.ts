/**
 * The functions of libnetpoll.c: names, types and contracts in one table, from which both adapters
 * and the interface are made.
 *
 * A result is `>= 0`, or `-errno`. Memory travels as (slab, offset, length). Hot calls get integers
 * only and their exact number of arguments: anything else leaves the fast path of the runtime
 * (docs/decisions/0003-native-boundary.md).
 */

/** An address of native memory, in whatever form the runtime has for it. */
export type Pointer = unknown;

/**
 * The values that cross the boundary: 32-bit integers, doubles, and typed arrays for the length of a call.
 */
export type NativeType = "i32" | "u32" | "f64" | "buffer" | "pointer";

/** A function of a library: its name in C, its parameters, its result. */
export type Signature = readonly [
  name: string,
  parameters: readonly NativeType[],
  result: NativeType,
];

/** A signature that says as what TypeScript calls the function. */
type Typed<Call> = Signature & {
  /** Never there: the compiler alone reads it. */
  readonly call?: Call;
};

function call<Call>(
  name: string,
  parameters: readonly NativeType[],
  result: NativeType,
): Typed<Call> {
  return [name, parameters, result];
}

/** The version of the boundary that these signatures describe; `np_abi()` must answer it. */
export const ABI = 12;

/** Every function, with its contract. */
export const SYMBOLS = {
  /** The version of the boundary. */
  abi: call<() => number>("np_abi", [], "i32"),
  /**
   * The counts of this thread's calls so far, up to `capacity` numbers, go to `out`
   * (src/metrics/call_counts.ts says which). How many there are.
   */
  counters: call<(out: Float64Array, capacity: number) => number>(
    "np_counters",
    ["buffer", "i32"],
    "i32",
  ),

  /** Maps a slab of zeroed memory (`bytes` a multiple of 2 MiB). Its number. */
  slabMap: call<(bytes: number) => number>("np_slab_map", ["u32"], "i32"),
  /** Makes the runtime's own memory a slab: it must live and stay in place for ever. Its number. */
  slabRegister: call<(base: Uint8Array, bytes: number) => number>("np_slab_register", [
    "buffer",
    "u32",
  ], "i32"),
  /** The address of a slab, for `Host.wrap`. */
  slabAddress: call<(slab: number) => Pointer>("np_slab_address", ["u32"], "pointer"),
  /** Gives a slab's pages back to the kernel; the memory reads as zeros afterwards. */
  slabDiscard: call<(slab: number) => number>("np_slab_discard", ["u32"], "i32"),
  /** The first place of `needle` in a piece of a slab, or -1. */
  find: call<
    (
      slab: number,
      offset: number,
      length: number,
      needle: Uint8Array,
      needleBytes: number,
    ) => number
  >("np_find", ["u32", "u32", "u32", "buffer", "u32"], "i32"),

  /**
   * Looks up a zero-terminated host name, blocking; addresses go to `out`. How many, or a code
   * below -4096.
   */
  resolve: call<(name: Uint8Array, family: number, out: Uint32Array, capacity: number) => number>(
    "np_resolve",
    ["buffer", "i32", "buffer", "u32"],
    "i32",
  ),

  /** A non-blocking stream socket. */
  socket: call<(family: number) => number>("np_socket", ["i32"], "i32"),
  /** A non-blocking datagram socket. */
  datagramSocket: call<(family: number) => number>("np_datagram_socket", ["i32"], "i32"),
  /** Two connected Unix sockets. */
  socketpair: call<(out: Int32Array) => number>("np_socketpair", ["buffer"], "i32"),
  /** Gives a socket its own address. */
  bind: call<(fd: number, address: Uint32Array) => number>("np_bind", ["i32", "buffer"], "i32"),
  /** Lets a bound socket take connections. */
  listen: call<(fd: number, backlog: number) => number>("np_listen", ["i32", "i32"], "i32"),
  /** Takes a connection; who it is from goes to `peer`. Its descriptor. */
  accept: call<(fd: number, peer: Uint32Array) => number>("np_accept", ["i32", "buffer"], "i32"),
  /** Whether something can be read or accepted, or there is an error to hear of: 1 or 0. */
  readable: call<(fd: number) => number>("np_readable", ["i32"], "i32"),
  /** Bytes that were received and not read. */
  unread: call<(fd: number) => number>("np_unread", ["i32"], "i32"),
  /** Begins to connect: 0, or `-EINPROGRESS` when an event will tell. */
  connect: call<(fd: number, address: Uint32Array) => number>(
    "np_connect",
    ["i32", "buffer"],
    "i32",
  ),
  /** The address of this end (`peer` 0) or of the other (1). */
  name: call<(fd: number, peer: number, out: Uint32Array) => number>("np_name", [
    "i32",
    "i32",
    "buffer",
  ], "i32"),
  /** Sets an option from `bytes` bytes of `values`. */
  setsockopt: call<
    (fd: number, level: number, name: number, values: Int32Array, bytes: number) => number
  >("np_setsockopt", ["i32", "i32", "i32", "buffer", "u32"], "i32"),
  /**
   * Chooses the socket of a group by `length` bytes at an offset of each datagram, of `count`: its
   * place in the order in which they were bound.
   */
  steer: call<(fd: number, offset: number, length: number, count: number) => number>("np_steer", [
    "i32",
    "u32",
    "u32",
    "u32",
  ], "i32"),
  /** Gets an option into `values`. How many bytes it has. */
  getsockopt: call<
    (fd: number, level: number, name: number, values: Int32Array, bytes: number) => number
  >("np_getsockopt", ["i32", "i32", "i32", "buffer", "u32"], "i32"),
  /** Ends reading (0), writing (1) or both (2). */
  shutdown: call<(fd: number, how: number) => number>("np_shutdown", ["i32", "i32"], "i32"),
  /** Bytes of a TCP socket that were not acknowledged, and the end of sending as one. */
  unacked: call<(fd: number) => number>("np_unacked", ["i32"], "i32"),
  /** Closes a descriptor. */
  close: call<(fd: number) => number>("np_close", ["i32"], "i32"),
  /** Makes somebody else's descriptor non-blocking and close-on-exec. */
  adopt: call<(fd: number) => number>("np_adopt", ["i32"], "i32"),

  /** Receives into one piece. Bytes, 0 at the end of the stream. */
  recv: call<(fd: number, slab: number, offset: number, length: number) => number>("np_recv", [
    "i32",
    "u32",
    "u32",
    "u32",
  ], "i32"),
  /**
   * Receives to the end of an array of `bytes` bytes, from `offset` on, or only looks at what is there
   * (`flags`: MSG_PEEK).
   */
  recvArray: call<
    (fd: number, array: Uint8Array, bytes: number, offset: number, flags: number) => number
  >("np_recv_array", ["i32", "buffer", "u32", "u32", "i32"], "i32"),
  /** Reads into `count` pieces, triplets of (slab, offset, length) in `table`. */
  readv: call<(fd: number, table: Uint32Array, count: number) => number>("np_readv", [
    "i32",
    "buffer",
    "i32",
  ], "i32"),
  /** Sends one piece. */
  send: call<(fd: number, slab: number, offset: number, length: number, flags: number) => number>(
    "np_send",
    ["i32", "u32", "u32", "u32", "i32"],
    "i32",
  ),
  /** Sends `count` pieces in one call. */
  sendmsg: call<(fd: number, table: Uint32Array, count: number, flags: number) => number>(
    "np_sendmsg",
    ["i32", "buffer", "i32", "i32"],
    "i32",
  ),
  /** Sends `count` pieces, the first byte with `fdCount` descriptors, which stay open here. */
  sendRights: call<
    (fd: number, table: Uint32Array, count: number, fds: Int32Array, fdCount: number) => number
  >("np_send_rights", ["i32", "buffer", "i32", "buffer", "i32"], "i32"),
  /**
   * Receives into one piece. Bytes, 0 at the end of the stream; the number of descriptors that came
   * with them, whether more came than could be taken, and the descriptors go to `out`.
   */
  recvRights: call<
    (fd: number, slab: number, offset: number, length: number, out: Int32Array) => number
  >("np_recv_rights", ["i32", "u32", "u32", "u32", "buffer"], "i32"),
  /** Writes `count` pieces to what is no socket. */
  writev: call<(fd: number, table: Uint32Array, count: number) => number>("np_writev", [
    "i32",
    "buffer",
    "i32",
  ], "i32"),
  /** Sends from the user's own array, whose `byteLength` was read just before the call. */
  sendBorrowed: call<
    (
      fd: number,
      array: Uint8Array,
      bytes: number,
      offset: number,
      length: number,
      flags: number,
    ) => number
  >("np_send_borrowed", ["i32", "buffer", "u32", "u32", "u32", "i32"], "i32"),

  /**
   * Receives up to `count` datagrams, or trains of them, each into the memory of its record
   * (src/datagram/record.ts). How many.
   */
  recvmmsg: call<(fd: number, table: Uint32Array, count: number) => number>("np_recvmmsg", [
    "i32",
    "buffer",
    "i32",
  ], "i32"),
  /**
   * Sends the datagrams of `count` records from the `first` one on. How many the kernel has taken: it
   * stops at one that it refuses, and says why only when that is the first.
   */
  sendmmsg: call<(fd: number, table: Uint32Array, first: number, count: number) => number>(
    "np_sendmmsg",
    ["i32", "buffer", "i32", "i32"],
    "i32",
  ),
  /** Takes up to `count` errors from the error queue of a socket, into records. How many. */
  errors: call<(fd: number, table: Uint32Array, count: number) => number>("np_errors", [
    "i32",
    "buffer",
    "i32",
  ], "i32"),

  /** Makes another descriptor of the same open file. */
  dup: call<(fd: number) => number>("np_dup", ["i32"], "i32"),
  /** The kind of a descriptor: its mode, and the low and the high half of its size, go to `out`. */
  stat: call<(fd: number, out: Uint32Array) => number>("np_stat", ["i32", "buffer"], "i32"),
  /** Reads a piece of a file at a position in two halves. Bytes, 0 behind the end. */
  pread: call<
    (fd: number, slab: number, offset: number, length: number, low: number, high: number) => number
  >("np_pread", ["i32", "u32", "u32", "u32", "u32", "u32"], "i32"),
  /** Writes to a position of a file, in two halves. Bytes. */
  pwrite: call<
    (fd: number, slab: number, offset: number, length: number, low: number, high: number) => number
  >("np_pwrite", ["i32", "u32", "u32", "u32", "u32", "u32"], "i32"),
  /** Sends a piece of a file at a position in two halves. Bytes, 0 behind the end. */
  sendfile: call<
    (to: number, from: number, low: number, high: number, length: number) => number
  >("np_sendfile", ["i32", "i32", "u32", "u32", "u32"], "i32"),
  /** A pipe: its reading and its writing end. */
  pipe: call<(out: Int32Array) => number>("np_pipe", ["buffer"], "i32"),
  /** Makes a pipe hold so many bytes. How many it holds. */
  pipeResize: call<(fd: number, bytes: number) => number>("np_pipe_resize", ["i32", "u32"], "i32"),
  /** Moves bytes from or to a pipe without reading them. Bytes, 0 at the end of the stream. */
  splice: call<(from: number, to: number, length: number) => number>("np_splice", [
    "i32",
    "i32",
    "u32",
  ], "i32"),
  /** Moves bytes from a pipe to a position of a file, in two halves. Bytes. */
  spliceFile: call<
    (from: number, to: number, low: number, high: number, length: number) => number
  >("np_splice_file", ["i32", "i32", "u32", "u32", "u32"], "i32"),
  /**
   * Sends `count` pieces from our own pages (MSG_ZEROCOPY). A result above 0 takes the socket's next
   * number; the pieces stay as they are until a completion names it.
   */
  sendmsgZeroCopy: call<(fd: number, table: Uint32Array, count: number, flags: number) => number>(
    "np_sendmsg_zero_copy",
    ["i32", "buffer", "i32", "i32"],
    "i32",
  ),
  /**
   * Takes completions from a socket's error queue: (0, lo, hi, code) each, at most 4, go to `out`;
   * code 1 means that the kernel has copied. How many.
   */
  completions: call<(fd: number, out: Uint32Array) => number>(
    "np_completions",
    ["i32", "buffer"],
    "i32",
  ),
  /** Aborts a connection: its zero-copy sends complete, its descriptor stays open. */
  disconnect: call<(fd: number) => number>("np_disconnect", ["i32"], "i32"),
  /** The KiB that may be pinned, 2^31 - 1 for any number. */
  pinnedMax: call<() => number>("np_pinned_max", [], "i32"),

  /** A new epoll descriptor. */
  epollCreate: call<() => number>("np_epoll_create", [], "i32"),
  /** Adds (1), removes (2) or changes (3) the interest in a descriptor. */
  epollCtl: call<(epoll: number, op: number, fd: number, token: number, events: number) => number>(
    "np_epoll_ctl",
    ["i32", "i32", "i32", "u32", "u32"],
    "i32",
  ),
  /**
   * Waits at most `micros` (0 polls, -1 has no end); pairs of (token, events) go to `out`. How
   * many; in the upper 16 bits, how many zero-copy completions lie behind the `capacity` pairs, as
   * (token, lo, hi, code).
   */
  epollWait: call<(epoll: number, out: Uint32Array, capacity: number, micros: number) => number>(
    "np_epoll_wait",
    ["i32", "buffer", "i32", "i32"],
    "i32",
  ),

  /** Microseconds of a clock that only goes forward. */
  now: call<() => number>("np_now", [], "f64"),
  /** A new eventfd. */
  eventfd: call<() => number>("np_eventfd", [], "i32"),
  /** A new timerfd, not yet set. */
  timerfd: call<() => number>("np_timerfd", [], "i32"),
  /** Lets a timerfd expire every `micros` microseconds; 0 stops it. */
  timerfdSet: call<(fd: number, micros: number) => number>("np_timerfd_set", ["i32", "u32"], "i32"),
  /** Adds one to an eventfd. */
  counterAdd: call<(fd: number) => number>("np_counter_add", ["i32"], "i32"),
  /** Takes what an eventfd or timerfd counted. */
  counterTake: call<(fd: number) => number>("np_counter_take", ["i32"], "i32"),

  /** Starts the thread that tells the runtime when `epoll` is readable. Its number. */
  wakerOpen: call<(epoll: number) => number>("np_waker_open", ["i32"], "i32"),
  /** The socket that the runtime adopts. */
  wakerSocket: call<(id: number) => number>("np_waker_socket", ["i32"], "i32"),
  /** Send a byte as soon as the epoll descriptor is readable. */
  wakerArm: call<(id: number) => number>("np_waker_arm", ["i32"], "i32"),
  /** Send a byte now. */
  wakerRing: call<(id: number) => number>("np_waker_ring", ["i32"], "i32"),
  /**
   * The epoll descriptor in which the runtime watches the waker's socket, or `-ENOENT`. Known once
   * the first byte has come through.
   */
  wakerLoop: call<(id: number) => number>("np_waker_loop", ["i32"], "i32"),
  /** Ends the thread; before the epoll descriptor is closed. */
  wakerClose: call<(id: number) => number>("np_waker_close", ["i32"], "i32"),

  /**
   * Gives a descriptor away: the end of this thread, which closes what it has, leaves it open. The
   * descriptor.
   */
  disown: call<(fd: number) => number>("np_disown", ["i32"], "i32"),
  /**
   * Closes all that this thread has opened and not given away: the module is unloaded. With its
   * slabs (1) if none of its JavaScript runs any more.
   */
  giveBack: call<(withSlabs: number) => number>("np_give_back", ["i32"], "i32"),
  /** Makes a ring that carries descriptors to another thread. Its number. */
  ringOpen: call<() => number>("np_ring_open", [], "i32"),
  /**
   * This thread serves what the ring brings, until it ends. The bell, an eventfd to watch
   * edge-triggered.
   */
  ringJoin: call<(id: number) => number>("np_ring_join", ["i32"], "i32"),
  /** Hands a descriptor over, with the addresses of its ends; `-EAGAIN` when the ring is full. */
  ringPush: call<(id: number, fd: number, ends: Uint32Array) => number>("np_ring_push", [
    "i32",
    "i32",
    "buffer",
  ], "i32"),
  /**
   * The next descriptor, this thread's from now on; `-EAGAIN` when there is none: only then does
   * the next push ring.
   */
  ringTake: call<(id: number, ends: Uint32Array) => number>(
    "np_ring_take",
    ["i32", "buffer"],
    "i32",
  ),
  /** The maker of the ring uses it no more. */
  ringClose: call<(id: number) => number>("np_ring_close", ["i32"], "i32"),

  /** Opens OpenSSL 3: 0, `-ENOENT` where it is not installed, `-ENOSYS` where it is older. */
  tlsLoad: call<() => number>("np_tls_load", [], "i32"),
  /**
   * Why the last call for a descriptor, or (-1) for a context, failed: OpenSSL's reason and the
   * result of verifying go to `numbers`, words about the one (`what` 0) or the other (1) to `text`.
   * The number of bytes of text.
   */
  tlsFailure: call<
    (fd: number, what: number, numbers: Int32Array, text: Uint8Array, capacity: number) => number
  >("np_tls_failure", ["i32", "i32", "buffer", "buffer", "u32"], "i32"),
  /** A TLS context for these versions, such as 0x0303. Its number. */
  tlsContext: call<(isServer: number, least: number, most: number) => number>("np_tls_context", [
    "i32",
    "i32",
    "i32",
  ], "i32"),
  /** Lets nobody begin with a context any more; who has begun goes on. */
  tlsContextFree: call<(id: number) => number>("np_tls_context_free", ["i32"], "i32"),
  /** Lets two contexts change places: who begins with a number from now on gets the other. */
  tlsSwap: call<(id: number, other: number) => number>("np_tls_swap", ["i32", "i32"], "i32"),
  /** Gives a context bytes of some kind, and a password (src/tls/context.ts). */
  tlsUse: call<
    (
      id: number,
      what: number,
      bytes: Uint8Array,
      length: number,
      more: Uint8Array,
      moreBytes: number,
    ) => number
  >("np_tls_use", ["i32", "i32", "buffer", "u32", "buffer", "u32"], "i32"),
  /** Sets something of a context (src/tls/context.ts). */
  tlsSet: call<(id: number, what: number, value: number) => number>("np_tls_set", [
    "i32",
    "i32",
    "i32",
  ], "i32"),
  /** Shows another context's certificate to clients that ask for a name, a text with its 0. */
  tlsName: call<(id: number, name: Uint8Array, other: number) => number>("np_tls_name", [
    "i32",
    "buffer",
    "i32",
  ], "i32"),
  /**
   * Begins TLS on a descriptor. Of a client: the host, a text with its 0, or the bytes of an IP
   * address that the certificate must be for, and a name of the server for its sessions.
   */
  tlsBegin: call<
    (
      fd: number,
      id: number,
      host: Uint8Array,
      ip: Uint8Array,
      ipBytes: number,
      server: Uint8Array,
    ) => number
  >("np_tls_begin", ["i32", "i32", "buffer", "buffer", "u32", "buffer"], "i32"),
  /**
   * Lets TLS that has just begun have bytes that were received before it. After `-ENOMEM` it has not
   * begun.
   */
  tlsFeed: call<(fd: number, bytes: Uint8Array, length: number) => number>("np_tls_feed", [
    "i32",
    "buffer",
    "u32",
  ], "i32"),
  /** The time of its handshake in milliseconds, 0 for ever; `-EBADF` where there is no TLS. */
  tlsTimeout: call<(fd: number) => number>("np_tls_timeout", ["i32"], "i32"),
  /** Goes on with the handshake. What it waits for (src/tls/handshake.ts), or `-errno`. */
  tlsHandshake: call<(fd: number) => number>("np_tls_handshake", ["i32"], "i32"),
  /** Chooses the context of a handshake that waits for it; -1 refuses the client. */
  tlsChoose: call<(fd: number, id: number) => number>("np_tls_choose", ["i32", "i32"], "i32"),
  /** Whether bytes are here that the kernel does not tell of: 1 or 0. */
  tlsPending: call<(fd: number) => number>("np_tls_pending", ["i32"], "i32"),
  /** Receives decrypted bytes. Bytes, 0 at the end. */
  tlsRecv: call<(fd: number, slab: number, offset: number, length: number) => number>(
    "np_tls_recv",
    ["i32", "u32", "u32", "u32"],
    "i32",
  ),
  /** Encrypts and sends `count` pieces, triplets of (slab, offset, length) in `table`. Bytes. */
  tlsSend: call<(fd: number, table: Uint32Array, count: number) => number>("np_tls_send", [
    "i32",
    "buffer",
    "i32",
  ], "i32"),
  /** Encrypts and sends from the user's own array, as `sendBorrowed` sends. */
  tlsSendBorrowed: call<
    (fd: number, array: Uint8Array, bytes: number, offset: number, length: number) => number
  >("np_tls_send_borrowed", ["i32", "buffer", "u32", "u32", "u32"], "i32"),
  /** Tells the peer of our end, and ends our side of the socket. */
  tlsShutdown: call<(fd: number) => number>("np_tls_shutdown", ["i32"], "i32"),
  /** Tells a fact about a connection (src/tls/info.ts). Bytes, 0 for what is not known. */
  tlsAbout: call<(fd: number, what: number, out: Uint8Array, capacity: number) => number>(
    "np_tls_about",
    ["i32", "i32", "buffer", "u32"],
    "i32",
  ),
} as const;

/** The functions of the library that is loaded. */
export type Native = {
  readonly [name in keyof typeof SYMBOLS]: NonNullable<(typeof SYMBOLS)[name]["call"]>;
};

/** The kinds of calls that libnetpoll.c counts: its `enum call`. */
export const CALLS = [
  "socket",
  "accept",
  "connect",
  "epollCtl",
  "epollWait",
  "recv",
  "send",
  "open",
  "pipe",
  "pread",
  "pwrite",
  "sendfile",
  "splice",
  "sendZeroCopy",
] as const;

/** A kind of call. */
export type Call = typeof CALLS[number];
