// relay THERE BACK [SEED]: what a bad network does to the packets between two interfaces.
//
// It takes each packet that arrives at one interface, and sends it at the other: late, twice, out of
// order, or never. It plays netem (tc-netem(8)), which many kernels do not have, and a link that is cut.
// A line of input says what happens from now on to the packets that arrive at one of the two:
//
//   there loss=5 delay=300        in percent and milliseconds; all that is not named is 0 again
//   back ack-loss=50 rate=1000000 packets that only acknowledge, and bits a second
//   there cut=1                   every packet is lost
//
// It answers each line with its counts so far, one object of JSON, and ends with its input.
//
// The interfaces are the ends of two veth pairs in a network namespace that has no addresses. An XDP
// program (xdp.h) at each end makes the kernel free a packet as soon as it has left, as a network card
// does: MSG_ZEROCOPY does not copy. Where it cannot be attached "isCopying" is true in the answers.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../native/xdp.h"

enum {
  PACKET_BYTES_MAX = 70000,
  // A packet begins with what the kernel says of it (struct virtio_net_hdr), and that goes back to it as it
  // came: a checksum that is still to be made is made by the receiver, or never.
  NOTE_BYTES = 10,
  QUEUE_MAX = 65536,
  // The queue of a slow link holds as much as takes so long. More is lost, as in a router.
  QUEUE_MS_MAX = 500,
  REORDER_MS = 10,
  SOCKET_BYTES = 64 << 20,
  PACKETS_PER_TURN = 64,
};

static const int64_t MS = 1000000;

struct packet {
  int64_t due;  // in nanoseconds
  uint64_t number;
  uint32_t bytes;
  uint8_t data[];
};

struct direction {
  const char *name;
  int from, to;
  double loss, ack_loss, duplicate, reorder, delay, rate, cut;
  // The packets under way, a heap: the first is the next one to leave.
  struct packet *queue[QUEUE_MAX];
  uint32_t count;
  int64_t free_at;  // when a slow link has sent what it has
  uint64_t passed, lost, duplicated, reordered, overflowed, bytes;
};

static struct direction directions[2] = {{.name = "there"}, {.name = "back"}};
static bool is_copying;
static uint64_t packet_count, random_state;

static void need(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000 * MS + at.tv_nsec;
}

// Whether something happens that does so in so many of a hundred cases (xorshift64*, Vigna 2016).
static bool chance(double percent) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  uint64_t bits = (random_state * 0x2545F4914F6CDD1D) >> 11;
  return (double)bits * 100 / (double)(1ULL << 53) < percent;
}

static bool is_before(const struct packet *one, const struct packet *other) {
  return one->due != other->due ? one->due < other->due : one->number < other->number;
}

static void push(struct direction *way, struct packet *packet) {
  uint32_t at = way->count++;
  for (uint32_t parent; at > 0 && is_before(packet, way->queue[parent = (at - 1) / 2]); at = parent)
    way->queue[at] = way->queue[parent];
  way->queue[at] = packet;
}

static struct packet *pop(struct direction *way) {
  struct packet *first = way->queue[0], *last = way->queue[--way->count];
  uint32_t at = 0;
  for (uint32_t child; (child = 2 * at + 1) < way->count; at = child) {
    if (child + 1 < way->count && is_before(way->queue[child + 1], way->queue[child])) child++;
    if (!is_before(way->queue[child], last)) break;
    way->queue[at] = way->queue[child];
  }
  way->queue[at] = last;
  return first;
}

// A TCP segment over IPv4 that has no data, and begins and ends nothing.
static bool only_acknowledges(const uint8_t *frame, uint32_t bytes) {
  struct ip ip;
  struct tcphdr tcp;
  if (bytes < ETHER_HDR_LEN + sizeof ip + sizeof tcp) return false;
  memcpy(&ip, frame + ETHER_HDR_LEN, sizeof ip);
  uint32_t head = ip.ip_hl * 4u;
  if (ip.ip_v != 4 || ip.ip_p != IPPROTO_TCP || bytes < ETHER_HDR_LEN + head + sizeof tcp) return false;
  memcpy(&tcp, frame + ETHER_HDR_LEN + head, sizeof tcp);
  return ntohs(ip.ip_len) == head + tcp.th_off * 4u && (tcp.th_flags & (TH_SYN | TH_FIN | TH_RST)) == 0;
}

static void enqueue(struct direction *way, const uint8_t *data, uint32_t bytes) {
  int64_t at = now(), due = at;
  if (way->rate > 0) {
    if (way->free_at < at) way->free_at = at;
    if (way->free_at - at > QUEUE_MS_MAX * MS) {
      way->overflowed++;
      return;
    }
    way->free_at += (int64_t)((bytes - NOTE_BYTES) * 8e9 / way->rate);
    due = way->free_at;
  }
  due += (int64_t)(way->delay * MS);
  if (chance(way->reorder)) {
    due += REORDER_MS * MS;
    way->reordered++;
  }
  struct packet *packet = way->count < QUEUE_MAX ? malloc(sizeof *packet + bytes) : NULL;
  if (packet == NULL) {
    way->overflowed++;
    return;
  }
  packet->due = due;
  packet->number = packet_count++;
  packet->bytes = bytes;
  memcpy(packet->data, data, bytes);
  push(way, packet);
}

static void receive(struct direction *way) {
  static uint8_t data[PACKET_BYTES_MAX];
  for (int n = 0; n < PACKETS_PER_TURN; n++) {
    ssize_t bytes = recv(way->from, data, sizeof data, MSG_DONTWAIT);
    if (bytes < NOTE_BYTES) return;
    bool is_lost = chance(way->loss);
    if (way->ack_loss > 0 && only_acknowledges(data + NOTE_BYTES, (uint32_t)bytes - NOTE_BYTES))
      is_lost = is_lost || chance(way->ack_loss);
    if (is_lost || way->cut > 0) {
      way->lost++;
      continue;
    }
    enqueue(way, data, (uint32_t)bytes);
    if (chance(way->duplicate)) {
      enqueue(way, data, (uint32_t)bytes);
      way->duplicated++;
    }
  }
}

// Sends what is due. In how many nanoseconds there is more; -1 for never.
static int64_t send_due(struct direction *way) {
  while (way->count > 0) {
    int64_t left = way->queue[0]->due - now();
    if (left > 0) return left;
    struct packet *packet = pop(way);
    if (way->cut > 0) {
      way->lost++;
    } else if (send(way->to, packet->data, packet->bytes, 0) == (ssize_t)packet->bytes) {
      way->passed++;
      way->bytes += packet->bytes - NOTE_BYTES;
    } else {
      way->overflowed++;
    }
    free(packet);
  }
  return -1;
}

static int open_interface(const char *name) {
  unsigned index = if_nametoindex(name);
  need(index > 0, name);
  if (xdp_attach(index) < 0) is_copying = true;
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  need(fd >= 0, "open a packet socket");
  int yes = 1, bytes = SOCKET_BYTES;
  need(!setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes), "set PACKET_VNET_HDR");
  need(!setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes), "set PACKET_IGNORE_OUTGOING");
  need(!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes), "set SO_RCVBUFFORCE");
  need(!setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes), "set SO_SNDBUFFORCE");
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
  need(!bind(fd, (struct sockaddr *)&address, sizeof address), "bind a packet socket");
  return fd;
}

static void print_counts(void) {
  printf("{\"isCopying\":%s", is_copying ? "true" : "false");
  for (int i = 0; i < 2; i++) {
    struct direction *way = &directions[i];
    printf(",\"%s\":{\"passed\":%lu,\"bytes\":%lu,\"lost\":%lu,\"duplicated\":%lu,\"reordered\":%lu,"
           "\"overflowed\":%lu}",
           way->name, way->passed, way->bytes, way->lost, way->duplicated, way->reordered, way->overflowed);
  }
  printf("}\n");
  fflush(stdout);
}

static void set(struct direction *way, char *words) {
  const struct { const char *name; double *value; } known[] = {
      {"loss", &way->loss}, {"ack-loss", &way->ack_loss}, {"duplicate", &way->duplicate},
      {"reorder", &way->reorder}, {"delay", &way->delay}, {"rate", &way->rate}, {"cut", &way->cut},
  };
  const size_t count = sizeof known / sizeof *known;
  for (size_t i = 0; i < count; i++) *known[i].value = 0;
  for (char *word; (word = strsep(&words, " ")) != NULL;) {
    char *name = strsep(&word, "=");
    size_t i = 0;
    while (i < count && strcmp(known[i].name, name) != 0) i++;
    if (i < count && word != NULL) *known[i].value = atof(word);
    else if (*name != '\0') fprintf(stderr, "relay: unknown: %s\n", name);
  }
}

static void obey(char *line) {
  char *name = strsep(&line, " ");
  for (int i = 0; i < 2; i++)
    if (strcmp(directions[i].name, name) == 0) set(&directions[i], line);
  print_counts();
}

// Reads whole lines of input. Whether there is more to come.
static bool read_input(void) {
  static char text[4096];
  static size_t length;
  ssize_t bytes = read(STDIN_FILENO, text + length, sizeof text - length - 1);
  if (bytes <= 0) return false;
  length += (size_t)bytes;
  text[length] = '\0';
  char *rest = text;
  for (char *end; (end = strchr(rest, '\n')) != NULL; rest = end + 1) {
    *end = '\0';
    obey(rest);
  }
  length -= (size_t)(rest - text);
  memmove(text, rest, length);
  return true;
}

int main(int count, char **arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: relay THERE BACK [SEED]\n");
    return 2;
  }
  random_state = count > 3 ? strtoull(arguments[3], NULL, 10) * 2 + 1 : 1;
  int client = open_interface(arguments[1]), server = open_interface(arguments[2]);
  directions[0].from = directions[1].to = client;
  directions[0].to = directions[1].from = server;
  print_counts();
  for (;;) {
    int64_t wait = -1;
    for (int i = 0; i < 2; i++) {
      int64_t left = send_due(&directions[i]);
      if (left >= 0 && (wait < 0 || left < wait)) wait = left;
    }
    struct pollfd polls[] = {
        {.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    struct timespec timeout = {.tv_sec = wait / (1000 * MS), .tv_nsec = wait % (1000 * MS)};
    if (ppoll(polls, 3, wait < 0 ? NULL : &timeout, NULL) < 0) need(errno == EINTR, "wait");
    if (polls[0].revents) receive(&directions[0]);
    if (polls[1].revents) receive(&directions[1]);
    if (polls[2].revents && !read_input()) return 0;
  }
}
