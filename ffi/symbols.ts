/**
 * The signatures of libnetpoll.c in one table, from which both adapters are made.
 */
import type { Native } from "./native.ts";

/**
 * The values that cross the boundary: 32-bit integers, doubles, and typed arrays for the length of a call.
 */
export type NativeType = "i32" | "u32" | "f64" | "buffer" | "pointer";

/** A function of the library: its name in C, its parameters, its result. */
export type Signature = readonly [
  name: string,
  parameters: readonly NativeType[],
  result: NativeType,
];

/** The version of the boundary that these signatures describe; `np_abi()` must answer it. */
export const ABI = 7;

/** Every function of {@linkcode Native}. */
export const SYMBOLS: Readonly<Record<keyof Native, Signature>> = {
  abi: ["np_abi", [], "i32"],
  counters: ["np_counters", ["buffer", "i32"], "i32"],

  slabMap: ["np_slab_map", ["u32"], "i32"],
  slabRegister: ["np_slab_register", ["buffer", "u32"], "i32"],
  slabAddress: ["np_slab_address", ["u32"], "pointer"],
  slabDiscard: ["np_slab_discard", ["u32"], "i32"],
  find: ["np_find", ["u32", "u32", "u32", "buffer", "u32"], "i32"],

  resolve: ["np_resolve", ["buffer", "i32", "buffer", "u32"], "i32"],
  socket: ["np_socket", ["i32"], "i32"],
  socketpair: ["np_socketpair", ["buffer"], "i32"],
  bind: ["np_bind", ["i32", "buffer"], "i32"],
  listen: ["np_listen", ["i32", "i32"], "i32"],
  accept: ["np_accept", ["i32", "buffer"], "i32"],
  readable: ["np_readable", ["i32"], "i32"],
  unread: ["np_unread", ["i32"], "i32"],
  connect: ["np_connect", ["i32", "buffer"], "i32"],
  name: ["np_name", ["i32", "i32", "buffer"], "i32"],
  setsockopt: ["np_setsockopt", ["i32", "i32", "i32", "buffer", "u32"], "i32"],
  getsockopt: ["np_getsockopt", ["i32", "i32", "i32", "buffer", "u32"], "i32"],
  shutdown: ["np_shutdown", ["i32", "i32"], "i32"],
  unacked: ["np_unacked", ["i32"], "i32"],
  close: ["np_close", ["i32"], "i32"],
  adopt: ["np_adopt", ["i32"], "i32"],

  recv: ["np_recv", ["i32", "u32", "u32", "u32"], "i32"],
  readv: ["np_readv", ["i32", "buffer", "i32"], "i32"],
  send: ["np_send", ["i32", "u32", "u32", "u32", "i32"], "i32"],
  sendmsg: ["np_sendmsg", ["i32", "buffer", "i32", "i32"], "i32"],
  writev: ["np_writev", ["i32", "buffer", "i32"], "i32"],
  sendBorrowed: ["np_send_borrowed", ["i32", "buffer", "u32", "u32", "u32", "i32"], "i32"],

  dup: ["np_dup", ["i32"], "i32"],
  stat: ["np_stat", ["i32", "buffer"], "i32"],
  pread: ["np_pread", ["i32", "u32", "u32", "u32", "u32", "u32"], "i32"],
  sendfile: ["np_sendfile", ["i32", "i32", "u32", "u32", "u32"], "i32"],
  pipe: ["np_pipe", ["buffer"], "i32"],
  pipeResize: ["np_pipe_resize", ["i32", "u32"], "i32"],
  splice: ["np_splice", ["i32", "i32", "u32"], "i32"],

  sendmsgZeroCopy: ["np_sendmsg_zero_copy", ["i32", "buffer", "i32", "i32"], "i32"],
  completions: ["np_completions", ["i32", "buffer"], "i32"],
  disconnect: ["np_disconnect", ["i32"], "i32"],
  pinnedMax: ["np_pinned_max", [], "i32"],

  epollCreate: ["np_epoll_create", [], "i32"],
  epollCtl: ["np_epoll_ctl", ["i32", "i32", "i32", "u32", "u32"], "i32"],
  epollWait: ["np_epoll_wait", ["i32", "buffer", "i32", "i32"], "i32"],

  now: ["np_now", [], "f64"],
  eventfd: ["np_eventfd", [], "i32"],
  timerfd: ["np_timerfd", [], "i32"],
  timerfdSet: ["np_timerfd_set", ["i32", "u32"], "i32"],
  counterAdd: ["np_counter_add", ["i32"], "i32"],
  counterTake: ["np_counter_take", ["i32"], "i32"],

  wakerOpen: ["np_waker_open", ["i32"], "i32"],
  wakerSocket: ["np_waker_socket", ["i32"], "i32"],
  wakerArm: ["np_waker_arm", ["i32"], "i32"],
  wakerRing: ["np_waker_ring", ["i32"], "i32"],
  wakerLoop: ["np_waker_loop", ["i32"], "i32"],
  wakerClose: ["np_waker_close", ["i32"], "i32"],

  disown: ["np_disown", ["i32"], "i32"],
  giveBack: ["np_give_back", ["i32"], "i32"],
  ringOpen: ["np_ring_open", [], "i32"],
  ringJoin: ["np_ring_join", ["i32"], "i32"],
  ringPush: ["np_ring_push", ["i32", "i32", "buffer"], "i32"],
  ringTake: ["np_ring_take", ["i32", "buffer"], "i32"],
  ringClose: ["np_ring_close", ["i32"], "i32"],

  tlsLoad: ["np_tls_load", [], "i32"],
  tlsFailure: ["np_tls_failure", ["i32", "i32", "buffer", "buffer", "u32"], "i32"],
  tlsContext: ["np_tls_context", ["i32", "i32", "i32"], "i32"],
  tlsContextFree: ["np_tls_context_free", ["i32"], "i32"],
  tlsSwap: ["np_tls_swap", ["i32", "i32"], "i32"],
  tlsUse: ["np_tls_use", ["i32", "i32", "buffer", "u32", "buffer", "u32"], "i32"],
  tlsSet: ["np_tls_set", ["i32", "i32", "i32"], "i32"],
  tlsName: ["np_tls_name", ["i32", "buffer", "i32"], "i32"],
  tlsBegin: ["np_tls_begin", ["i32", "i32", "buffer", "buffer", "u32", "buffer"], "i32"],
  tlsTimeout: ["np_tls_timeout", ["i32"], "i32"],
  tlsHandshake: ["np_tls_handshake", ["i32"], "i32"],
  tlsChoose: ["np_tls_choose", ["i32", "i32"], "i32"],
  tlsPending: ["np_tls_pending", ["i32"], "i32"],
  tlsRecv: ["np_tls_recv", ["i32", "u32", "u32", "u32"], "i32"],
  tlsSend: ["np_tls_send", ["i32", "buffer", "i32"], "i32"],
  tlsSendBorrowed: ["np_tls_send_borrowed", ["i32", "buffer", "u32", "u32", "u32"], "i32"],
  tlsShutdown: ["np_tls_shutdown", ["i32"], "i32"],
  tlsAbout: ["np_tls_about", ["i32", "i32", "buffer", "u32"], "i32"],
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
  "sendfile",
  "splice",
  "sendZeroCopy",
] as const;

/** A kind of call. */
export type Call = typeof CALLS[number];
