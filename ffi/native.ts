/**
 * The system calls of libnetpoll.c as TypeScript sees them, each once, with its contract.
 *
 * A result is `>= 0`, or `-errno`. Memory travels as (slab, offset, length). Hot calls get integers
 * only and their exact number of arguments: anything else leaves the fast path of the runtime
 * (docs/decisions/0003-native-boundary.md).
 */

/** An address of native memory, in whatever form the runtime has for it. */
export type Pointer = unknown;

/** Every function of libnetpoll.c. */
export interface Native {
  /** The version of the boundary. */
  abi(): number;
  /**
   * The counts of this thread's calls so far, up to `capacity` numbers, go to `out`
   * (src/metrics/call_counts.ts says which). How many there are.
   */
  counters(out: Float64Array, capacity: number): number;

  /** Maps a slab of zeroed memory (`bytes` a multiple of 2 MiB). Its number. */
  slabMap(bytes: number): number;
  /** Makes the runtime's own memory a slab: it must live and stay in place for ever. Its number. */
  slabRegister(memory: Uint8Array, bytes: number): number;
  /** The address of a slab, for `Host.wrap`. */
  slabAddress(slab: number): Pointer;
  /** Gives a slab's pages back to the kernel; the memory reads as zeros afterwards. */
  slabDiscard(slab: number): number;
  /** The first place of `needle` in a piece of a slab, or -1. */
  find(
    slab: number,
    offset: number,
    length: number,
    needle: Uint8Array,
    needleBytes: number,
  ): number;

  /**
   * Looks up a zero-terminated host name, blocking; addresses go to `out`. How many, or a code
   * below -4096.
   */
  resolve(name: Uint8Array, family: number, out: Uint32Array, capacity: number): number;

  /** A non-blocking stream socket. */
  socket(family: number): number;
  /** Two connected Unix sockets. */
  socketpair(out: Int32Array): number;
  /** Gives a socket its own address. */
  bind(fd: number, address: Uint32Array): number;
  /** Lets a bound socket take connections. */
  listen(fd: number, backlog: number): number;
  /** Takes a connection; who it is from goes to `peer`. Its descriptor. */
  accept(fd: number, peer: Uint32Array): number;
  /** Whether something can be read or accepted, or there is an error to hear of: 1 or 0. */
  readable(fd: number): number;
  /** Bytes that were received and not read. */
  unread(fd: number): number;
  /** Begins to connect: 0, or `-EINPROGRESS` when an event will tell. */
  connect(fd: number, address: Uint32Array): number;
  /** The address of this end (`peer` 0) or of the other (1). */
  name(fd: number, peer: number, out: Uint32Array): number;
  /** Sets an option from `bytes` bytes of `values`. */
  setsockopt(fd: number, level: number, name: number, values: Int32Array, bytes: number): number;
  /** Gets an option into `values`. How many bytes it has. */
  getsockopt(fd: number, level: number, name: number, values: Int32Array, bytes: number): number;
  /** Ends reading (0), writing (1) or both (2). */
  shutdown(fd: number, how: number): number;
  /** Bytes of a TCP socket that were not acknowledged, and the end of sending as one. */
  unacked(fd: number): number;
  /** Closes a descriptor. */
  close(fd: number): number;
  /** Makes somebody else's descriptor non-blocking and close-on-exec. */
  adopt(fd: number): number;

  /** Receives into one piece. Bytes, 0 at the end of the stream. */
  recv(fd: number, slab: number, offset: number, length: number): number;
  /** Reads into `count` pieces, triplets of (slab, offset, length) in `table`. */
  readv(fd: number, table: Uint32Array, count: number): number;
  /** Sends one piece. */
  send(fd: number, slab: number, offset: number, length: number, flags: number): number;
  /** Sends `count` pieces in one call. */
  sendmsg(fd: number, table: Uint32Array, count: number, flags: number): number;
  /** Writes `count` pieces to what is no socket. */
  writev(fd: number, table: Uint32Array, count: number): number;
  /** Sends from the user's own array, whose `byteLength` was read just before the call. */
  sendBorrowed(
    fd: number,
    array: Uint8Array,
    bytes: number,
    offset: number,
    length: number,
    flags: number,
  ): number;

  /** Makes another descriptor of the same open file. */
  dup(fd: number): number;
  /** The kind of a descriptor: its mode, and the low and the high half of its size, go to `out`. */
  stat(fd: number, out: Uint32Array): number;
  /** Reads a piece of a file at a position in two halves. Bytes, 0 behind the end. */
  pread(
    fd: number,
    slab: number,
    offset: number,
    length: number,
    positionLow: number,
    positionHigh: number,
  ): number;
  /** Sends a piece of a file at a position in two halves. Bytes, 0 behind the end. */
  sendfile(
    to: number,
    from: number,
    positionLow: number,
    positionHigh: number,
    length: number,
  ): number;
  /** A pipe: its reading and its writing end. */
  pipe(out: Int32Array): number;
  /** Makes a pipe hold so many bytes. How many it holds. */
  pipeResize(fd: number, bytes: number): number;
  /** Moves bytes from or to a pipe without reading them. Bytes, 0 at the end of the stream. */
  splice(from: number, to: number, length: number): number;
  /**
   * Sends `count` pieces from our own pages (MSG_ZEROCOPY). A result above 0 takes the socket's next
   * number; the pieces stay as they are until a completion names it.
   */
  sendmsgZeroCopy(fd: number, table: Uint32Array, count: number, flags: number): number;
  /**
   * Takes completions from a socket's error queue: (0, lo, hi, code) each, at most 4, go to `out`;
   * code 1 means that the kernel has copied. How many.
   */
  completions(fd: number, out: Uint32Array): number;
  /** Aborts a connection: its zero-copy sends complete, its descriptor stays open. */
  disconnect(fd: number): number;
  /** The KiB that may be pinned, 2^31 - 1 for any number. */
  pinnedMax(): number;

  /** A new epoll descriptor. */
  epollCreate(): number;
  /** Adds (1), removes (2) or changes (3) the interest in a descriptor. */
  epollCtl(epoll: number, op: number, fd: number, token: number, events: number): number;
  /**
   * Waits at most `micros` (0 polls, -1 has no end); pairs of (token, events) go to `out`. How
   * many; in the upper 16 bits, how many zero-copy completions lie behind the `capacity` pairs, as
   * (token, lo, hi, code).
   */
  epollWait(epoll: number, out: Uint32Array, capacity: number, micros: number): number;

  /** Microseconds of a clock that only goes forward. */
  now(): number;
  /** A new eventfd. */
  eventfd(): number;
  /** A new timerfd, not yet set. */
  timerfd(): number;
  /** Lets a timerfd expire every `micros` microseconds; 0 stops it. */
  timerfdSet(fd: number, micros: number): number;
  /** Adds one to an eventfd. */
  counterAdd(fd: number): number;
  /** Takes what an eventfd or timerfd counted. */
  counterTake(fd: number): number;

  /** Starts the thread that tells the runtime when `epoll` is readable. Its number. */
  wakerOpen(epoll: number): number;
  /** The socket that the runtime adopts. */
  wakerSocket(waker: number): number;
  /** Send a byte as soon as the epoll descriptor is readable. */
  wakerArm(waker: number): number;
  /** Send a byte now. */
  wakerRing(waker: number): number;
  /**
   * The epoll descriptor in which the runtime watches the waker's socket, or `-ENOENT`. Known once
   * the first byte has come through.
   */
  wakerLoop(waker: number): number;
  /** Ends the thread; before the epoll descriptor is closed. */
  wakerClose(waker: number): number;

  /**
   * Gives a descriptor away: the end of this thread, which closes what it has, leaves it open. The
   * descriptor.
   */
  disown(fd: number): number;
  /**
   * Closes all that this thread has opened and not given away: the module is unloaded. With its
   * slabs (1) if none of its JavaScript runs any more.
   */
  giveBack(withSlabs: number): number;
  /** Makes a ring that carries descriptors to another thread. Its number. */
  ringOpen(): number;
  /**
   * This thread serves what the ring brings, until it ends. The bell, an eventfd to watch
   * edge-triggered.
   */
  ringJoin(ring: number): number;
  /** Hands a descriptor over, with the addresses of its ends; `-EAGAIN` when the ring is full. */
  ringPush(ring: number, fd: number, ends: Uint32Array): number;
  /**
   * The next descriptor, this thread's from now on; `-EAGAIN` when there is none: only then does
   * the next push ring.
   */
  ringTake(ring: number, ends: Uint32Array): number;
  /** The maker of the ring uses it no more. */
  ringClose(ring: number): number;

  /** Opens OpenSSL 3: 0, `-ENOENT` where it is not installed, `-ENOSYS` where it is older. */
  tlsLoad(): number;
  /**
   * Why the last call for a descriptor, or (-1) for a context, failed: OpenSSL's reason and the
   * result of verifying go to `numbers`, words about the one (`what` 0) or the other (1) to `text`.
   * How many bytes of text.
   */
  tlsFailure(
    fd: number,
    what: number,
    numbers: Int32Array,
    text: Uint8Array,
    capacity: number,
  ): number;
  /** A TLS context for these versions, such as 0x0303. Its number. */
  tlsContext(isServer: number, least: number, most: number): number;
  /** Lets nobody begin with a context any more; who has begun goes on. */
  tlsContextFree(context: number): number;
  /** Lets two contexts change places: who begins with a number from now on gets the other. */
  tlsSwap(context: number, other: number): number;
  /** Gives a context bytes of some kind, and a password (src/tls/context.ts). */
  tlsUse(
    context: number,
    what: number,
    bytes: Uint8Array,
    length: number,
    more: Uint8Array,
    moreBytes: number,
  ): number;
  /** Sets something of a context (src/tls/context.ts). */
  tlsSet(context: number, what: number, value: number): number;
  /** Shows another context's certificate to clients that ask for a name, a text with its 0. */
  tlsName(context: number, name: Uint8Array, other: number): number;
  /**
   * Begins TLS on a descriptor. Of a client: the host, a text with its 0, or the bytes of an IP
   * address that the certificate must be for, and a name of the server for its sessions.
   */
  tlsBegin(
    fd: number,
    context: number,
    host: Uint8Array,
    ip: Uint8Array,
    ipBytes: number,
    server: Uint8Array,
  ): number;
  /** The time of its handshake in milliseconds, 0 for ever; `-EBADF` where there is no TLS. */
  tlsTimeout(fd: number): number;
  /** Goes on with the handshake. What it waits for (src/tls/handshake.ts), or `-errno`. */
  tlsHandshake(fd: number): number;
  /** Chooses the context of a handshake that waits for it; -1 refuses the client. */
  tlsChoose(fd: number, context: number): number;
  /** Whether bytes are here that the kernel does not tell of: 1 or 0. */
  tlsPending(fd: number): number;
  /** Receives decrypted bytes. Bytes, 0 at the end. */
  tlsRecv(fd: number, slab: number, offset: number, length: number): number;
  /** Encrypts and sends `count` pieces, triplets of (slab, offset, length) in `table`. Bytes. */
  tlsSend(fd: number, table: Uint32Array, count: number): number;
  /** Encrypts and sends from the user's own array, as `sendBorrowed` sends. */
  tlsSendBorrowed(
    fd: number,
    array: Uint8Array,
    bytes: number,
    offset: number,
    length: number,
  ): number;
  /** Tells the peer of our end, and ends our side of the socket. */
  tlsShutdown(fd: number): number;
  /** Tells a fact about a connection (src/tls/info.ts). Bytes, 0 for what is not known. */
  tlsAbout(fd: number, what: number, out: Uint8Array, capacity: number): number;
}
