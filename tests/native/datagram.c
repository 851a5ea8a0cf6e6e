// A datagram socket of IPv4 or IPv6 at a port of loopback that the kernel chooses, left in `address`.
static int32_t datagram_at(int family, const void *host, struct address *address) {
  *address = address_of(family, host, family == AF_INET ? 4 : 16);
  int32_t fd = np_datagram_socket(family);
  CHECK_EQUAL(np_bind(fd, address), 0);
  CHECK_EQUAL(np_name(fd, 0, address), 0);
  return fd;
}

// A record over some bytes of a slab, for an address.
static struct datagram record_to(const struct address *to, uint32_t slab, uint32_t offset, uint32_t length) {
  struct datagram record = {.slab = slab, .offset = offset, .capacity = length, .length = length,
                            .port = (uint16_t)to->port, .family = (uint16_t)to->family, .scope = to->scope};
  memcpy(record.address, to->bytes, to->length);
  return record;
}

// Room for `count` datagrams, 64 KiB each.
static void make_room(struct datagram *table, int32_t count, uint32_t slab) {
  for (int32_t i = 0; i < count; i++) {
    table[i] = (struct datagram){.slab = slab, .offset = (uint32_t)i << 16, .capacity = 1 << 16};
  }
}

static void turn_on(int32_t fd, int32_t level, int32_t name) {
  CHECK_EQUAL(np_setsockopt(fd, level, name, ON, sizeof ON), 0);
}

TEST("np_datagram_socket() is one of datagrams, non-blocking and close-on-exec") {
  int32_t fd = np_datagram_socket(AF_INET), type = 0;
  check_flags(fd);
  CHECK_EQUAL(np_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, sizeof type), sizeof type);
  CHECK_EQUAL(type, SOCK_DGRAM);
  CHECK_EQUAL(np_datagram_socket(-1), -EAFNOSUPPORT);
}

TEST("np_sendmmsg() takes the records that np_recvmmsg() has filled: an echo, empty datagrams included") {
  static const int FAMILIES[] = {AF_INET, AF_INET6};
  for (int n = 0; n < 2; n++) {
    struct address here, there;
    const void *host = n == 0 ? (const void *)LOOPBACK4 : (const void *)LOOPBACK6;
    if (np_datagram_socket(FAMILIES[n]) == -EAFNOSUPPORT) continue;
    int32_t a = datagram_at(FAMILIES[n], host, &here), b = datagram_at(FAMILIES[n], host, &there);
    uint32_t from = a_filled_slab(), to = a_slab();
    struct datagram table[4], got[8];
    for (uint32_t i = 0; i < 4; i++) table[i] = record_to(&there, from, 100 * i, 10 * i);
    CHECK_EQUAL(np_sendmmsg(a, table, 0, 4), 4);
    make_room(got, 8, to);
    CHECK_EQUAL(np_recvmmsg(b, got, 8), 4);
    for (uint32_t i = 0; i < 4; i++) {
      CHECK_EQUAL(got[i].length, 10 * i);
      CHECK_EQUAL(got[i].port, here.port);
      CHECK_EQUAL(got[i].family, FAMILIES[n]);
      CHECK_EQUAL(got[i].flags, 0);
      CHECK(memcmp(bytes_of(to) + got[i].offset, bytes_of(from) + 100 * i, 10 * i) == 0);
    }
    CHECK_EQUAL(np_sendmmsg(b, got, 1, 3), 3);  // from the second one on
    struct datagram back[8];
    make_room(back, 8, a_slab());
    CHECK_EQUAL(np_recvmmsg(a, back, 8), 3);
    CHECK_EQUAL(back[2].length, 30);
    CHECK_EQUAL(np_recvmmsg(a, back, 8), -EAGAIN);
  }
}

TEST("np_recvmmsg() and np_sendmmsg() refuse memory outside a slab, and more records than there are") {
  struct address here;
  int32_t fd = datagram_at(AF_INET, LOOPBACK4, &here);
  uint32_t slab = a_slab();
  struct datagram one = record_to(&here, slab, HUGE_PAGE_BYTES - 1, 2);
  CHECK_EQUAL(np_recvmmsg(fd, &one, 1), -EFAULT);
  CHECK_EQUAL(np_sendmmsg(fd, &one, 0, 1), -EFAULT);
  one.slab = SLABS_MAX;
  CHECK_EQUAL(np_sendmmsg(fd, &one, 0, 1), -EFAULT);
  CHECK_EQUAL(np_sendmmsg(fd, &one, 0, DATAGRAMS_MAX + 1), -EINVAL);
  CHECK_EQUAL(np_sendmmsg(fd, &one, -1, 1), -EINVAL);
  CHECK_EQUAL(np_sendmmsg(fd, &one, 0, -1), -EINVAL);
  CHECK_EQUAL(np_recvmmsg(fd, &one, DATAGRAMS_MAX + 1), -EINVAL);
  CHECK_EQUAL(np_recvmmsg(fd, &one, -1), -EINVAL);
  CHECK_EQUAL(np_errors(fd, &one, DATAGRAMS_MAX + 1), -EINVAL);
  CHECK_EQUAL(np_errors(fd, &one, -1), -EINVAL);
  CHECK_EQUAL(np_sendmmsg(-1, &one, 0, 0), -EBADF);
}

TEST("np_sendmmsg() sends a train that np_recvmmsg() receives as one, and apart where that is off") {
  struct address whole, apart;
  int32_t from = np_datagram_socket(AF_INET);
  int32_t a = datagram_at(AF_INET, LOOPBACK4, &whole), b = datagram_at(AF_INET, LOOPBACK4, &apart);
  turn_on(a, SOL_UDP, UDP_GRO);
  uint32_t slab = a_filled_slab();
  struct datagram table[2] = {record_to(&whole, slab, 0, 2500), record_to(&apart, slab, 0, 2500)}, got[8];
  table[0].segment = table[1].segment = 1000;
  CHECK_EQUAL(np_sendmmsg(from, table, 0, 2), 2);
  make_room(got, 8, a_slab());
  CHECK_EQUAL(np_recvmmsg(a, got, 8), 1);
  CHECK_EQUAL(got[0].length, 2500);
  CHECK_EQUAL(got[0].segment, 1000);
  CHECK_EQUAL(np_recvmmsg(b, got, 8), 3);
  CHECK_EQUAL(got[2].length, 500);
  CHECK_EQUAL(got[0].segment, 0);
}

TEST("np_recvmmsg() tells the local address, the type of service and the time, and an answer comes from there") {
  struct address every = {.family = AF_INET, .length = 4};
  int32_t server = np_datagram_socket(AF_INET);
  turn_on(server, IPPROTO_IP, IP_PKTINFO);
  turn_on(server, IPPROTO_IP, IP_RECVTOS);
  turn_on(server, SOL_SOCKET, SO_TIMESTAMPNS);
  CHECK_EQUAL(np_bind(server, &every), 0);
  CHECK_EQUAL(np_name(server, 0, &every), 0);
  struct address to = address_of(AF_INET, (const uint8_t[]){127, 0, 0, 9}, 4);
  to.port = every.port;
  int32_t client = np_datagram_socket(AF_INET);
  CHECK_EQUAL(np_connect(client, &to), 0);
  struct datagram one = {.slab = a_slab(), .length = 5, .family = AF_INET,
                         .flags = DATAGRAM_CONNECTED | DATAGRAM_SERVICE | 0xb9 << 8};
  CHECK_EQUAL(np_sendmmsg(client, &one, 0, 1), 1);
  struct datagram got[1];
  make_room(got, 1, a_slab());
  CHECK_EQUAL(np_recvmmsg(server, got, 1), 1);
  CHECK_EQUAL(got[0].flags, DATAGRAM_LOCAL | 0xb9 << 8);
  CHECK(memcmp(got[0].local, to.bytes, 4) == 0);
  uint64_t micros = (uint64_t)got[0].time[1] << 32 | got[0].time[0];
  CHECK(micros > 1600000000000000ull);
  CHECK_EQUAL(np_sendmmsg(server, got, 0, 1), 1);
  struct datagram back[1];
  make_room(back, 1, a_slab());
  await(client, POLLIN);  // a connected socket hears nobody else
  CHECK_EQUAL(np_recvmmsg(client, back, 1), 1);
  CHECK_EQUAL(back[0].length, 5);
}

TEST("np_recvmmsg() shows IPv4 addresses of an IPv6 socket as what they are, both ends") {
  struct address every = {.family = AF_INET6, .length = 16};
  int32_t server = np_datagram_socket(AF_INET6);
  if (server == -EAFNOSUPPORT) SKIP("no IPv6 here");
  CHECK_EQUAL(np_setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, (const int[]){0}, sizeof(int)), 0);
  turn_on(server, IPPROTO_IPV6, IPV6_RECVPKTINFO);
  CHECK_EQUAL(np_bind(server, &every), 0);
  CHECK_EQUAL(np_name(server, 0, &every), 0);
  struct address here, to = address_of(AF_INET, (const uint8_t[]){127, 0, 0, 9}, 4);
  to.port = every.port;
  int32_t client = datagram_at(AF_INET, LOOPBACK4, &here);
  CHECK_EQUAL(np_connect(client, &to), 0);
  struct datagram one = {.slab = a_slab(), .length = 5, .family = AF_INET, .flags = DATAGRAM_CONNECTED}, got[1];
  CHECK_EQUAL(np_sendmmsg(client, &one, 0, 1), 1);
  make_room(got, 1, a_slab());
  CHECK_EQUAL(np_recvmmsg(server, got, 1), 1);
  CHECK_EQUAL(got[0].family, AF_INET);
  CHECK_EQUAL(got[0].port, here.port);
  CHECK(memcmp(got[0].address, here.bytes, 4) == 0);
  CHECK(memcmp(got[0].local, to.bytes, 4) == 0);
  CHECK_EQUAL(np_sendmmsg(server, got, 0, 1), 1);
  await(client, POLLIN);
  CHECK_EQUAL(np_recvmmsg(client, got, 1), 1);
}

TEST("np_errors() takes what ICMP has told of one peer, and says which; then the queue is empty") {
  struct address dead, live;
  np_close(datagram_at(AF_INET, LOOPBACK4, &dead));
  int32_t fd = datagram_at(AF_INET, LOOPBACK4, &live);
  turn_on(fd, IPPROTO_IP, IP_RECVERR);
  struct datagram one = record_to(&dead, a_slab(), 0, 10), got[4];
  CHECK_EQUAL(np_errors(fd, got, 4), 0);
  CHECK_EQUAL(np_sendmmsg(fd, &one, 0, 1), 1);
  CHECK_EQUAL(np_errors(fd, got, 4), 1);
  CHECK_EQUAL(got[0].length, ECONNREFUSED);
  CHECK_EQUAL(got[0].flags & 0xff, SO_EE_ORIGIN_ICMP);
  CHECK_EQUAL(got[0].flags >> ERROR_TYPE_SHIFT & 0xff, 3);  // destination unreachable
  CHECK_EQUAL(got[0].flags >> ERROR_CODE_SHIFT & 0xff, 3);  // the port
  CHECK_EQUAL(got[0].port, dead.port);
  CHECK_EQUAL(got[0].family, AF_INET);
  CHECK(memcmp(got[0].local, LOOPBACK4, 4) == 0);
  CHECK_EQUAL(np_errors(fd, got, 4), 0);
  CHECK_EQUAL(np_errors(-1, got, 4), -EBADF);
}

TEST("np_steer() gives a datagram to the socket that its byte names, in the order of their binding") {
  struct address here;
  const int on = 1;
  int32_t group[3];
  for (int i = 0; i < 3; i++) {
    if (i == 0) here = address_of(AF_INET, LOOPBACK4, 4);
    group[i] = np_datagram_socket(AF_INET);
    CHECK_EQUAL(setsockopt(group[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    CHECK_EQUAL(np_bind(group[i], &here), 0);
    CHECK_EQUAL(np_name(group[i], 0, &here), 0);
  }
  CHECK_EQUAL(np_steer(group[0], 1, 20, 3), 0);
  CHECK_EQUAL(np_steer(group[0], 1, 1, 3), 0);
  CHECK_EQUAL(np_steer(group[0], 1, 1, 0), -EINVAL);
  CHECK_EQUAL(np_steer(group[0], 1, 0, 3), -EINVAL);
  CHECK_EQUAL(np_steer(group[0], 1, 21, 3), -EINVAL);
  CHECK_EQUAL(np_steer(-1, 1, 20, 3), -EBADF);
  uint32_t slab = a_slab();
  uint8_t *bytes = np_slab_address(slab);
  for (int byte = 0; byte < 7; byte++) {
    bytes[1] = (uint8_t)byte;
    struct datagram one = record_to(&here, slab, 0, 2), got;
    int32_t from = np_datagram_socket(AF_INET);
    CHECK_EQUAL(np_sendmmsg(from, &one, 0, 1), 1);
    make_room(&got, 1, slab);
    for (int i = 0; i < 3; i++) CHECK_EQUAL(np_recvmmsg(group[i], &got, 1), i == byte % 3 ? 1 : -EAGAIN);
    np_close(from);
  }
  for (int i = 0; i < 3; i++) np_close(group[i]);
}

#ifdef NP_FAULTS
TEST("np_fault() fails a datagram at any place of a batch, as the kernel does: a short count, then why") {
  struct address here;
  int32_t fd = datagram_at(AF_INET, LOOPBACK4, &here);
  uint32_t slab = a_slab();
  struct datagram table[4], got[8];
  for (uint32_t i = 0; i < 4; i++) table[i] = record_to(&here, slab, 0, i + 1);
  for (int32_t place = 0; place < 4; place++) {
    CHECK_EQUAL(np_fault(FAULT_SEND, fd, place, 1, -EMSGSIZE), 0);
    if (place > 0) CHECK_EQUAL(np_sendmmsg(fd, table, 0, 4), place);
    CHECK_EQUAL(np_sendmmsg(fd, table, place, 4 - place), -EMSGSIZE);
    CHECK_EQUAL(np_sendmmsg(fd, table, place, 4 - place), 4 - place);
    make_room(got, 8, slab);
    CHECK_EQUAL(np_fault(FAULT_RECV, fd, place, 1, -ECONNREFUSED), 0);
    if (place > 0) CHECK_EQUAL(np_recvmmsg(fd, got, 8), place);
    CHECK_EQUAL(np_recvmmsg(fd, got, 8), -ECONNREFUSED);
    CHECK_EQUAL(np_recvmmsg(fd, got, 8), 4 - place);
  }
  CHECK_EQUAL(np_fault(FAULT_SEND, fd, 0, 1, 3), 0);  // three at most
  CHECK_EQUAL(np_sendmmsg(fd, table, 0, 4), 3);
  CHECK_EQUAL(np_fault(FAULT_COMPLETION, fd, 0, 1, -ENOMEM), 0);
  CHECK_EQUAL(np_errors(fd, got, 4), -ENOMEM);
}
#endif
