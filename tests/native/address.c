static struct address address_of(uint32_t family, const void *bytes, uint32_t length) {
  struct address address = {.family = family, .length = length};
  memcpy(address.bytes, bytes, length);
  return address;
}

static const uint8_t LOOPBACK4[4] = {127, 0, 0, 1};
static const uint8_t LOOPBACK6[16] = {[15] = 1};

static void check_same(const struct address *actual, const struct address *expected) {
  CHECK_EQUAL(actual->family, expected->family);
  CHECK_EQUAL(actual->port, expected->port);
  CHECK_EQUAL(actual->scope, expected->scope);
  CHECK_EQUAL(actual->length, expected->length);
  CHECK(memcmp(actual->bytes, expected->bytes, expected->length) == 0);
}

static void check_through_kernel_form(const struct address *address) {
  struct sockaddr_storage storage;
  struct address back;
  memset(&back, 0xee, sizeof back);
  socklen_t length = to_kernel(address, &storage);
  CHECK(length > 0);
  from_kernel(&storage, length, &back);
  check_same(&back, address);
}

TEST("np_bind() addresses keep IPv4, IPv6 with port and scope, and Unix names") {
  struct address four = address_of(AF_INET, (uint8_t[]){192, 0, 2, 255}, 4);
  four.port = 65535;
  check_through_kernel_form(&four);
  struct address six = address_of(AF_INET6, (uint8_t[]){0xfe, 0x80, [15] = 0xff}, 16);
  six.port = 1;
  six.scope = UINT32_MAX;
  check_through_kernel_form(&six);
  char name[108];
  memset(name, 'x', sizeof name);
  for (uint32_t length = 1; length <= sizeof name; length++) {
    struct address path = address_of(AF_UNIX, name, length);
    check_through_kernel_form(&path);
  }
  name[0] = 0;
  for (uint32_t length = 1; length <= sizeof name; length++) {
    struct address abstract = address_of(AF_UNIX, name, length);
    check_through_kernel_form(&abstract);
  }
}

TEST("np_bind() and np_connect() are -EINVAL for an address whose length does not fit its family") {
  static const uint32_t CASES[][2] = {
    {AF_INET, 0}, {AF_INET, 3}, {AF_INET, 5}, {AF_INET, 16}, {AF_INET, UINT32_MAX},
    {AF_INET6, 0}, {AF_INET6, 4}, {AF_INET6, 15}, {AF_INET6, 17},
    {AF_UNIX, 0}, {AF_UNIX, 109}, {AF_UNIX, UINT32_MAX},
    {AF_UNSPEC, 4}, {AF_NETLINK, 16}, {AF_INET + 65536, 4},
  };
  for (size_t n = 0; n < sizeof CASES / sizeof *CASES; n++) {
    struct address address = {.family = CASES[n][0], .length = CASES[n][1]};
    int32_t fd = np_socket(AF_INET);
    CHECK_EQUAL(np_bind(fd, &address), -EINVAL);
    CHECK_EQUAL(np_connect(fd, &address), -EINVAL);
    np_close(fd);
  }
}

TEST("np_name() reads no byte behind a Unix path, whatever length the kernel says") {
  struct sockaddr_storage storage;
  struct { struct address address; uint8_t after[64]; } out;
  memset(&storage, 'x', sizeof storage);
  memset(&out, 0xee, sizeof out);
  storage.ss_family = AF_UNIX;
  from_kernel(&storage, sizeof storage, &out.address);
  CHECK_EQUAL(out.address.length, 108);
  for (size_t n = 0; n < sizeof out.after; n++) CHECK_EQUAL(out.after[n], 0xee);
}

// Listen at the address, connect, and take it. What the two ends say they are is left in `names`.
static void meet(const struct address *at, int32_t fds[3], struct address names[4]) {
  fds[0] = np_socket((int32_t)at->family);
  CHECK_EQUAL(np_bind(fds[0], at), 0);
  CHECK_EQUAL(np_listen(fds[0], 1), 0);
  CHECK_EQUAL(np_name(fds[0], 0, &names[0]), 0);
  fds[1] = np_socket((int32_t)at->family);
  int32_t code = np_connect(fds[1], &names[0]);
  CHECK(code == 0 || code == -EINPROGRESS);
  struct pollfd comes = {.fd = fds[0], .events = POLLIN};
  CHECK_EQUAL(poll(&comes, 1, -1), 1);
  fds[2] = np_accept(fds[0], &names[1]);
  CHECK(fds[2] >= 0);
  CHECK_EQUAL(np_name(fds[1], 0, &names[2]), 0);
  CHECK_EQUAL(np_name(fds[1], 1, &names[3]), 0);
}

static void check_met(const struct address *at) {
  int32_t fds[3];
  struct address names[4];
  meet(at, fds, names);
  CHECK(names[0].port != 0);
  CHECK(names[2].port != 0 && names[2].port != names[0].port);
  check_same(&names[3], &names[0]);  // whom the client reached is who listens
  check_same(&names[1], &names[2]);  // whom the server accepted is who the client is
  CHECK(memcmp(names[0].bytes, at->bytes, at->length) == 0);
  for (int n = 0; n < 3; n++) np_close(fds[n]);
}

TEST("np_readable() is 1 for what can be accepted or read, and for an end or error") {
  struct address at = address_of(AF_INET, LOOPBACK4, 4), names[4];
  int32_t fds[3];
  meet(&at, fds, names);
  CHECK_EQUAL(np_readable(fds[0]), 0);
  CHECK_EQUAL(np_readable(fds[2]), 0);
  CHECK_EQUAL(send(fds[1], "x", 1, 0), 1);
  CHECK_EQUAL(poll(&(struct pollfd){.fd = fds[2], .events = POLLIN}, 1, -1), 1);
  CHECK_EQUAL(np_readable(fds[2]), 1);
  int32_t other = np_socket(AF_INET);
  np_connect(other, &names[0]);
  CHECK_EQUAL(poll(&(struct pollfd){.fd = fds[0], .events = POLLIN}, 1, -1), 1);
  CHECK_EQUAL(np_readable(fds[0]), 1);
  CHECK_EQUAL(np_close(fds[2]), 0);
  CHECK_EQUAL(np_readable(fds[2]), 1);  // it is no descriptor: POLLNVAL
  np_close(fds[0]);
  np_close(fds[1]);
  np_close(other);
}

TEST("np_name() and np_accept() agree about both ends, over IPv4") {
  struct address at = address_of(AF_INET, LOOPBACK4, 4);
  check_met(&at);
}

TEST("np_name() and np_accept() agree about both ends, over IPv6") {
  struct address at = address_of(AF_INET6, LOOPBACK6, 16);
  int32_t fd = np_socket(AF_INET6);
  if (fd == -EAFNOSUPPORT || np_bind(fd, &at) == -EADDRNOTAVAIL) SKIP("no IPv6 here");
  np_close(fd);
  check_met(&at);
}

static void check_met_at_path(uint32_t length) {
  char directory[] = "/tmp/np-XXXXXX", path[109] = {0};
  CHECK(mkdtemp(directory));
  memset(path, 'p', length);
  memcpy(path, directory, strlen(directory));
  path[strlen(directory)] = '/';
  struct address at = address_of(AF_UNIX, path, length);
  int32_t fds[3];
  struct address names[4];
  meet(&at, fds, names);
  struct stat there;
  CHECK_EQUAL(stat(path, &there), 0);  // under the name we gave: nothing cut, nothing added
  unlink(path);
  rmdir(directory);
  check_same(&names[0], &at);
  check_same(&names[3], &at);
  CHECK_EQUAL(names[1].family, AF_UNIX);  // the client bound no name
  CHECK_EQUAL(names[1].length, 0);
  CHECK_EQUAL(names[2].length, 0);
}

TEST("np_name() returns a Unix path of 1 to 108 bytes as it was bound") {
  check_met_at_path(20);
  check_met_at_path(107);
  check_met_at_path(108);
}

TEST("np_name() returns an abstract Unix name as it was bound, its 0 bytes included") {
  char name[108] = {0};
  snprintf(name + 1, sizeof name - 1, "netpoll-test-%d", getpid());
  uint32_t printed = 1 + (uint32_t)strlen(name + 1);
  for (uint32_t length = printed; length <= sizeof name; length += sizeof name - printed) {
    struct address at = address_of(AF_UNIX, name, length);  // the longer one ends in 0 bytes
    int32_t fds[3];
    struct address names[4];
    meet(&at, fds, names);
    check_same(&names[0], &at);
    check_same(&names[3], &at);
    CHECK_EQUAL(names[1].length, 0);
    for (int n = 0; n < 3; n++) np_close(fds[n]);
  }
}

TEST("np_name() is -ENOTCONN for the other end when there is none, and -errno for what is no socket") {
  struct address name;
  int32_t fd = np_socket(AF_INET);
  CHECK_EQUAL(np_name(fd, 1, &name), -ENOTCONN);
  CHECK_EQUAL(np_name(fd, 0, &name), 0);
  CHECK_EQUAL(name.port, 0);
  CHECK_EQUAL(np_name(-1, 0, &name), -EBADF);
  CHECK_EQUAL(np_name(np_eventfd(), 0, &name), -ENOTSOCK);
}

TEST("np_name() of a socket pair is a Unix address without a name") {
  int32_t pair[2];
  struct address name;
  make_pair(pair);
  for (int peer = 0; peer < 2; peer++) {
    CHECK_EQUAL(np_name(pair[0], peer, &name), 0);
    CHECK_EQUAL(name.family, AF_UNIX);
    CHECK_EQUAL(name.length, 0);
  }
}

TEST("np_resolve() finds localhost and numeric addresses, at most as many as asked for") {
  struct address found[4];
  CHECK_EQUAL(np_resolve("127.0.0.1", AF_UNSPEC, found, 4), 1);
  struct address four = address_of(AF_INET, LOOPBACK4, 4);
  check_same(&found[0], &four);
  CHECK_EQUAL(np_resolve("::1", AF_UNSPEC, found, 4), 1);
  struct address six = address_of(AF_INET6, LOOPBACK6, 16);
  check_same(&found[0], &six);
  CHECK(np_resolve("localhost", AF_INET, found, 4) >= 1);
  check_same(&found[0], &four);
  memset(found, 0xee, sizeof found);
  CHECK_EQUAL(np_resolve("localhost", AF_INET, found, 1), 1);
  CHECK_EQUAL(found[1].family, 0xeeeeeeee);
  CHECK_EQUAL(np_resolve("localhost", AF_INET, found, 0), 0);
}

TEST("np_resolve() returns getaddrinfo's code below -4096 when there is no such address") {
  struct address found[1];
  CHECK(np_resolve("no-such-name.invalid", AF_UNSPEC, found, 1) < -RESOLVE_BASE);
  CHECK_EQUAL(np_resolve("::1", AF_INET, found, 1), -(RESOLVE_BASE - EAI_ADDRFAMILY));
  CHECK_EQUAL(np_resolve("127.0.0.1", AF_UNIX, found, 1), -(RESOLVE_BASE - EAI_FAMILY));
  CHECK(np_resolve("", AF_INET, found, 1) < -RESOLVE_BASE);
}
