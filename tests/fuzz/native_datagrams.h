// Datagrams: batches of any pieces of memory, to sockets of this thread's alone, with every control
// message that the kernel may tell of.
#include "native_calls.h"

#include <netinet/udp.h>

// A destination is where one of this thread's sockets is bound: nobody else's port is written to.
static void aim(struct run *run, struct datagram *d) {
  struct address at = {0};
  if (np_name(fd_of(run), 0, &at) < 0 || at.length > sizeof d->address) return;
  d->family = (uint16_t)(byte_of(&run->in) < 0xf0 ? at.family : byte_of(&run->in));
  d->port = (uint16_t)at.port;
  d->scope = at.scope;
  memcpy(d->address, at.bytes, at.length);
  memcpy(d->local, at.bytes, at.length);
}

// As many as a call says, and no more: one behind them is seen.
static struct datagram *datagrams_of(struct run *run, int32_t count) {
  struct datagram *table = array_of(run, (count > 0 && count <= DATAGRAMS_MAX ? (size_t)count : 0) * sizeof *table);
  for (int32_t i = 0; count <= DATAGRAMS_MAX && i < count; i++) {
    table[i].slab = slab_of(run);
    table[i].offset = number_of(&run->in);
    table[i].capacity = table[i].length = number_of(&run->in);
    table[i].segment = number_of(&run->in);
    table[i].flags = (uint32_t)byte_of(&run->in) << 16 | byte_of(&run->in) << 8;
    aim(run, &table[i]);
  }
  return table;
}

static void open_datagrams(struct run *run) {
  uint8_t choice = byte_of(&run->in);
  int32_t fd = keep(run, np_datagram_socket(choice & 1 ? AF_INET6 : choice & 2 ? -1 : AF_INET));
  struct address at = address_of(run);
  at.port = 0;
  if (fd >= 0 && at.family != AF_UNIX) np_bind(fd, &at);
}

static void set_datagrams(struct run *run) {
  static const int32_t options[][2] = {
    {IPPROTO_UDP, UDP_GRO}, {IPPROTO_UDP, UDP_SEGMENT}, {IPPROTO_IP, IP_PKTINFO}, {IPPROTO_IP, IP_RECVTOS},
    {IPPROTO_IP, IP_RECVERR}, {IPPROTO_IPV6, IPV6_RECVPKTINFO}, {IPPROTO_IPV6, IPV6_RECVTCLASS},
    {IPPROTO_IPV6, IPV6_RECVERR}, {SOL_SOCKET, SO_TIMESTAMPNS}, {SOL_SOCKET, SO_TIMESTAMPING}, {SOL_SOCKET, SO_SNDBUF},
  };
  int32_t fd = fd_of(run), value = (int32_t)number_of(&run->in);
  const int32_t *option = options[byte_of(&run->in) % 11];
  np_setsockopt(fd, option[0], option[1], &value, sizeof value);
}

static void call_datagrams(struct run *run) {
  uint8_t choice = byte_of(&run->in) % 10;
  if (choice < 2) return open_datagrams(run);
  if (choice < 4) return set_datagrams(run);
  int32_t fd = fd_of(run), count = (int32_t)(byte_of(&run->in) % 70) - 2;
  struct datagram *table = datagrams_of(run, count);
  if (choice == 4) assert(np_errors(fd, table, count) <= (count > 0 ? count : 0));
  else if (choice < 7) assert(np_recvmmsg(fd, table, count) <= (count > 0 ? count : 0));
  else np_sendmmsg(fd, table, 0, count);
  free(table);
}
