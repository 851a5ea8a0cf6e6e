/**
 * Every bound and default in one place, with its reason. docs/LIMITS.md says what happens at each.
 */

// ---- memory -------------------------------------------------------------------------------------

/** A slab is one huge page: fewer page-table entries, and cheaper to pin for a zero-copy send. */
export const SLAB_BYTES = 2 * 1024 * 1024;
/** The smallest block. Also the grain of a slab's block table. */
export const BLOCK_BYTES_MIN = 1024;
/** The largest block carved from a slab; what is larger gets a mapping of its own. */
export const BLOCK_BYTES_MAX = 1024 * 1024;
/** Mappings up to this size stay wrapped when idle; larger ones give their pages back at once. */
export const LARGE_KEEP_BYTES_MAX = 8 * 1024 * 1024;
/**
 * The most that can lie in one piece: what `malloc`, `next` and `peek` can be asked for at most.
 */
export const PIECE_BYTES_MAX = 1024 * 1024 * 1024;
/** The time that a slab is idle before its pages go back to the kernel. */
export const SLAB_IDLE_MS = 1000;
/** Link nodes kept for reuse. */
export const NODES_SPARE_MAX = 4096;

// ---- buffers ------------------------------------------------------------------------------------

/** The smallest block that a write takes: netpoll's LinkBufferCap. */
export const WRITE_BLOCK_BYTES_MIN = 4096;
/** The largest that a write takes because of what was written before it. */
export const WRITE_BLOCK_BYTES_MAX = 32 * 1024;
/**
 * A user's own array up to this size is copied, a larger one is borrowed until flushed, as in
 * netpoll.
 */
export const COPY_BYTES_MAX = 4096;
/** A view of our own memory is linked from this size on, however large its block. */
export const LINK_BYTES_MIN = 4096;
/** The bytes that the first read of a connection asks for: netpoll's BufferSize. */
export const READ_BYTES_FIRST = 8 * 1024;
/** The most that one read asks for. */
export const READ_BYTES_MAX = 1024 * 1024;
/** Less room than this at the end of a node is not worth a system call. */
export const READ_ROOM_MIN = 1024;
/** Messages up to this size get a block of their own size, so that they are contiguous. */
export const CONTIGUOUS_BYTES_MAX = 8 * 1024 * 1024;
/** Reads below a quarter of the read size, in a row, that halve it. */
export const READ_SHRINK_AFTER = 16;
/** The longest single message: the bound of `wait(count)`. */
export const MESSAGE_BYTES_MAX = 128 * 1024 * 1024;
/** The bound of `waitUntil` without `maxBytes`. */
export const UNTIL_BYTES_MAX = 1024 * 1024;
/** Unread input, as held block capacity, at which reading pauses. */
export const READ_BUFFER_BYTES_MAX = 1024 * 1024;
/** Unsent output at which `isWritable` turns false. */
export const WRITE_BUFFER_BYTES_MAX = 4 * 1024 * 1024;
/** Flushed bytes that wait for those of the next messages in the input: a large send's worth. */
export const JOINED_BYTES_MAX = 64 * 1024;
/** Pieces in one sendmsg; libnetpoll.c takes no more. */
export const IOVECS_MAX = 64;
/** Descriptors in one message over a Unix socket: the kernel's own bound (SCM_MAX_FD). */
export const DESCRIPTORS_PER_MESSAGE_MAX = 253;
/**
 * Descriptors that came over the Unix sockets of a thread and that nobody has taken: a peer who
 * sends some to a program that wants none must not use up all that the process may open.
 */
export const DESCRIPTORS_UNCLAIMED_MAX = 4 * DESCRIPTORS_PER_MESSAGE_MAX;
/** The time that a new process has to be ready to take over: a cold start and its warm-up. */
export const READY_TIMEOUT_MS = 60_000;
/** The time that the old one has for an answer: it may be busy, and is on the same machine. */
export const TAKE_TIMEOUT_MS = 10_000;
/**
 * The times that a new process asks, and the time between: one that comes when another has just taken
 * over finds the offer closed, and the next one is not there yet.
 */
export const TAKE_ATTEMPTS_MAX = 10;
export const TAKE_RETRY_MS = 50;
/** Of TAKE_TIMEOUT_MS, the time that its Workers have to accept no more: a handler may keep their threads. */
export const STOP_TIMEOUT_MS = 1_000;
/** Bytes between the two ends of `memoryPair`, each way: as much as leaves together. */
export const MEMORY_WINDOW_BYTES = 64 * 1024;
/** Cases of `everySplit` or `everyLoss`: some seconds. Beyond, they are spread evenly. */
export const CASES_MAX = 2000;
/** Rounds of the runtime without an event of ours: whoever could go on in a case has gone on. */
export const CASE_QUIET_ROUNDS = 50;
/** Deadlines that pass in one case. Looks that repeat would let time pass for ever. */
export const CASE_DEADLINES_MAX = 1000;
/** Real time without an event until a case hangs: it may wait for what is not ours, a file for one. */
export const CASE_HANG_MS = 500;

// ---- datagrams ----------------------------------------------------------------------------------

/** The longest datagram: what a packet of IPv4 and of IPv6 leave beside their headers. */
export const DATAGRAM_BYTES_MAX: { readonly 4: number; readonly 6: number } = {
  4: 65_507,
  6: 65_527,
};
/** The memory for a datagram, or a train of them, that arrives: nothing longer can. */
export const DATAGRAM_SLOT_BYTES = 64 * 1024;
/** Datagrams, or trains, taken with one recvmmsg, unless said otherwise. A slab is so many slots. */
export const DATAGRAMS_RECEIVED_MAX = 32;
/** The time of a handler of datagrams after which others are told, in microseconds. */
export const BATCH_MICROS = 2000;
/** The most of one recvmmsg or sendmmsg; libnetpoll.c takes no more. */
export const DATAGRAMS_MAX = 64;
/** A slice of so many bytes keeps the slot they lie in; fewer are copied, so that they hold no more. */
export const DATAGRAM_KEEP_BYTES_MIN = 16 * 1024;
/** Datagrams that wait to be sent. */
export const DATAGRAMS_QUEUED_MAX = 1024;
/** The bytes of them. */
export const DATAGRAM_BYTES_QUEUED_MAX = 1024 * 1024;
/** Datagrams of one train: UDP_MAX_SEGMENTS of Linux before 6.9. */
export const TRAIN_COUNT_MAX = 64;
/**
 * The longest datagrams of trains once the kernel has refused one: those fit every path of IPv6
 * (RFC 8200 §5: 1280 bytes).
 */
export const TRAIN_SEGMENT_BYTES_SAFE = 1232;
/** The time for which a socket receives nothing that the kernel could not give it (ENOMEM). */
export const RECEIVE_REST_MS = 10;
/** The time to wait for room in a device's queue (ENOBUFS), of which no event tells. */
export const NO_BUFFERS_MS = 1;
/**
 * The times that a datagram is offered again since it met errors of others. A flood of ICMP errors may be
 * faster than that: then it waits as for room.
 */
export const SEND_REPEATS_MAX = 16;
/** Errors of a socket that wait to be told; more are counted. */
export const DATAGRAM_ERRORS_MAX = 64;
/** The interval at which errors that nobody hears are logged. */
export const DATAGRAM_LOG_MS = 10_000;
/** Destinations that a sandbox has granted, which are remembered. */
export const DESTINATIONS_MAX = 4096;
/** The bytes of a datagram that choose its poller: the longest connection id of QUIC (RFC 9000 §17.2). */
export const STEER_BYTES_MAX = 20;

// ---- files and pipes ----------------------------------------------------------------------------

/**
 * Bytes of a file sent for one event, where the socket has room for them: twice those of memory, as
 * they cost half. Each event wakes the peer anew: with 1 MiB CPU a byte is 1.1 times as much, with
 * 4 MiB 0.9 times.
 */
export const FILE_BYTES_PER_EVENT_MAX = 2 * 1024 * 1024;
/** The bytes that are read of a file at a time where the kernel cannot send it by itself. */
export const FILE_READ_BYTES = 64 * 1024;
/**
 * The bytes that are received at a time for a file, where they have to be read. Of what a pipe moves
 * the bound is {@linkcode PIPE_BYTES}: so long a write may keep the thread.
 */
export const FILE_RECEIVE_BYTES = 256 * 1024;
/** Files that wait to be sent, each with its descriptor, at which `isWritable` turns false. */
export const FILES_UNSENT_MAX = 16;
/** The bytes that a pipe between two connections holds, where the kernel lets it. */
export const PIPE_BYTES = 1024 * 1024;
/** Pipes kept for reuse while connections are piped. */
export const PIPES_SPARE_MAX = 32;
/**
 * A read that fills so much is followed by splicing; less is copied. Request and answer through a
 * proxy, CPU of splicing ÷ copying: 1 KiB 1.22, 4 KiB 0.99, 16 KiB 0.84, 64 KiB 0.56, 256 KiB 0.63.
 */
export const SPLICE_BYTES_MIN = 8 * 1024;
/** Splices of less, in a row, after which bytes are copied again. */
export const SPLICE_READS_SMALL_MAX = 8;

// ---- limits as a service ------------------------------------------------------------------------

/**
 * The tokens for which one who waits is called: those of so many milliseconds. Fewer would be a wake-up
 * and two changes of interest for a few bytes.
 */
export const RATION_MS = 20;
/** The least burst, in milliseconds of the rate: with less, tokens would be lost between two timers. */
export const RATION_BURST_MS = 4;
/** The time over which `bytesPerSecondMin` is judged. */
export const SLOW_GRACE_MS = 5000;
/** The looks in that time. A look that comes late counts no more than another. */
export const SLOW_LOOKS = 4;
/** The part of `memoryBytesMax` below which whoever was held back goes on. */
export const MEMORY_LOW = 0.75;
/** So many times `memoryBytesMax`, and the largest are closed at once: what grows is not what comes in. */
export const MEMORY_HIGH = 2;
/** The interval at which the memory of connections is looked at while it is above its bound. */
export const MEMORY_LOOK_MS = 10;
/** The time in which it has to become less before the largest are closed. */
export const MEMORY_PATIENCE_MS = 1000;

// ---- pace ---------------------------------------------------------------------------------------

/**
 * Events taken from one epoll_wait. More cost no less (decision 0009), and while a batch is told
 * nobody hears that the runtime has work: its HTTP server beside a saturated echo answers 1.5 times as
 * many requests as with 64.
 */
export const EVENTS_PER_WAIT_MAX = 20;
/** Events, calls of a handler, frames between two looks at the clock, where each is short. */
export const STEPS_PER_CLOCK = 16;
/**
 * The turns that every watched descriptor has between a deadline and its verdict: for a question that
 * lies with the kernel, its answer, and what comes of that.
 */
export const DUE_ROUNDS = 4;
/**
 * A deadline that is looked at so much later was kept waiting by this thread: who had to answer
 * meanwhile gets as much time again. A turn and the runtime's own work stay well below.
 */
export const LATE_MS_MIN = 10;
/**
 * Waits of one connection that are met at once for one event. Beyond, and when the turn's time is
 * over, they are met with the next turn: a handler whose waits are all met would keep the thread.
 */
export const WAITS_PER_EVENT_MAX = 32;
/**
 * A handler that needs longer than this for what is there has less received for it: how many
 * messages its loop finds in so many bytes is up to the peer.
 */
export const CALL_MICROS_LONG = 1000;
/**
 * Requests that are begun, and answers passed on, before whoever deals with them has its turn: only
 * then is it known how long that takes.
 */
export const MESSAGES_PER_TASK = 64;
/**
 * Only where more is there than this can a call be long because of it. Less than is received for an
 * event at the least: or one call that was interrupted would be held against its connection for ever.
 */
export const CALL_BYTES_LARGE = 8 * 1024;
/**
 * The most bytes of one send to a stream of the runtime that count as sent once it has taken them. More
 * than that counts when it calls back. In Deno the wait for that call makes an echo of 64 bytes cost
 * 20 µs in place of 14 µs.
 */
export const EAGER_BYTES_MAX = 64 * 1024;
/**
 * The most bytes of one write to a stream. While it is under way nobody knows how much of it the peer
 * has taken, so that a large one would make a slow peer look idle.
 */
export const STREAM_WRITE_BYTES_MAX = 256 * 1024;
/** Bytes that a stream brings in a row, before others have a turn. */
export const STREAM_BYTES_PER_TURN_MAX = 512 * 1024;
/** Bytes that a stream has brought and nobody has received: above that it is paused. */
export const BROUGHT_BYTES_MAX = 64 * 1024;
/**
 * Bytes received for an event at first: answers to what came together leave together. It becomes less
 * where a handler takes long over them.
 */
export const EVENT_BYTES_FIRST = 32 * 1024;
/** Bytes read from or sent to one connection for one event: the rest is reported again. */
export const BYTES_PER_EVENT_MAX = 1024 * 1024;
/**
 * Runs of one connection's handler for one event: what is buffered beyond waits for the next turn.
 */
export const RUNS_PER_EVENT_MAX = 256;
/** Connections accepted for one event: the rest is reported again. */
export const ACCEPTS_PER_EVENT_MAX = 64;

// ---- dialling -----------------------------------------------------------------------------------

/**
 * The time of an address before the next one is tried beside it (RFC 8305 §5: "Connection Attempt
 * Delay").
 */
export const DIAL_ATTEMPT_DELAY_MS = 250;
/** The number of times that a connection to itself is tried again, as in netpoll. */
export const SELF_CONNECT_RETRIES = 2;

// ---- pools and reconnecting ------------------------------------------------------------------------

/** Connections of a pool: as many as a server of the field grants one client without being asked. */
export const POOL_CONNECTIONS_MAX = 10;
/** The time that a connection of a pool may lie idle: below the minute or more that servers wait. */
export const POOL_IDLE_MS = 50_000;
/** The age of a connection of a pool: names get new addresses, and loads move, within half an hour. */
export const POOL_LIFETIME_MS = 30 * 60_000;
/** The part of that age that chance takes off, so that connections made together do not go together. */
export const POOL_LIFETIME_JITTER = 0.2;
/** The time that somebody waits for a connection of a pool. */
export const POOL_ACQUIRE_TIMEOUT_MS = 30_000;
/** The time that a pool gives a dial that says none itself: the kernel would try for two minutes. */
export const POOL_DIAL_TIMEOUT_MS = 10_000;
/** Those who wait for a connection of one pool: as many as a multiplexer has requests. */
export const POOL_WAITING_MAX = 65_536;
/** The time that a pool gives a probe. */
export const POOL_PROBE_TIMEOUT_MS = 5000;
/** Failures of one address in a row, after which the others are used: as in envoy. */
export const EJECT_AFTER = 5;
/** The time of the first ejection; each that follows is twice as long. */
export const EJECT_MS = 1000;
/** The longest ejection. */
export const EJECT_MS_MAX = 60_000;
/**
 * Repeats of requests in reserve: what was under way over one connection is lost together. Later ones
 * are a part of the requests, so that a server in trouble does not get twice as many.
 */
export const RETRY_BUDGET = 1000;
/** Repeats that a request adds to the reserve: so many more does a server in trouble get. */
export const RETRY_RATIO = 0.1;
/** The first time between two tries to connect, and the longest. */
export const RECONNECT_MS: readonly [first: number, last: number] = [100, 30_000];

// ---- listening ----------------------------------------------------------------------------------

/** The length of the accept queue; the kernel cuts it to net.core.somaxconn. */
export const BACKLOG = 4096;
/**
 * The pauses of accepting, and of a Worker that shall serve datagrams, one after the other, when no
 * descriptor is left. The last stays.
 */
export const ACCEPT_BACKOFF_MS: readonly number[] = [10, 50, 100, 200, 500, 1000];
/** The interval at which it is said that no descriptor is left. */
export const ACCEPT_LOG_MS = 10_000;
/**
 * Connections taken from the accept queue before a listener closes: as many as wait there by
 * default.
 */
export const DRAIN_ACCEPTS_MAX = BACKLOG;

/** PROXY headers and TLS handshakes of a loop that are under way at once. */
export const HANDSHAKES_MAX = 256;
/**
 * The longest header of the PROXY protocol: what its length can say (version 2: 16 bytes, and 65535).
 * Memory is taken as bytes come, from trusted peers alone, and `handshakesMax` bounds how many at once.
 */
export const PROXY_HEADER_BYTES_MAX = 16 + 0xffff;
/** The longest line of version 1, with its end (the specification, §2.1). */
export const PROXY_LINE_BYTES_MAX = 107;
/** The longest unique id of a PROXY header (the specification, §2.2.5). */
export const PROXY_UNIQUE_ID_BYTES_MAX = 128;
/**
 * The time in which a PROXY header comes. The specification wants 3 s at the least, for a packet that is
 * sent again; this is the time of a TLS handshake, which would begin with the same bytes.
 */
export const PROXY_HEADER_TIMEOUT_MS = 10_000;

// ---- closing ------------------------------------------------------------------------------------

/**
 * The time that the peer of a closing connection may take nothing of what was flushed. While it
 * takes some, closing takes as long as it takes.
 */
export const CLOSE_TIMEOUT_MS = 5000;
/**
 * The number of times in which the kernel is asked meanwhile what the peer has taken. A peer that
 * stopped is found out up to a 16th late.
 */
export const CLOSE_LOOKS = 16;
/**
 * The time after which `closed` settles although a callback that asked for it keeps the connection, and
 * waits for nothing of it: it may wait for that.
 */
export const SELF_WAIT_MS = 1000;
/** The bytes that a closing connection receives at a time, and drops. */
export const DROP_BYTES = 64 * 1024;

// ---- framing ------------------------------------------------------------------------------------

/** The longest frame whose length its peer announces, on the wire, unless a codec is told. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** The longest line, and the longest frame up to a delimiter: as far as `waitUntil` looks. */
export const LINE_BYTES_MAX = UNTIL_BYTES_MAX;
/** The depth to which arrays, maps and sets of RESP may lie in each other. */
export const RESP_DEPTH_MAX = 32;
/**
 * Digits of a big number of RESP, and characters of a double. A big number takes a time of its own
 * for each digit that it has: 4096 digits take a few microseconds, 15 million two seconds.
 */
export const RESP_DIGITS_MAX = 4096;
/** A line of RESP, or of a command without it, whatever its type: Redis' bound of an inline request. */
export const RESP_LINE_BYTES_MAX = 64 * 1024;

// ---- multiplexing -------------------------------------------------------------------------------

/** Requests of one multiplexer that have no answer yet. */
export const REQUESTS_PENDING_MAX = 65_536;
/** Requests of one connection that are being answered at once. */
export const ANSWERS_RUNNING_MAX = 1024;

// ---- zero copy ----------------------------------------------------------------------------------

/** A piece of a flush from which on it is sent from our pages, in mode auto: the first value. */
export const ZERO_COPY_BYTES_FIRST = 64 * 1024;
/** Its least value, when many sends complete together: streams gain from 4 KiB on. */
export const ZERO_COPY_BYTES_MIN = 16 * 1024;
/** Its greatest value, when each completes alone: a completion costs as much as a small copy. */
export const ZERO_COPY_BYTES_MAX = 256 * 1024;
/** The piece in mode always. Below a page the kernel cuts packets at every piece. */
export const ZERO_COPY_ALWAYS_BYTES = 4096;
/**
 * The most that one zero-copy send takes: RLIMIT_MEMLOCK is charged with what was asked for, and
 * may be all used up by one larger call.
 */
export const ZERO_COPY_CALL_BYTES_MAX = 512 * 1024;
/** Zero-copy sends of one connection under way; a power of two. */
export const ZERO_COPY_CALLS_MAX = 256;
/** Bytes of them. */
export const ZERO_COPY_OUTSTANDING_BYTES_MAX = 4 * 1024 * 1024;
/** Blocks of this thread that are pinned, in bytes. */
export const ZERO_COPY_PINNED_BYTES_MAX = 256 * 1024 * 1024;
/** Completions in a row that say the kernel has copied, before we stop asking. */
export const ZERO_COPY_COPIED_MAX = 3;
/** Sends that copy before the kernel is asked again, ten times as many each time, at most so many. */
export const ZERO_COPY_COPIED_PAUSE: readonly [first: number, factor: number, last: number] = [
  1000,
  10,
  1_000_000,
];
/** The sends that copy when the kernel had no memory (ENOBUFS) although nothing was under way. */
export const ZERO_COPY_NO_BUFFERS_PAUSE: readonly [first: number, factor: number, last: number] = [
  200,
  2,
  51_200,
];
/** A process that may pin less than this, in KiB, pins nothing. */
export const ZERO_COPY_LOCKED_KIB_MIN = 256;
/** The time that the sends of an aborted connection have to complete. */
export const ZERO_COPY_ABORT_MS = 10_000;

// ---- cluster ------------------------------------------------------------------------------------

/** Connections on their way to one Worker; libnetpoll.c has no more room. */
export const RING_COUNT_MAX = 1024;
/** The pause of accepting when every Worker has as many as that. */
export const RING_FULL_MS = 10;
/** The delays of a new Worker in place of one that died, one after the other. The last stays. */
export const WORKER_BACKOFF_MS: readonly number[] = [0, 50, 100, 200, 500, 1000];
/** A Worker that lived so long begins anew with the shortest of these. */
export const WORKER_HEALTHY_MS = 10_000;
/** The longest time of the runtime's timers, in milliseconds: they take a longer one for 1 ms. */
export const TIMER_MS_MAX = 0x7fff_ffff;
/** The time beyond that of a shutdown that a Worker has to say that it is done. */
export const WORKER_GRACE_MS = 1000;
/** Pollers of a cluster: each is a thread with a heap of its own. */
export const POLLERS_MAX = 1024;

/** The time that a Worker has to answer with its metrics. */
export const METRICS_TIMEOUT_MS = 1000;

// ---- sight --------------------------------------------------------------------------------------

/** Descriptors of a thread that a snapshot of its metrics asks TCP about: each costs 2 µs. */
export const TCP_SAMPLED_MAX = 256;
