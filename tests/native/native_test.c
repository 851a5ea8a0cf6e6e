// make -C tests/native
//
// Every function of libnetpoll.c on real descriptors, in one program, so that its tables and
// constants are in reach. The Makefile builds it several times: plain, under sanitizers, with
// faults.
#include "../../libnetpoll.c"
#undef recvmsg  // a test cuts a notification off on purpose, at which the one of faults.h ends the program

#include "harness.h"

#include "slab.c"
#include "address.c"
#include "socket.c"
#include "bytes.c"
#include "epoll.c"
#include "counter.c"
#include "waker.c"
#include "cluster.c"
#include "fault.c"
#include "file.c"
#include "zero_copy.c"
#include "datagram.c"
#include "tls.c"
