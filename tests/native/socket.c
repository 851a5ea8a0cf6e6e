static const int ON[] = {1};

// A listener at 127.0.0.1 on a port of the kernel's choice, left in `address`.
static int32_t listen_tcp(struct address *address) {
  *address = address_of(AF_INET, LOOPBACK4, 4);
  int32_t fd = np_socket(AF_INET);
  CHECK_EQUAL(np_bind(fd, address), 0);
  CHECK_EQUAL(np_listen(fd, 16), 0);
  CHECK_EQUAL(np_name(fd, 0, address), 0);
  return fd;
}

static void await(int32_t fd, short events) {
  struct pollfd wanted = {.fd = fd, .events = events};
  CHECK_EQUAL(poll(&wanted, 1, -1), 1);
}

// Two connected TCP sockets.
static void connect_tcp(int32_t pair[2]) {
  struct address at, peer;
  int32_t listener = listen_tcp(&at);
  pair[0] = np_socket(AF_INET);
  int32_t code = np_connect(pair[0], &at);
  CHECK(code == 0 || code == -EINPROGRESS);
  await(listener, POLLIN);
  pair[1] = np_accept(listener, &peer);
  CHECK(pair[1] >= 0);
  np_close(listener);
}

TEST("np_unread() and np_unacked() count what is not read, and what the peer has not taken") {
  int32_t pair[2];
  connect_tcp(pair);
  CHECK_EQUAL(np_unread(pair[1]), 0);
  CHECK_EQUAL(np_unacked(pair[0]), 0);
  CHECK_EQUAL(send(pair[0], "hello", 5, 0), 5);
  await(pair[1], POLLIN);
  CHECK_EQUAL(np_unread(pair[1]), 5);
  while (np_unacked(pair[0]) > 0) sched_yield();  // until it is acknowledged
  np_close(pair[0]);
  np_close(pair[1]);
  CHECK_EQUAL(np_socketpair(pair), 0);
  CHECK_EQUAL(send(pair[0], "hello", 5, 0), 5);
  CHECK(np_unacked(pair[0]) >= 5);
  char bytes[8];
  CHECK_EQUAL(recv(pair[1], bytes, sizeof bytes, 0), 5);
  CHECK_EQUAL(np_unacked(pair[0]), 0);
  np_close(pair[0]);
  np_close(pair[1]);
  CHECK_EQUAL(np_unread(pair[0]), -EBADF);
  CHECK_EQUAL(np_unacked(pair[0]), -EBADF);
}

TEST("np_socket() is a stream, non-blocking and close-on-exec") {
  static const int FAMILIES[] = {AF_INET, AF_INET6, AF_UNIX};
  for (int n = 0; n < 3; n++) {
    int32_t fd = np_socket(FAMILIES[n]);
    if (fd == -EAFNOSUPPORT) continue;
    check_flags(fd);
    int32_t type = 0;
    CHECK_EQUAL(np_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, sizeof type), sizeof type);
    CHECK_EQUAL(type, SOCK_STREAM);
    CHECK_EQUAL(np_close(fd), 0);
  }
  CHECK_EQUAL(np_socket(-1), -EAFNOSUPPORT);
}

TEST("np_socketpair() is connected both ways, non-blocking and close-on-exec") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  for (int from = 0; from < 2; from++) {
    check_flags(pair[from]);
    CHECK_EQUAL(np_send(pair[from], slab, 0, 3, 0), 3);
    CHECK_EQUAL(np_recv(pair[1 - from], slab, 0, 10), 3);
  }
}

TEST("np_accept() takes a connection, non-blocking and close-on-exec, or is -EAGAIN") {
  struct address at, peer;
  int32_t listener = listen_tcp(&at);
  CHECK_EQUAL(np_accept(listener, &peer), -EAGAIN);
  int32_t client = np_socket(AF_INET);
  np_connect(client, &at);
  await(listener, POLLIN);
  int32_t server = np_accept(listener, &peer);
  check_flags(server);
  CHECK_EQUAL(peer.family, AF_INET);
  CHECK_EQUAL(np_accept(listener, &peer), -EAGAIN);
  CHECK_EQUAL(np_accept(client, &peer), -EINVAL);
  CHECK_EQUAL(np_accept(-1, &peer), -EBADF);
}

TEST("np_connect() is -EINPROGRESS or done over TCP, and SO_ERROR tells the end of it") {
  struct address at;
  int32_t listener = listen_tcp(&at);
  int32_t fd = np_socket(AF_INET), error = -1;
  int32_t code = np_connect(fd, &at);
  CHECK(code == 0 || code == -EINPROGRESS);
  await(fd, POLLOUT);
  CHECK_EQUAL(np_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, sizeof error), sizeof error);
  CHECK_EQUAL(error, 0);
  np_close(listener);
  int32_t refused = np_socket(AF_INET);
  code = np_connect(refused, &at);
  if (code == -EINPROGRESS) {
    await(refused, POLLOUT);
    CHECK_EQUAL(np_getsockopt(refused, SOL_SOCKET, SO_ERROR, &error, sizeof error), sizeof error);
    code = -error;
  }
  CHECK_EQUAL(code, -ECONNREFUSED);
}

TEST("np_connect() over Unix is -ENOENT without a path and -EAGAIN when the backlog is full") {
  struct address missing = address_of(AF_UNIX, "/nowhere/np", 11);
  CHECK_EQUAL(np_connect(np_socket(AF_UNIX), &missing), -ENOENT);
  char name[32] = {0};
  snprintf(name + 1, sizeof name - 1, "netpoll-full-%d", getpid());
  struct address at = address_of(AF_UNIX, name, sizeof name);
  int32_t listener = np_socket(AF_UNIX), code = 0;
  CHECK_EQUAL(np_bind(listener, &at), 0);
  CHECK_EQUAL(np_listen(listener, 1), 0);
  for (int n = 0; n < 10 && code == 0; n++) code = np_connect(np_socket(AF_UNIX), &at);
  CHECK_EQUAL(code, -EAGAIN);
}

static int32_t late_listener;
static struct address late_address;

static void nothing(void) {}

TEST("np_connect() is -EINPROGRESS when a signal interrupts it") {
  // A blocking connect to a Unix socket whose backlog is full waits, and a signal interrupts that.
  char name[32] = {0};
  snprintf(name + 1, sizeof name - 1, "netpoll-late-%d", getpid());
  late_address = address_of(AF_UNIX, name, sizeof name);
  late_listener = np_socket(AF_UNIX);
  CHECK_EQUAL(np_bind(late_listener, &late_address), 0);
  CHECK_EQUAL(np_listen(late_listener, 0), 0);
  int32_t code = 0;
  while (code == 0) code = np_connect(np_socket(AF_UNIX), &late_address);
  CHECK_EQUAL(code, -EAGAIN);
  int32_t fd = np_socket(AF_UNIX);
  make_blocking(fd);
  interrupt(1, nothing);
  CHECK_EQUAL(np_connect(fd, &late_address), -EINPROGRESS);
}

TEST("np_bind() and np_listen() return what the kernel refuses") {
  struct address at;
  int32_t listener = listen_tcp(&at);
  CHECK_EQUAL(np_bind(np_socket(AF_INET), &at), -EADDRINUSE);
  CHECK_EQUAL(np_bind(listener, &at), -EINVAL);
  CHECK_EQUAL(np_bind(-1, &at), -EBADF);
  CHECK_EQUAL(np_listen(-1, 1), -EBADF);
  CHECK_EQUAL(np_listen(np_eventfd(), 1), -ENOTSOCK);
  struct address missing = address_of(AF_UNIX, "/nowhere/np", 11);
  CHECK_EQUAL(np_bind(np_socket(AF_UNIX), &missing), -ENOENT);
}

TEST("np_setsockopt() and np_getsockopt() set and get one or several words") {
  int32_t fd = np_socket(AF_INET), values[4] = {0};
  CHECK_EQUAL(np_getsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, values, sizeof *values), sizeof *values);
  CHECK_EQUAL(values[0], 0);
  CHECK_EQUAL(np_setsockopt(fd, IPPROTO_TCP, 1, ON, sizeof *ON), 0);
  CHECK_EQUAL(np_getsockopt(fd, IPPROTO_TCP, 1, values, sizeof *values), sizeof *values);
  CHECK_EQUAL(values[0], 1);
  int32_t linger[2] = {1, 7};
  CHECK_EQUAL(np_setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, sizeof linger), 0);
  CHECK_EQUAL(np_getsockopt(fd, SOL_SOCKET, SO_LINGER, values, sizeof values), sizeof linger);
  CHECK_EQUAL(values[0], 1);
  CHECK_EQUAL(values[1], 7);
  values[1] = 55;
  CHECK_EQUAL(np_getsockopt(fd, SOL_SOCKET, SO_LINGER, values, 4), 4);  // no byte past what we gave it
  CHECK_EQUAL(values[1], 55);
  CHECK_EQUAL(np_setsockopt(fd, SOL_SOCKET, 9999, ON, sizeof *ON), -ENOPROTOOPT);
  CHECK_EQUAL(np_getsockopt(fd, SOL_SOCKET, 9999, values, 4), -ENOPROTOOPT);
  CHECK_EQUAL(np_setsockopt(fd, SOL_SOCKET, SO_LINGER, ON, 1), -EINVAL);
  CHECK_EQUAL(np_setsockopt(-1, SOL_SOCKET, SO_LINGER, ON, 4), -EBADF);
  CHECK_EQUAL(np_getsockopt(-1, SOL_SOCKET, SO_LINGER, values, 4), -EBADF);
}

TEST("np_shutdown() ends one direction or both") {
  int32_t pair[2];
  make_pair(pair);
  uint32_t slab = a_slab();
  CHECK_EQUAL(np_shutdown(pair[0], SHUT_WR), 0);
  CHECK_EQUAL(np_recv(pair[1], slab, 0, 1), 0);
  CHECK_EQUAL(np_send(pair[0], slab, 0, 1, 0), -EPIPE);
  CHECK_EQUAL(np_send(pair[1], slab, 0, 1, 0), 1);
  CHECK_EQUAL(np_recv(pair[0], slab, 0, 1), 1);
  CHECK_EQUAL(np_shutdown(pair[1], SHUT_RDWR), 0);
  CHECK_EQUAL(np_shutdown(pair[1], 3), -EINVAL);
  CHECK_EQUAL(np_shutdown(np_socket(AF_INET), SHUT_WR), -ENOTCONN);
  CHECK_EQUAL(np_shutdown(-1, SHUT_WR), -EBADF);
}

TEST("np_unacked() counts what a TCP peer has not acknowledged, and the end of sending as one") {
  struct address at = address_of(AF_INET, LOOPBACK4, 4);
  int32_t listener = np_socket(AF_INET), client = np_socket(AF_INET);
  CHECK_EQUAL(np_bind(listener, &at), 0);
  CHECK_EQUAL(np_listen(listener, 1), 0);
  CHECK_EQUAL(np_setsockopt(client, SOL_SOCKET, SO_RCVBUF, (int32_t[]){4096}, 4), 0);
  CHECK_EQUAL(np_name(listener, 0, &at), 0);
  np_connect(client, &at);
  struct address peer;
  int32_t server;
  while ((server = np_accept(listener, &peer)) == -EAGAIN) {}
  CHECK_EQUAL(np_unacked(server), 0);
  uint32_t slab = a_slab();
  int32_t sent = np_send(server, slab, 0, 1 << 20, 0);
  int32_t unacked = np_unacked(server);
  CHECK(unacked > 0 && unacked <= sent);
  CHECK_EQUAL(np_shutdown(server, SHUT_WR), 0);
  for (int32_t taken = 0; taken < sent;) {
    int32_t count = np_recv(client, slab, 0, 1 << 20);
    if (count > 0) taken += count;
  }
  while (np_unacked(server) > 0) {}
  CHECK_EQUAL(np_unacked(server), 0);
  CHECK_EQUAL(np_unacked(listener), -EINVAL);
  CHECK_EQUAL(np_unacked(-1), -EBADF);
}

TEST("np_close() closes once, and is -EBADF after") {
  int before = open_fds();
  int32_t fd = np_socket(AF_UNIX);
  CHECK_EQUAL(open_fds(), before + 1);
  CHECK_EQUAL(np_close(fd), 0);
  CHECK_EQUAL(open_fds(), before);
  CHECK_EQUAL(np_close(fd), -EBADF);
  CHECK_EQUAL(np_close(-1), -EBADF);
}

TEST("np_adopt() makes a descriptor non-blocking and close-on-exec, and keeps its other flags") {
  int ends[2];
  CHECK_EQUAL(pipe(ends), 0);
  CHECK_EQUAL(fcntl(ends[1], F_SETFL, O_APPEND), 0);
  CHECK_EQUAL(np_adopt(ends[1]), 0);
  check_flags(ends[1]);
  CHECK(fcntl(ends[1], F_GETFL) & O_APPEND);
  CHECK_EQUAL(np_adopt(-1), -EBADF);
  CHECK_EQUAL(np_adopt(9999), -EBADF);
}

TEST("np_socket() and all that open are -EMFILE when no descriptor is left, and leave none behind") {
  struct address at, peer;
  int32_t pair[2], listener = listen_tcp(&at), epoll = np_epoll_create();
  int32_t client = np_socket(AF_INET);
  np_connect(client, &at);
  await(listener, POLLIN);
  struct rlimit before;
  CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
  // One is free: a pair needs two, a waker three.
  int next = dup(0);
  struct rlimit one_left = {(rlim_t)next + 1, before.rlim_max};
  close(next);
  CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &one_left), 0);
  CHECK_EQUAL(np_socketpair(pair), -EMFILE);
  CHECK_EQUAL(np_waker_open(epoll), -EMFILE);
  // Two free: the waker's pair fits, its eventfd does not.
  one_left.rlim_cur++;
  CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &one_left), 0);
  CHECK_EQUAL(np_waker_open(epoll), -EMFILE);
  CHECK_EQUAL(np_socketpair(pair), 0);
  CHECK_EQUAL(np_socket(AF_INET), -EMFILE);
  CHECK_EQUAL(np_accept(listener, &peer), -EMFILE);
  CHECK_EQUAL(np_epoll_create(), -EMFILE);
  CHECK_EQUAL(np_eventfd(), -EMFILE);
  CHECK_EQUAL(np_timerfd(), -EMFILE);
  CHECK_EQUAL(np_close(pair[0]), 0);
  CHECK(np_accept(listener, &peer) >= 0);  // it was left in the queue
  CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);  // the leak detector opens files
}
